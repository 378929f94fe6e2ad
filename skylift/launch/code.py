"""A user's recipe and what it imports, as one archive that a run on any machine can unpack.

The archive holds Python files only, those that the recipe's file reaches by imports inside its own folder or package. Equal files give
an equal archive: sorted names, no times, no owners.
"""

from __future__ import annotations

import ast
import io
import sys
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skylift.artifacts.records import digest_of
from skylift.errors import InputError, MachineError, NotFoundError, RecipeError


@dataclass(frozen=True)
class Code:
    """A packed recipe. `module` is its name below the archive's root, `files` maps names in the archive to paths here."""

    root: Path
    module: str
    files: dict[str, Path]
    archive: bytes
    digest: str


def is_own(recipe: str) -> bool:
    """Whether a recipe's name means code of the user's: a path or a dotted module."""
    return recipe.endswith(".py") or "/" in recipe or "." in recipe


def pack(recipe: str, folder: Path) -> Code:
    """Pack the recipe `path/to/file.py` or `package.module`, looked up from `folder`.

    Raises:
        NotFoundError: no such file or module.
        InputError: the path names something that no import can reach.
        RecipeError: a file is no Python.
        MachineError: a file cannot be read.
    """
    root, module = _locate(recipe, folder)
    files = dict(sorted(_reachable(root, module)))
    archive = _archive(files)
    return Code(root, module, files, archive, digest_of(archive))


def _locate(recipe: str, folder: Path) -> tuple[Path, str]:
    if recipe.endswith(".py") or "/" in recipe:
        return _locate_file((folder / recipe).resolve())
    if all(part.isidentifier() for part in recipe.split(".")):
        for root in (folder, *(Path(entry) for entry in sys.path if entry)):
            if _file_of(root, recipe) is not None:
                return root.resolve(), recipe
    raise NotFoundError(
        f"there is no module {recipe!r}", hint=f"it was looked for in {folder} and among the installed packages"
    )


def _locate_file(file: Path) -> tuple[Path, str]:
    if not file.is_file():
        raise NotFoundError(f"there is no recipe file {file}", hint="give the path of a Python file")
    if file.suffix != ".py" or "." in file.stem:
        raise InputError(
            f"{file} cannot be imported", hint="a recipe is a file NAME.py, without further dots in its name"
        )
    root = file.parent
    while (root / "__init__.py").exists():
        root = root.parent
    parts = file.relative_to(root).with_suffix("").parts
    return root, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file_of(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _reachable(root: Path, module: str) -> Iterator[tuple[str, Path]]:
    installed = root.name in ("site-packages", "dist-packages")
    top = module.split(".")[0]
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or (installed and name.split(".")[0] != top):
            continue
        seen.add(name)
        parent = name.rpartition(".")[0]
        waiting += (
            [parent] if parent else []
        )  # also where `name` is a folder without __init__.py: one above may have it
        file = _file_of(root, name)
        if file is not None:
            yield file.relative_to(root).as_posix(), file
            waiting += _imports(file, name)


def _imports(file: Path, module: str) -> list[str]:
    """Names that a file imports; `from a import b` may mean the module a.b, so both are named."""
    source = _read(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python tells them again when the recipe is imported
            tree = ast.parse(source, filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise RecipeError(
            f"{file}{f', line {line}' if line else ''}: {getattr(error, 'msg', None) or error}",
            hint="mend that line" if line else "mend the file",
        ) from None
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(package, node)
            names += [base, *(f"{base}.{alias.name}" if base else alias.name for alias in node.names)]
    return [name for name in names if name]


def _base(package: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    kept = parts[: len(parts) - (node.level - 1)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MachineError(f"{file} cannot be read: {error.strerror}", hint="mend its rights") from None


def _archive(files: dict[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:  # names of any length
        for name, path in files.items():
            data = _read(path)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
