"""Spares a short program some costs of Pulumi's SDK, each of which is a tenth of a preview or so.

- Python looks for cycles among some 100,000 objects of the SDK again and again while more are imported, and twice before it exits.
- The SDK sends four debug messages a resource to the engine and waits for each. They show with `--debug` alone, which a program cannot
  see: SKYLIFT_EAGER=1 has them sent.
- It computes the URN of each alias of a resource for engines that take no aliases without; ours does.
- azure-native tells of each resource some twenty types of its versions 1 and 2, with a date in their names, that a state may hold it
  under. A stack of this program was never made with them. Its other aliases are told.
- Pydantic looks through all that is installed for plugins.
- An SDK looks for the folder of each of its hundreds of services, to import it when it is used.
- For each resource the SDK reads the source line of each frame on the stack and makes a URI of its file, to send file and number only.

What the installed SDK does not have, by these names, stays as it is.
"""

from __future__ import annotations

import atexit
import copy
import functools
import gc
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Generator
from types import ModuleType, SimpleNamespace
from typing import Any

import pulumi
import pulumi._utils
import pulumi.runtime.resource

from infra import hints

_COLLECT_AFTER = 100_000
"""New objects between two searches for cycles, of which Python counts 700."""

_DATED = re.compile(r"azure-native:\w+/v\d{8}")


def install() -> None:
    """For the rest of this process."""
    hints.install()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)
    atexit.register(gc.freeze)
    pulumi.log.debug = _silent
    registering = pulumi.runtime.resource
    _replace(pulumi._utils, "lazy_import", lambda _: _Unloaded.of)
    _replace(pulumi.resource, "collapse_alias_to_urn", lambda collapse: functools.partial(_Later, collapse))
    _replace(registering, "prepare_aliases", lambda prepare: functools.partial(_told, prepare))
    _replace(registering, "traceback", lambda module: SimpleNamespace(**{**vars(module), "extract_stack": _stack}))
    _replace(registering, "_get_source_position_for_frame", _remembered)


def _replace(module: Any, name: str, make: Callable[[Any], Any]) -> None:
    if hasattr(module, name):
        setattr(module, name, make(getattr(module, name)))


def _silent(*_arguments: Any, **_options: Any) -> None:
    pass


class _Unloaded(ModuleType):
    """A service's package, imported when something of it is asked for; the import puts the package itself in its place."""

    @classmethod
    def of(cls, name: str) -> ModuleType:
        return sys.modules.get(name) or cls(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(self.__name__))


class _Later:
    """An alias's URN, computed if it is ever awaited: the SDK does so for engines that take URNs only."""

    def __init__(self, collapse: Callable[..., pulumi.Output[str]], *arguments: Any) -> None:
        self._collapse, self._arguments = collapse, arguments

    def __await__(self) -> Generator[Any, None, str | None]:
        return self._collapse(*self._arguments).future().__await__()


async def _told(prepare: Callable[..., Any], resource: Any, options: Any, *more: Any) -> Any:
    if options is not None and options.aliases:
        options = copy.copy(options)
        options.aliases = [alias for alias in options.aliases if not _DATED.match(str(getattr(alias, "type_", "")))]
    return await prepare(resource, options, *more)


def _stack() -> traceback.StackSummary:
    """The caller's stack, outermost first, as traceback.extract_stack gives it but without a look at any file."""
    found = [
        traceback.FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name, lookup_line=False)
        for frame, line in traceback.walk_stack(sys._getframe(1))
    ]
    return traceback.StackSummary(reversed(found))


def _remembered(position: Callable[[traceback.FrameSummary], Any]) -> Callable[[traceback.FrameSummary], Any]:
    known: dict[tuple[str, int | None], Any] = {}

    def remembered(frame: traceback.FrameSummary) -> Any:
        key = frame.filename, frame.lineno
        if key not in known:
            known[key] = position(frame)
        return known[key]

    return remembered
