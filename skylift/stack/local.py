"""Where the `local` target keeps things below `.skylift`, known to the program that makes them and to `down`, which proves them gone.

buckets/<stack>/keep  buckets/<stack>/work     the two buckets, and beside each the note whose they are
local/<stack>/endpoints/<name>/                process.json, supervisor.log, cache/
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from skylift.errors import MachineError
from skylift.stack import processes

Kind = Literal["keep", "work"]
KINDS: tuple[Kind, Kind] = ("keep", "work")


@dataclass(frozen=True)
class LocalFolders:
    """The folders of one stack."""

    root: Path
    stack: str

    @property
    def base(self) -> Path:
        return self.root / ".skylift" / "local" / self.stack

    @property
    def endpoints(self) -> Path:
        return self.base / "endpoints"

    def endpoint(self, name: str) -> Path:
        return self.endpoints / name

    @property
    def buckets(self) -> Path:
        return self.root / ".skylift" / "buckets" / self.stack

    def bucket(self, kind: Kind) -> Path:
        return self.buckets / kind


def owner_note(bucket: Path) -> Path:
    """The file that says whose a bucket's folder is. Beside it, not in it: what lies inside is the contract's alone."""
    return bucket.with_name(f"{bucket.name}.owner.json")


def owner(bucket: Path) -> dict[str, Any] | None:
    """Who owns a bucket's folder (`project`, `stack`, `kind`), or None."""
    try:
        found = json.loads(owner_note(bucket).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class ProcessRecord:
    """process.json: the supervisor of an endpoint, as it was started.

    Args:
        born: see processes.born; tells this process from a later one with the same pid.
        spec: everything it was started with; another spec needs another process.
    """

    pid: int
    born: str
    host: str
    port: int
    spec: dict[str, Any]

    @property
    def alive(self) -> bool:
        return processes.alive(self.pid, self.born)

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def read_record(folder: Path) -> ProcessRecord | None:
    """The record in an endpoint's folder; None if there is none, or none that can be read."""
    try:
        return ProcessRecord(**json.loads((folder / "process.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, record: ProcessRecord) -> None:
    fresh = folder / "process.json.new"
    try:
        fresh.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
        fresh.replace(folder / "process.json")
    except OSError as error:
        raise MachineError(f"{fresh} cannot be written: {error.strerror}", hint="free disk space") from None
