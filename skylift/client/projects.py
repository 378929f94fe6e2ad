"""Making a project and its stack files. Nothing that exists is overwritten."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import yaml

from skylift import __version__, assets
from skylift.errors import ConflictError, MachineError, NotFoundError
from skylift.stack.project import Project

PORT = 8501
"""The port of TensorFlow Serving's REST API, which clients expect."""

IGNORED = """\
# A stack's files are yours to commit; what lies in .skylift is this machine's alone.
/.skylift/
"""

REQUIREMENTS = f"""\
# Exactly what this release was tested with; `pip install -r requirements.txt` gives another machine the same.
skylift[train,serve,serve-tensorflow]=={__version__}
"""


@dataclass(frozen=True)
class Wish:
    """What a new stack should be. `port` None means PORT if it is free, else any free one."""

    name: str = "local"
    target: str = "local"
    port: int | None = None
    owner: str | None = None
    is_disposable: bool = False


def init(folder: Path, wish: Wish) -> list[Path]:
    """Write the stack's file, and the project around it if there is none.

    Returns:
        The files written.

    Raises:
        ConflictError: the stack has a file already, or the folder holds another Pulumi project.
        MachineError: the folder cannot be written.
    """
    project, written = _project(folder)
    path = project.stack_file(wish.name)
    if path.exists():
        raise ConflictError(f"{path} exists already", hint=f"edit it, or choose another name than {wish.name!r}")
    text = _stack_text(project, wish)
    return [*written, _write(path, text)]


def _project(folder: Path) -> tuple[Project, list[Path]]:
    try:
        return Project.find(folder), []
    except NotFoundError:
        pass
    root = folder.resolve()
    if (root / "Pulumi.yaml").exists():
        raise ConflictError(
            f"{root} holds another Pulumi project", hint="run `skylift init` in a folder of its own beside it"
        )
    written = []
    for name in ("Pulumi.yaml", "__main__.py", "stacks/Pulumi.example-local.yaml"):
        if not (root / name).exists():
            written.append(_write(root / name, assets.path(name).read_text(encoding="utf-8")))
    if not (root / "requirements.txt").exists():
        locked = assets.path("requirements/local.txt").read_text(encoding="utf-8")
        written.append(_write(root / "requirements.txt", REQUIREMENTS + locked))
    if not (root / ".gitignore").exists():
        written.append(_write(root / ".gitignore", IGNORED))
    return Project(root), written


def _stack_text(project: Project, wish: Wish) -> str:
    port = wish.port if wish.port is not None else _port(project)
    config: dict[str, object] = {"skylift:target": wish.target}
    if wish.owner:
        config["skylift:owner"] = wish.owner
    if wish.is_disposable:
        config["skylift:disposable"] = True
    config["skylift:endpoints"] = {"default": {"port": port}}
    head = f"# The stack {wish.name}. stacks/Pulumi.example-{wish.target}.yaml explains every setting.\n"
    return head + yaml.safe_dump({"config": config}, sort_keys=False)


def _port(project: Project) -> int:
    """PORT unless another stack or program has it; 0, which takes any free one and keeps it, otherwise."""
    if any(str(PORT) in project.stack_file(stack).read_text(encoding="utf-8") for stack in project.stacks()):
        return 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def _write(path: Path, text: str) -> Path:
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise MachineError(
            f"{path} cannot be written: {error.strerror}", hint="choose a folder that you may write to, with free space"
        ) from None
    return path
