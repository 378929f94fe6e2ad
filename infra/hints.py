"""Evaluates the types of the SDKs' properties one by one, when asked: of the forty that a resource has a stack gives five.

Pulumi's SDK resolves the annotations of all properties of each class that a program uses, a quarter of the time of a preview.
"""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Union

from pulumi import Output, _types

_NAMES = (
    "_py_properties",
    "_globals_for_cls",
    "_types_from_py_properties",
    "_types_from_annotations",
    "resource_types",
)

_WRAPPED = re.compile(r"(?:pulumi\.Input|pulumi\.Output|Optional)\[(.*)\]")
"""An annotation around the type that counts."""

_PLAIN = re.compile(r"(?:pulumi\.Input|Sequence|Mapping|_builtins\.\w+|Any|str|[\[\], ]|(?P<quoted>'[\w.]+'))+")
"""What is a type when its quotes are taken away; without quotes the same one in every module of the SDKs."""

_CHOICE = re.compile(r"(?:Literal\[[^\[\]]*\]|Union\[(?:(?:_builtins\.\w+|'\w+(?<!Args)(?<!Dict)')(?:, )?)+\])")
"""A choice of values or of enums. It says nothing of how lists and mappings are to be read, which types are asked for."""

_everywhere: dict[str, Any] = {}


class _Input:
    """Input[X] as the SDK resolves it."""

    def __class_getitem__(cls, given: Any) -> Any:
        nothing: Any = type(None)
        return Union[given, Awaitable[given], Output[nothing]]  # noqa: UP007 - names in strings cannot be joined by |


_LOCALS = {"Output": Output, "T": type(None), "Input": _Input}
"""Names that the SDK takes along to annotations."""


def install() -> None:
    """For the rest of this process. Nothing where the installed SDK has not what this replaces."""
    if all(hasattr(_types, name) for name in _NAMES):
        given: Any = _types
        given.resource_types = functools.partial(_of_resource, given.resource_types)
        given._types_from_py_properties = functools.cache(_Hints)


class _Hints(Mapping[str, Any]):
    """The type of each property of a class, by the name that the engine has for it: without Output, Input and Optional."""

    def __init__(self, cls: type) -> None:
        self._class = cls
        self._getters: dict[str, Any] = {name: each.fget for _, name, each in _types._py_properties(cls)}
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._evaluated(self._getters[name])
        if self._known[name] is Output:  # says nothing of what is in it
            raise KeyError(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._getters if name in self)

    def __len__(self) -> int:
        return len(list(iter(self)))

    @functools.cached_property
    def _globals(self) -> dict[str, Any] | None:
        return _types._globals_for_cls(self._class)

    def _evaluated(self, getter: Any) -> Any:
        said = str(getattr(getter, "__annotations__", {}).get("return"))
        while wrapped := _WRAPPED.fullmatch(said):
            said = wrapped[1]
        if _CHOICE.fullmatch(said):
            return str
        plain = _PLAIN.fullmatch(said)
        if not plain:
            return self._resolved(getter)
        text = said.replace("'", "").replace("pulumi.Input[", "Input[")
        if plain["quoted"]:
            return eval(text, self._globals, _LOCALS)  # noqa: S307 - a name of the SDK's own
        if text not in _everywhere:
            _everywhere[text] = eval(text, self._globals, _LOCALS)  # noqa: S307
        return _everywhere[text]

    def _resolved(self, getter: Any) -> Any:
        hint = typing.get_type_hints(getter, self._globals, _LOCALS).get("return")
        return Output if hint is None else _types.unwrap_type(hint)


def _of_resource(original: Callable[[type], dict[str, Any]], cls: type) -> Mapping[str, Any]:
    return original(cls) if _types._types_from_annotations(cls) else _types._types_from_py_properties(cls)
