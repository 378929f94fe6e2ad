"""The Pulumi program: reads the stack's settings, enters the room of its target, exports the outputs contract."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any, Protocol, cast

import pulumi

from infra.extras import lacking
from skylift.errors import SkyliftError
from skylift.stack import outputs as contract
from skylift.stack.settings import CLOUDS, Settings, from_pulumi
from skylift.stack.settings import TARGETS as ALL_TARGETS

AT_REST = "SKYLIFT_AT_REST"
"""Of skylift/engine/resting.py, which says what for; its value is the file with the outputs to keep."""
TARGETS = {target: f"infra.{CLOUDS[target]}.target" for target in ALL_TARGETS}
"""Where each target's room is. Only the one in use is imported: a cloud's SDK takes seconds."""


class Room(Protocol):
    """What infra.<room>.target offers."""

    def provision(self, settings: Settings, stack: str, root: Path) -> pulumi.Output[contract.Outputs]: ...


class Resting(Protocol):
    """What infra.<room>.target offers where data holds on to what is billed."""

    def rest(self, settings: Settings, stack: str) -> None: ...


def main() -> None:
    """Run the program in the engine that started this process."""
    stack = pulumi.get_stack()
    try:
        settings = from_pulumi(json.loads(os.environ.get("PULUMI_CONFIG", "{}")), stack)
        room = importlib.import_module(TARGETS[settings.target])
        if kept := os.environ.get(AT_REST):
            _rest(cast(Resting, room), settings, stack, Path(kept))
            return
        promised = cast(Room, room).provision(settings, stack, _root())
    except ModuleNotFoundError as missing:
        raise pulumi.RunError(said(lacking(missing, settings.target))) from None
    except SkyliftError as error:
        raise pulumi.RunError(said(error)) from None
    for key in contract.Outputs.__struct_fields__:
        pulumi.export(key, _part(promised, key))


def _rest(room: Resting, settings: Settings, stack: str, kept: Path) -> None:
    """Declare what rests without machines; the outputs stay what they were, for what is kept is found by them."""
    room.rest(settings, stack)
    for key, value in json.loads(kept.read_text(encoding="utf-8")).items():
        pulumi.export(key, value)


def said(error: SkyliftError) -> str:
    """An error as the engine passes it on."""
    hint = f"\n  hint: {error.hint}" if error.hint else ""
    return f"{type(error).__name__}: {error.message}{hint}"


def _part(promised: pulumi.Output[contract.Outputs], key: str) -> pulumi.Output[Any]:
    return promised.apply(lambda known: contract.encode(known)[key])


def _root() -> Path:
    """The project's folder. Older language hosts do not tell it, but start the program in it."""
    told: str | None = pulumi.get_root_directory()
    return Path(told or ".").resolve()
