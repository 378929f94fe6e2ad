"""The classes of an SDK's `_inputs`, `outputs` and `_enums`, each made when it is asked for."""

from __future__ import annotations

import builtins
import marshal
import sys
import threading
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from infra.lazy_code import Loader

_CLASSES = "__skylift_classes__"
"""Where a module of them keeps how they are declared."""

_LOADER = "__skylift_loader__"

_KNOWN = b"C"
"""Mark of a module whose classes are known."""

_lock = threading.RLock()

Declared = tuple[bytes, tuple[str, ...], str, str]
"""How a class is declared: its body's code, its bases, the decorator and, of an enum, the type token. There are `XDict(TypedDict)`,
`@input_type X`, `@output_type X(dict)`, `@type_token("…:X") X(str, Enum)`."""


class TypesLoader(Loader):
    def exec_module(self, module: ModuleType) -> None:
        if self.is_prepared(_KNOWN):  # read when a class is asked for: many are never
            vars(module)[_LOADER] = self
            module.__class__ = Types
            return
        classes, code = self.prepared()
        if classes is None:
            exec(code, vars(module))  # noqa: S102
        else:
            self.fill(module, classes, code)
            module.__class__ = Types

    def mark(self, made: Any) -> bytes:
        return b" " if made[0] is None else _KNOWN

    def prepare(self, thriftily: bool) -> tuple[dict[str, Declared] | None, CodeType]:
        """The classes with the code of the header, or None with the whole code."""
        text, found, _ = (self.get_source(self.name) or "").partition("\n__all__ = [")
        header = self.compiled(thriftily, text) if found else None
        classes = _classes(self.compiled(thriftily), header) if header else None
        if classes is None or header is None:
            return None, self.compiled(False)
        if thriftily:  # which keys a TypedDict requires is in its annotations
            plain = _classes(self.compiled(False), self.compiled(False, text)) or {}
            classes |= {name: declared for name, declared in plain.items() if not declared[2]}
        return classes, header

    def fill(self, module: ModuleType, classes: dict[str, Declared], header: CodeType) -> None:
        """Make a module's names, but for its classes."""
        vars(module)["__builtins__"] = Names(self.name.rpartition(".")[0])
        exec(header, vars(module))  # noqa: S102
        vars(module)[_CLASSES] = classes


def classes_of(module: Types) -> dict[str, Declared]:
    """How the classes of a module are declared."""
    names = vars(module)
    if _CLASSES not in names:
        with _lock:
            if _CLASSES not in names:
                names[_LOADER].fill(module, *names[_LOADER].prepared())
    found: dict[str, Declared] = names[_CLASSES]
    return found


class Names(dict[str, Any]):
    """The builtins of a module of an SDK, and behind them the classes of the `_inputs` and `_enums` beside it.

    Python looks a name up in a module's `__builtins__` that is not among its globals, also where typing evaluates an annotation
    long after the import; `from ._inputs import *` would make a thousand classes at once for the three that are used.
    """

    def __init__(self, package: str) -> None:
        super().__init__(vars(builtins))
        self._beside = (f"{package}._inputs", f"{package}._enums")

    def __missing__(self, name: str) -> Any:
        for beside in self._beside:
            module = sys.modules.get(beside)
            if isinstance(module, Types) and name in classes_of(module):
                return getattr(module, name)
        raise KeyError(name)


class Types(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name in ("__path__", "__wrapped__"):  # what the import system asks of any module
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name == "__all__" and isinstance(sys._getframe(1).f_builtins, Names):
            return []  # a module with our builtins has the names without importing them
        classes = classes_of(self)
        if name == "__all__":
            return list(classes)
        if name in vars(self):
            return vars(self)[name]  # of the header, which was not read before
        if name not in classes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _lock:
            return vars(self).get(name) or vars(self).setdefault(name, _make(vars(self), name, classes[name]))

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *classes_of(self)})


def _make(names: dict[str, Any], name: str, declared: Declared) -> Any:
    body, parents, decorator, token = declared
    bases = [names[base] if base in names else vars(builtins)[base] for base in parents]
    code = marshal.loads(body)  # noqa: S302 - as far as bytecode is to be trusted
    made = builtins.__build_class__(FunctionType(code, names), name, *bases)
    if not decorator:
        return made
    decorate = getattr(names["pulumi"], decorator)
    return decorate(token)(made) if token else decorate(made)


# reading a module's code


def _classes(code: CodeType, header: CodeType) -> dict[str, Declared] | None:
    """The classes of a module, None unless it is a header and classes of the known kinds."""
    found = list(_bodies(code))
    names = {body.co_name for body, _ in found}
    kinds = {"input_type", "output_type", "type_token"}.intersection(code.co_names)
    known = {*header.co_names, *names, *kinds, "__all__", "TypedDict", "dict", "str"}
    if len(names) < len(found) or len(kinds) != 1 or not known.issuperset(code.co_names):
        return None
    classes = {body.co_name: _declared(body, before, names, *kinds) for body, before in found}
    known_kinds = {name: declared for name, declared in classes.items() if declared}
    return known_kinds if len(known_kinds) == len(classes) else None


def _bodies(code: CodeType) -> Iterator[tuple[CodeType, object]]:
    """The code of each class, and the constant that the module's code names before it: of an enum, its token."""
    for before, constant in zip((None, *code.co_consts), code.co_consts, strict=False):
        if isinstance(constant, CodeType):
            yield constant, before


def _declared(body: CodeType, before: object, names: set[str], kind: str) -> Declared | None:
    name = body.co_name
    if body.co_freevars:
        return None
    packed = marshal.dumps(body)
    if kind == "type_token":
        is_token = isinstance(before, str) and before.endswith(f":{name}")
        return (packed, ("str", "Enum"), kind, str(before)) if is_token else None
    if "__init__" in body.co_names:
        return packed, ("dict",) if kind == "output_type" else (), kind, ""
    is_keys = name.endswith("Dict") and name.removesuffix("Dict") in names
    return (packed, ("TypedDict",), "", "") if is_keys else None
