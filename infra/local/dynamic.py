"""What the local resources share as dynamic providers of Pulumi.

The provider classes stand in importable modules and hold nothing, so state keeps a reference of a few bytes to them and a change of
their code is no change of the resource.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from pulumi.dynamic import ConfigureRequest, ResourceProvider

from skylift.errors import SkyliftError
from skylift.stack import processes

P = ParamSpec("P")
R = TypeVar("R")


class LocalProvider(ResourceProvider):
    """Base of the providers: not secret, and gone when the engine that started it is."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        end_with_engine()


def told(method: Callable[P, R]) -> Callable[P, R]:
    """Let errors of ours reach the engine as kind, message and hint, without the frames that raised them."""

    @functools.wraps(method)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        global _busy
        with _lock:
            _busy += 1
        try:
            return method(*args, **kwargs)
        except SkyliftError as error:
            raise type(error)(said(error, kind=False)) from None
        finally:
            with _lock:
                _busy -= 1

    return inner


def said(error: SkyliftError, *, kind: bool = True) -> str:
    """An error as text that skylift's engine turns into the same error again."""
    text = f"{error.message}\n  hint: {error.hint}" if error.hint else error.message
    return f"{type(error).__name__}: {text}" if kind else text


def own(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties without the engine's own (`__provider` and the like)."""
    return {key: value for key, value in properties.items() if not key.startswith("__")}


_lock = threading.Lock()
_busy = 0
_watching = False


def end_with_engine() -> None:
    """End this plugin once its engine is gone: the SDK's server would wait for ever after a killed `up`."""
    global _watching
    with _lock:
        if _watching:
            return
        _watching = True
    import psutil

    above = [(parent.pid, processes.born(parent.pid)) for parent in psutil.Process().parents()]
    engine = next(((pid, birth) for pid, birth in above[:3] if psutil.Process(pid).name() == "pulumi"), None)
    if engine is not None and engine[1] is not None:
        threading.Thread(target=_watch, args=engine, daemon=True).start()


def _watch(pid: int, birth: str) -> None:
    while processes.alive(pid, birth) or _busy:
        time.sleep(0.5)
    os._exit(1)
