"""What supervisor and workers say to each other: one JSON object a line, over a socket pair. Its end is the other's end."""

from __future__ import annotations

import asyncio

import msgspec

from serving.notes import VersionNote
from serving.traffic import Traffic
from skylift.artifacts.records import ModelRef


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load and warm a version beside what answers. Answered by Loaded or Failed."""

    deployment: int
    model: ModelRef
    folder: str


class Switch(msgspec.Struct, frozen=True, tag="switch"):
    """Let a loaded deployment answer. Answered by Switched."""

    deployment: int


class Unload(msgspec.Struct, frozen=True, tag="unload"):
    deployment: int


class Accept(msgspec.Struct, frozen=True, tag="accept"):
    """Take connections from now on."""


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """What the replica is, for /readyz and the models' status."""

    is_ready: bool
    notes: list[VersionNote]


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Finish what is in flight within `seconds`, then exit."""

    seconds: float


class Started(msgspec.Struct, frozen=True, tag="started"):
    pass


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    deployment: int
    backend: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A deployment could not be loaded."""

    deployment: int
    kind: str
    message: str
    hint: str


class Switched(msgspec.Struct, frozen=True, tag="switched"):
    deployment: int


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """What the worker has answered since it last said so."""

    traffic: Traffic


Order = Load | Switch | Unload | Accept | Tell | Drain
Report = Started | Loaded | Failed | Switched | Counted

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
