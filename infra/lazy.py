"""Loads of a cloud's SDK only what a program uses: packages hold thousands of generated classes, a stack needs some dozens.

`install()` before the first import of an SDK; SKYLIFT_EAGER=1 in the environment turns it off, and nothing else knows of it. Three
kinds of the SDKs' modules are treated:

- a service's package (`pulumi_aws.ec2`) imports the module of a class when the class is asked for;
- its `_inputs`, `outputs` and `_enums` make a class when it is asked for;
- the module of a resource finds those classes behind its builtins, and so do its annotations when they are resolved.

What has another layout than the SDKs' generator writes is imported as always. What is made of a module's source is kept in the
`__pycache__` beside it.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from infra import thrift
from infra.lazy_code import Loader
from infra.lazy_types import Names, Types, TypesLoader, classes_of

EAGER = "SKYLIFT_EAGER"
"""Environment variable that keeps the plain import."""

_SDKS = ("pulumi_aws.", "pulumi_gcp.", "pulumi_azure_native.", "pulumi_kubernetes.")
_TYPES = ("_inputs", "outputs", "_enums")
_STAR = re.compile(r"^from \.(\w+) import \*$", re.MULTILINE)
_CHILDREN = "__skylift_children__"


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
            kind: type[Loader] = _ModuleLoader
            if spec.submodule_search_locations is not None:
                kind = _PackageLoader
            elif fullname.rpartition(".")[2] in _TYPES:
                kind = TypesLoader
            spec.loader = kind(fullname, spec.loader.path)
        return spec


# the module of a resource


class _ModuleLoader(Loader):
    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = Names(module.__name__.rpartition(".")[0])
        exec(self.prepared(), vars(module))  # noqa: S102

    def prepare(self, thriftily: bool) -> CodeType:
        return self.compiled(thriftily)


# a service's package


class _PackageLoader(Loader):
    def exec_module(self, module: ModuleType) -> None:
        children, code = self.prepared()
        try:
            exec(code, vars(module))  # noqa: S102
        except NameError:  # it uses what it would have imported
            super().exec_module(module)
        else:
            vars(module)[_CHILDREN] = children
            module.__class__ = _Package

    def prepare(self, thriftily: bool) -> tuple[dict[str, str], CodeType]:
        source = self.get_source(self.name) or ""
        children = {_squeezed(child): child for child in _STAR.findall(source)}
        return children, self.compiled(thriftily, _STAR.sub("", source))


class _Package(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if vars(self)[_CHILDREN] and (name == "__all__" or not name.startswith("__")) and _fetch(self, name):
            return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in vars(self)[_CHILDREN].values() and isinstance(value, ModuleType) and not isinstance(value, Types):
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
        if not isinstance(module, Types):
            _bind(package, module)
        elif name in classes_of(module):
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
