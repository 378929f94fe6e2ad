"""Loads of a cloud's SDK only what a program uses: packages hold thousands of generated classes, a stack needs some dozens.

`install()` before the first import of an SDK; SKYLIFT_EAGER=1 in the environment turns it off, and nothing else knows of it. Three
kinds of the SDKs' modules are treated, and nothing is written anywhere:

- a service's package (`pulumi_aws.ec2`) imports the module of a class when the class is asked for;
- its `_inputs`, `outputs` and `_enums` make a class when it is asked for, from the code that Python keeps of the whole module;
- the module of a resource finds those classes behind its builtins, and so do its annotations when they are resolved.

What has another layout than the SDKs' generator writes is imported as always.
"""

from __future__ import annotations

import builtins
import importlib
import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from infra import thrift

EAGER = "SKYLIFT_EAGER"
"""Environment variable that keeps the plain import."""

_SDKS = ("pulumi_aws.", "pulumi_gcp.", "pulumi_azure_native.", "pulumi_kubernetes.")
_TYPES = ("_inputs", "outputs", "_enums")
_STAR = re.compile(r"^from \.(\w+) import \*$", re.MULTILINE)
_HEADER_CHARACTERS = 8192
_CHILDREN = "__skylift_children__"
_CLASSES = "__skylift_classes__"
_lock = threading.RLock()


def install() -> None:
    """Treat the SDKs' modules that are imported from now on. Nothing where the environment says eager, or the second time."""
    if not os.environ.get(EAGER) and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        thrift.install()


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_SDKS):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            kind: type[SourceFileLoader] = _ModuleLoader
            if spec.submodule_search_locations is not None:
                kind = _PackageLoader
            elif fullname.rpartition(".")[2] in _TYPES:
                kind = _TypesLoader
            spec.loader = kind(fullname, spec.loader.path)
        return spec


# a service's package


class _PackageLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        source = self.get_source(self.name) or ""
        children = {_squeezed(child): child for child in _STAR.findall(source)}
        code = compile(_STAR.sub("", source), self.path, "exec")
        try:
            exec(code, vars(module))  # noqa: S102
        except NameError:  # it uses what it would have imported
            super().exec_module(module)
        else:
            vars(module)[_CHILDREN] = children
            module.__class__ = _Package


class _Package(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if vars(self)[_CHILDREN] and (name == "__all__" or not name.startswith("__")) and _fetch(self, name):
            return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in vars(self)[_CHILDREN].values() and isinstance(value, ModuleType) and not isinstance(value, _Types):
            _bind(
                self, value
            )  # `from .get_region import *` leaves the function get_region here, not the module of that name

    def __dir__(self) -> list[str]:
        _fetch(self, "__all__")
        return sorted(vars(self))


def _fetch(package: ModuleType, name: str) -> bool:
    """Import of a package's modules what it takes to have a name; in doubt all of them, as the package itself would."""
    children: dict[str, str] = vars(package)[_CHILDREN]
    for child in _guesses(name, children) if name != "__all__" else ():
        module = importlib.import_module(f"{package.__name__}.{child}")
        if not isinstance(module, _Types):
            _bind(package, module)
        elif name in vars(module)[_CLASSES]:
            vars(package)[name] = getattr(module, name)
        if name in vars(package):
            return True
    for child in children.values():
        _bind(package, importlib.import_module(f"{package.__name__}.{child}"))
    vars(package)[_CHILDREN] = {}
    return name in vars(package)


def _guesses(name: str, children: dict[str, str]) -> Iterator[str]:
    """The modules that may hold a name: RouterNat, RouterNatArgs in router_nat; get_image, GetImageResult in get_image."""
    key = _squeezed(name)
    plain = key.removesuffix("result")
    own = (key, key.removesuffix("args"), plain, plain.removeprefix("awaitable"), key.removesuffix("output"))
    for guess in (*own, "inputs", "enums"):
        if guess in children:
            yield children[guess]


def _squeezed(name: str) -> str:
    return name.replace("_", "").lower()


def _bind(package: ModuleType, module: ModuleType) -> None:
    """What `from .module import *` does in a package."""
    public = [name for name in vars(module) if not name.startswith("_")]
    vars(package).update({name: getattr(module, name) for name in getattr(module, "__all__", public)})


# the module of a resource


class _ModuleLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = _Names(module.__name__.rpartition(".")[0])
        super().exec_module(module)


class _Names(dict[str, Any]):
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
            if isinstance(module, _Types) and name in vars(module)[_CLASSES]:
                return getattr(module, name)
        raise KeyError(name)


# _inputs, outputs and _enums


class _Class(NamedTuple):
    """How a class is declared: `XDict(TypedDict)`, `@input_type X`, `@output_type X(dict)`, `@type_token("…:X") X(str, Enum)`."""

    body: CodeType
    bases: tuple[str, ...]
    decorator: str = ""
    token: str = ""


class _TypesLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        code = self.get_code(self.name)
        assert code is not None
        with Path(self.path).open(encoding="utf-8") as file:
            text, found, _ = file.read(_HEADER_CHARACTERS).partition("\n__all__ = [")
        header = compile(text, self.path, "exec") if found else None
        classes = _classes(code, header) if header else None
        if header is None or classes is None:
            exec(code, vars(module))  # noqa: S102
            return
        vars(module)["__builtins__"] = _Names(self.name.rpartition(".")[0])
        exec(header, vars(module))  # noqa: S102
        vars(module)[_CLASSES] = classes
        module.__class__ = _Types


def _classes(code: CodeType, header: CodeType) -> dict[str, _Class] | None:
    """The classes of a module, None unless it is a header and classes of the known kinds."""
    found = [
        (constant, before)
        for before, constant in zip((None, *code.co_consts), code.co_consts, strict=False)
        if isinstance(constant, CodeType)
    ]
    names = {body.co_name for body, _ in found}
    kinds = {"input_type", "output_type", "type_token"}.intersection(code.co_names)
    known = {*header.co_names, *names, *kinds, "__all__", "TypedDict", "dict", "str"}
    if len(names) < len(found) or len(kinds) != 1 or not known.issuperset(code.co_names):
        return None
    classes = [_class(body, before, names, *kinds) for body, before in found]
    return {each.body.co_name: each for each in classes if each} if all(classes) else None


def _class(body: CodeType, before: object, names: set[str], kind: str) -> _Class | None:
    """`before` is the constant that the module's code names before the class: of an enum, its token."""
    name = body.co_name
    if body.co_freevars:
        return None
    if kind == "type_token":
        is_token = isinstance(before, str) and before.endswith(f":{name}")
        return _Class(body, ("str", "Enum"), kind, str(before)) if is_token else None
    if "__init__" in body.co_names:
        return _Class(body, ("dict",) if kind == "output_type" else (), kind)
    return _Class(body, ("TypedDict",)) if name.endswith("Dict") and name.removesuffix("Dict") in names else None


class _Types(ModuleType):
    def __getattr__(self, name: str) -> Any:
        classes: dict[str, _Class] = vars(self)[_CLASSES]
        if name == "__all__":  # a module with our builtins has the names without importing them
            return [] if isinstance(sys._getframe(1).f_builtins, _Names) else list(classes)
        if name not in classes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _lock:
            return vars(self).get(name) or vars(self).setdefault(name, _make(vars(self), classes[name]))

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *vars(self)[_CLASSES]})


def _make(names: dict[str, Any], declared: _Class) -> Any:
    bases = [names[base] if base in names else vars(builtins)[base] for base in declared.bases]
    made = builtins.__build_class__(FunctionType(declared.body, names), declared.body.co_name, *bases)
    if not declared.decorator:
        return made
    decorate = getattr(names["pulumi"], declared.decorator)
    return decorate(declared.token)(made) if declared.token else decorate(made)
