"""Sources to prepare in tests, and what becomes of them."""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts import datasets
from skylift.store import open_store
from training.data import adding, reading
from training.data.adding import Added, Order
from training.data.schema import Asked

Prepare = Callable[..., tuple[Added, Path]]
HEADER = ["age", "city", "bought"]


def preparer(folder: Path) -> Prepare:
    """Prepares a source and fetches what was published."""
    keep = folder / "keep"
    keep.mkdir()

    def call(source: Path | str, *, name: str = "made", **asked: Any) -> tuple[Added, Path]:
        order = Order(name, str(source), keep.as_uri(), Asked(**asked))
        added = adding.add(order, lambda done, total, text: None)
        fetched = folder / "fetched" / added.ref.replace("@", "-")
        datasets.fetch(open_store(keep.as_uri()), added.ref, fetched)
        return added, fetched

    return call


def write(path: Path, rows: list[list[object]], header: list[str] | None = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*([header] if header else []), *rows])
    return path


def people(count: int = 200, seed: int = 0) -> list[list[object]]:
    rng = random.Random(seed)
    return [
        [f"{rng.uniform(18, 90):.4f}", rng.choice(["Rome", "Oslo"]), rng.choice(["yes", "no", "no"])]
        for _ in range(count)
    ]


def shard_bytes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def memberships(folder: Path) -> dict[bytes, str]:
    """Every row's bytes with the split that it is in."""
    data = reading.read(folder)
    found = {}
    for name in ("train", "validation", "test"):
        x = getattr(data, name).x
        columns = list(x.values()) if isinstance(x, dict) else [x]
        for row in range(len(columns[0])):
            found[b"".join(np.asarray(column[row]).tobytes() for column in columns)] = name
    return found
