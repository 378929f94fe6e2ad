"""What the training process tells its supervisor, as JSON lines over a pipe: no disk is needed to say how it ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from skylift.artifacts.records import Failure, PublishedModel
from skylift.errors import SkyliftError


class Stage(msgspec.Struct, frozen=True, kw_only=True, tag="stage"):
    """What it does now, for people."""

    text: str


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, tag="succeeded"):
    """It has learned to the end; unless it was told not to, the model is published and the report is written."""

    model: PublishedModel | None
    steps: int
    epochs: int
    metrics: dict[str, float]
    hyperparameters: dict[str, Any]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The run cannot succeed, however often it is tried."""

    failure: Failure
    steps: int = 0
    epochs: int = 0
    hyperparameters: dict[str, Any] = {}


class Hindered(msgspec.Struct, frozen=True, kw_only=True, tag="hindered"):
    """This machine or a bucket failed; the run itself may still succeed."""

    exit_code: int
    kind: str
    message: str
    hint: str

    @classmethod
    def by(cls, error: SkyliftError) -> Hindered:
        return cls(exit_code=error.exit_code, kind=error.kind, message=error.message, hint=error.hint)


class Saved(msgspec.Struct, frozen=True, kw_only=True, tag="saved"):
    """Stopped as asked."""

    step: int
    epoch: int
    hyperparameters: dict[str, Any] = {}


class Helped(msgspec.Struct, frozen=True, kw_only=True, tag="helped"):
    """A member that is not the chief has learned to the end; the chief publishes."""

    step: int


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag="lost"):
    """Another member of the group is gone: the group begins anew from the newest checkpoint."""

    message: str


Outcome = Succeeded | Failed | Hindered | Saved | Helped | Lost
Message = Stage | Outcome


class Sender:
    """The training process's end."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor

    def send(self, message: Message) -> None:
        line = msgspec.json.encode(message) + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]


class Receiver(threading.Thread):
    """The supervisor's end: calls `on_stage` for every stage and keeps the outcome."""

    def __init__(self, descriptor: int, on_stage: Callable[[str], None]) -> None:
        super().__init__(name="wire", daemon=True)
        self.outcome: Outcome | None = None
        self._descriptor = descriptor
        self._on_stage = on_stage

    def run(self) -> None:
        with os.fdopen(self._descriptor, "rb") as lines:
            for line in lines:
                message = msgspec.json.decode(line, type=Message)
                if isinstance(message, Stage):
                    self._on_stage(message.text)
                else:
                    self.outcome = message
