"""`training data add`: from a path to a published version."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from skylift.artifacts import datasets, layout
from skylift.errors import MachineError
from skylift.store import open_store
from training.data import places, profile, sources
from training.data.chunks import Reading
from training.data.description import describe
from training.data.format import FILE, PROFILE, Description
from training.data.preparing import out_of, prepare
from training.data.runners import InProcess, Runner, Tell
from training.data.schema import Asked


@dataclass(frozen=True)
class Order:
    """What is to be added.

    Args:
        source: a path, a URL, or `sklearn:NAME` and the like.
        work: URL of a folder for what the steps leave; None takes one of this machine, removed at the end.
        runner: who does the steps; None is this process.
    """

    name: str
    source: str
    keep: str
    asked: Asked
    reading: Reading = field(default_factory=Reading)
    work: str | None = None
    runner: Runner | None = None


@dataclass(frozen=True)
class Added:
    """The published version and what it holds."""

    ref: str
    description: Description
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        return {"dataset": self.ref, "bytes": self.bytes, "description": msgspec.to_builtins(self.description)}


def add(order: Order, tell: Tell) -> Added:
    """Prepare and publish.

    Raises:
        InputError: the source has problems; all of them are named.
        NotFoundError: there is nothing at that place.
        MachineError: the disk is full, or something that reads the source is not installed.
    """
    layout.check_name("dataset", order.name)
    keep = open_store(order.keep)
    try:
        with tempfile.TemporaryDirectory(prefix="skylift-data-") as scratch, _work(order, scratch) as work:
            source = sources.look(order.source, order.reading)
            prepared = prepare(source, order.asked, work, order.runner or InProcess(tell))
            described = describe(prepared)
            folder = out_of(work) or _fetched(work, Path(scratch))
            (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(described), indent=1) + b"\n")
            (folder / PROFILE).write_text(profile.render(order.name, prepared, described), encoding="utf-8")
            facts = facts_of(described)
            ref = datasets.publish(keep, order.name, folder, facts, rows=described.cleaning.rows_kept, progress=tell)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            return Added(ref, described, size)
    except OSError as error:
        if error.errno not in (28, 122):
            raise
        raise MachineError("the disk is full", hint="free some space, or point TMPDIR at a larger disk") from None


@contextlib.contextmanager
def _work(order: Order, scratch: str) -> Iterator[str]:
    """The work folder of this preparation alone; what lies in it goes at the end."""
    if order.work is None:
        yield Path(scratch).as_uri()
        return
    url = f"{order.work.rstrip('/')}/{order.name}-{secrets.token_hex(4)}"
    path = places.as_path(url)
    if path is not None:
        path.mkdir(parents=True)
    try:
        yield url
    finally:
        store = open_store(url)
        store.delete([stat.key for stat in store.list()])
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)


def _fetched(work: str, scratch: Path) -> Path:
    """The shards, brought here from a work folder in a store, to be published like others."""
    store = open_store(work)
    for stat in store.list("out"):
        target = scratch / stat.key
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for piece in store.stream(stat.key):
                file.write(piece)
    return scratch / "out"


def facts_of(described: Description) -> dict[str, Any]:
    """What a listing and `show` say of a version, kept in its manifest so that nothing else must be read for it."""
    cleaning = described.cleaning
    return {
        "prepared": True,
        "source": described.source,
        "task": described.target.task,
        "target": described.target.name,
        "labels": described.target.labels,
        "splits": {name: split.rows for name, split in described.splits.items()},
        "columns": len(described.columns),
        "duplicates": cleaning.duplicates,
    }
