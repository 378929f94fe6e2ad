"""What supervisor and workers say to each other: one JSON object a line, over a socket pair. Its end is the other's end."""

from __future__ import annotations

import asyncio

import msgspec

from serving.notes import VersionNote
from serving.traffic import Traffic

CHANNEL_BYTES = 16 * 1024 * 1024
"""Longest line: what a worker counts for thousands of models."""


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load and warm a version beside what answers. Answered by Loaded or Failed.

    Args:
        key: names it between supervisor and workers, for good.
        digest: of its manifest; empty where the folder holds none of ours. Versions of one digest share their memory.
        deployment: the endpoint's deployment that names it.
    """

    key: int
    name: str
    version: int
    folder: str
    digest: str = ""
    deployment: int | None = None
    platform: str = ""
    """What the model's configuration says that it is."""
    has_answered: bool = False
    """Whether others serve it already: a worker that comes later need not find the servers of its remote parts."""


class Route(msgspec.Struct, frozen=True):
    """Which loaded versions answer for a model.

    Args:
        versions: by number, the key of each that may be asked for.
        default: the key that answers where a request names no version.
        labels: a number for each.
        canary: the key that answers the share `weight` (0 to 1) of the requests that name no version.
    """

    name: str
    versions: dict[int, int]
    default: int | None = None
    labels: dict[str, int] = {}
    canary: int | None = None
    weight: float = 0.0


class Switch(msgspec.Struct, frozen=True, tag="switch"):
    """Let loaded versions answer, by these routes and no others. Answered by Switched."""

    serial: int
    routes: list[Route]


class Unload(msgspec.Struct, frozen=True, tag="unload"):
    """Free a version that no route names, after its last request."""

    key: int


class Accept(msgspec.Struct, frozen=True, tag="accept"):
    """Take connections from now on."""


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """What the replica is, for /readyz and the models' status."""

    is_ready: bool
    notes: list[VersionNote]


class Reopen(msgspec.Struct, frozen=True, tag="reopen"):
    """Go on in new log files."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Finish what is in flight within `seconds`, then exit."""

    seconds: float


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """The answer to an Ask: `code` is gRPC's number, 0 where all is well."""

    number: int
    code: int = 0
    message: str = ""
    body: str = ""


class Tally(msgspec.Struct, frozen=True, tag="tally"):
    """Say what was counted. Answered by Reported with the same number."""

    number: int


class Started(msgspec.Struct, frozen=True, tag="started"):
    pass


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    key: int
    backend: str
    seconds: float = 0.0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A version could not be loaded."""

    key: int
    kind: str
    message: str
    hint: str


class Switched(msgspec.Struct, frozen=True, tag="switched"):
    serial: int


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """What the worker has answered since it last said so: in all, and by a canary and the version that it is compared with."""

    traffic: Traffic
    stable: Traffic | None = None
    canary: Traffic | None = None


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A client of the worker's asks for what only the supervisor can do: `load`, `unload`, `reload`, `metrics`. Answered by Reply."""

    number: int
    what: str
    body: str = ""


class Reported(msgspec.Struct, frozen=True, tag="reported"):
    number: int
    body: str


Order = Load | Switch | Unload | Accept | Tell | Reopen | Drain | Reply | Tally
Report = Started | Loaded | Failed | Switched | Counted | Ask | Reported

_order_decoder = msgspec.json.Decoder(Order)
_report_decoder = msgspec.json.Decoder(Report)


def send(writer: asyncio.StreamWriter, message: Order | Report) -> None:
    """Send a message; one to somebody who is gone is lost, and the end of the channel tells."""
    if not writer.is_closing():
        writer.write(msgspec.json.encode(message) + b"\n")


async def orders(reader: asyncio.StreamReader) -> Order | None:
    """The next order, or None when the supervisor is gone."""
    line = await _line(reader)
    return _order_decoder.decode(line) if line else None


async def reports(reader: asyncio.StreamReader) -> Report | None:
    """The next report, or None when the worker is gone."""
    line = await _line(reader)
    return _report_decoder.decode(line) if line else None


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError):
        return b""
    return line if line.endswith(b"\n") else b""  # a line cut short is the other's last breath
