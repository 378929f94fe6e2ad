"""What the clouds' SDKs know of their resources, read from the text of their wheels: importing them would cost seconds and memory."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from infra.lazy_code import parsing

PACKAGES: Final = {
    "aws": "pulumi_aws",
    "gcp": "pulumi_gcp",
    "azure-native": "pulumi_azure_native",
    "kubernetes": "pulumi_kubernetes",
}
"""The packages whose wheel is here, and so whose inputs can be checked."""


@dataclass(frozen=True)
class Field:
    """One input or output: its annotation, and the folder that its names are relative to."""

    name: str
    annotation: ast.expr
    home: Path
    is_required: bool = False
    constant: str | None = None

    @property
    def text(self) -> str:
        return ast.unparse(self.annotation)


@dataclass(frozen=True)
class Made:
    """A resource's class in its wheel."""

    token: str
    source: str
    name: str
    home: Path


@cache
def root(package: str) -> Path:
    found = importlib.util.find_spec(PACKAGES[package])
    assert found is not None and found.origin is not None, f"{PACKAGES[package]} is not installed"
    return Path(found.origin).parent


@cache
def version(package: str) -> str:
    return str(json.loads((root(package) / "pulumi-plugin.json").read_text())["version"])


@cache
def tokens(package: str) -> dict[str, tuple[str, str]]:
    """Token -> full name of the module, name of the class."""
    text = (root(package) / "__init__.py").read_text(encoding="utf-8")
    registered = re.search(r'resource_modules="""(.*?)"""', text, re.DOTALL)
    assert registered is not None
    return {
        token: (module["fqn"], name)
        for module in json.loads(registered.group(1))
        for token, name in module["classes"].items()
    }


@cache
def find(token: str) -> Made | None:
    package = token.removeprefix("pulumi:providers:") if token.startswith("pulumi:providers:") else token.split(":")[0]
    if package not in PACKAGES:
        return None
    if token.startswith("pulumi:providers:"):
        path = root(package) / "provider.py"
        return Made(token, str(path), "Provider", path.parent)
    if token not in tokens(package):
        return None
    module, name = tokens(package)[token]
    folder = root(package).joinpath(*module.split(".")[1:])
    path = next(path for path in _candidates(folder, name) if f"class {name}(" in _text(path))
    return Made(token, str(path), name, folder)


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    for guess in (folder / f"{snake}.py", folder / f"{name}.py"):
        if guess.exists():
            yield guess
    yield from sorted(folder.glob("*.py"))


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _classes(path: Path) -> dict[str, tuple[int, int]]:
    """Where each class of a file begins and ends."""
    starts = [(found.group(1), found.start()) for found in re.finditer(r"^class (\w+)\b", _text(path), re.MULTILINE)]
    ends = [start for _, start in starts[1:]] + [len(_text(path))]
    return {name: (start, end) for (name, start), end in zip(starts, ends, strict=True)}


def body(path: Path, name: str) -> str | None:
    if not path.exists() or name not in _classes(path):
        return None
    start, end = _classes(path)[name]
    return _text(path)[start:end]


@cache
def inputs(token: str) -> dict[str, Field] | None:
    """What the resource takes, by wire name; None for a token that the wheel does not have."""
    made = find(token)
    if made is None:
        return None
    path = Path(made.source)
    text = body(path, f"{made.name}InitArgs") or body(path, f"{made.name}Args")
    return fields(text, made.home) if text else {}


@cache
def nested(home: Path, name: str) -> dict[str, Field] | None:
    """What a nested type takes, by wire name."""
    folder, short = _resolve(home, name)
    text = body(folder / "_inputs.py", short)
    return None if text is None else fields(text, folder)


@cache
def enumeration(home: Path, name: str) -> tuple[str | float | bool, ...] | None:
    folder, short = _resolve(home, name)
    text = body(folder / "_enums.py", short)
    if text is None:
        return None
    return tuple(ast.literal_eval(found) for found in re.findall(r"^    [A-Z_0-9a-z]+ = (.+)$", text, re.MULTILINE))


def _resolve(home: Path, name: str) -> tuple[Path, str]:
    """`_meta.v1.ObjectMetaArgs` is in the folder meta/v1 of the package, a name without dots beside its user."""
    *parts, short = name.split(".")
    if not parts:
        return home, short
    package = next(parent for parent in (home, *home.parents) if (parent / "pulumi-plugin.json").exists())
    folder = package
    for part in (parts[0].removeprefix("_"), *parts[1:]):
        folder = (
            folder / part if (folder / part).is_dir() or not (folder / f"{part}_").is_dir() else folder / f"{part}_"
        )
    return folder, short


_GETTER = re.compile(
    r'@pulumi\.getter(?:\(name="([^"]+)"\))?\n(?:    @_utilities\.deprecated\(.*?\)\n)?    def (\w+)\(self\) -> ([^\n]*):\n',
    re.DOTALL,
)
_CONSTANT = re.compile(r"""^        pulumi\.set\(__self__, "(\w+)", ('[^']*')\)$""", re.MULTILINE)


def fields(text: str, home: Path) -> dict[str, Field]:
    wire = {python: name or python for name, python, _ in _GETTER.findall(text)}
    constants = {python: ast.literal_eval(_parse(value, mode="eval")) for python, value in _CONSTANT.findall(text)}
    found = {}
    for python, annotation, is_required in _signature(text):
        name = wire.get(python, python)
        found[name] = Field(name, annotation, home, is_required, constants.get(python))
    return found


def _parse(text: str, mode: str = "exec") -> Any:
    with parsing():
        return ast.parse(text, mode=mode)


def _signature(text: str) -> Iterator[tuple[str, ast.expr, bool]]:
    start = text.index("def __init__(")
    # A signature ends at the first `):` that closes a line; annotations have none.
    end = text.index("):\n", start)
    tree = _parse(text[start:end] + "): pass")
    made = tree.body[0]
    assert isinstance(made, ast.FunctionDef)
    for argument, default in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True):
        assert argument.annotation is not None
        yield argument.arg, argument.annotation, default is None


@cache
def outputs(token: str) -> dict[str, Field]:
    """What the resource tells once it is there, by wire name."""
    made = find(token)
    text = body(Path(made.source), made.name) if made else None
    if made is None or text is None:
        return {}
    found = {}
    for name, python, annotation in _GETTER.findall(text):
        tree = _parse(annotation, mode="eval").body
        found[name or python] = Field(name or python, tree, made.home, "Optional[" not in annotation)
    return found


@cache
def nested_outputs(home: Path, name: str) -> dict[str, Field]:
    """What a nested type tells, by wire name."""
    text = body(home / "outputs.py", name) or ""
    found = [
        (wire or python, _parse(annotation, mode="eval").body) for wire, python, annotation in _GETTER.findall(text)
    ]
    return {wire: Field(wire, annotation, home) for wire, annotation in found}
