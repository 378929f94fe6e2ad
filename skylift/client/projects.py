"""Making a project and its stack files. Nothing that exists is overwritten."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from skylift import __version__, assets
from skylift.client import bootstrap, cloud_stacks
from skylift.errors import ConflictError, InputError, MachineError, NotFoundError
from skylift.files import write_whole
from skylift.stack import settings
from skylift.stack.project import Project

PORT = 8501
"""The port of TensorFlow Serving's REST API, which clients expect."""

PARTS = ("__main__.py", "stacks/Pulumi.example-local.yaml", "Pulumi.yaml")
"""The files of a project; Pulumi.yaml last, because it is what makes the folder one."""

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
    """What a new stack should be. `port` None means PORT if it is free, else any free one; it is for target `local`, as region,
    account and stage are for the others. `backend` and `secrets_provider` are where Pulumi keeps state and by what it encrypts it."""

    name: str = "local"
    target: str = "local"
    port: int | None = None
    owner: str | None = None
    is_disposable: bool = False
    region: str | None = None
    account: str | None = None
    stage: str | None = None
    backend: str | None = None
    secrets_provider: str | None = None


def init(folder: Path, wish: Wish) -> list[Path]:
    """Write the stack's file, and the project around it if there is none.

    Returns:
        The files written.

    Raises:
        ConflictError: the stack has a file already, or the folder holds another Pulumi project or program.
        InputError: the name, a setting, the backend or the secrets provider is not allowed.
        MachineError: the folder cannot be written.
    """
    try:
        project, is_new = Project.find(folder), False
    except NotFoundError:
        project, is_new = Project(folder.resolve()), True
        _refuse_others(project.root)
    path = _stack_file(project, wish.name)
    cloud_stacks.check_state(wish.backend, wish.secrets_provider)
    on_cloud = settings.CLOUDS.get(wish.target, "local") != "local"
    text = cloud_stacks.text(wish) if on_cloud else _local_text(project, wish)
    config = yaml.safe_load(text)["config"]
    settings.check({key.partition(":")[2]: value for key, value in config.items()}, str(path))
    written = _make_project(project.root) if is_new else []
    return [*written, _write(path, text)]


def with_bootstrapped(folder: Path, wish: Wish) -> Wish:
    """The wish with backend and secrets provider that `bootstrap` made for its account, where it names none itself."""
    made = bootstrap.known(folder, settings.CLOUDS[wish.target], wish.account or "", wish.region or "")
    if made is None or wish.backend is not None:
        return wish
    return replace(wish, backend=made.backend, secrets_provider=wish.secrets_provider or made.secrets_provider)


def _stack_file(project: Project, name: str) -> Path:
    path = project.stack_file(name)
    if name.startswith("example-"):
        raise InputError(f"stack name {name!r} is not allowed", hint="names of examples begin with example-")
    if path.exists():
        raise ConflictError(f"{path} exists already", hint=f"edit it, or choose another name than {name!r}")
    return path


def _refuse_others(root: Path) -> None:
    beside = "run `skylift init` in a folder of its own beside it"
    for name in ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json"):
        if (root / name).exists():
            raise ConflictError(f"{root} holds another Pulumi project: {name}", hint=beside)
    program = root / "__main__.py"
    if program.exists() and program.read_bytes() != assets.path("__main__.py").read_bytes():
        raise ConflictError(f"{program} is another program, and Pulumi would start it as skylift's", hint=beside)


def _make_project(root: Path) -> list[Path]:
    locked = REQUIREMENTS + assets.path("requirements/local.txt").read_text(encoding="utf-8")
    texts = {"requirements.txt": locked, ".gitignore": IGNORED}
    texts |= {name: assets.path(name).read_text(encoding="utf-8") for name in PARTS}
    return [_write(root / name, text) for name, text in texts.items() if not (root / name).exists()]


def _local_text(project: Project, wish: Wish) -> str:
    head = f"# The stack {wish.name}. stacks/Pulumi.example-local.yaml explains every setting.\n"
    document: dict[str, object] = {"secretsprovider": wish.secrets_provider} if wish.secrets_provider else {}
    return head + yaml.safe_dump({**document, "config": _config(project, wish)}, sort_keys=False, width=10_000)


def _config(project: Project, wish: Wish) -> dict[str, object]:
    port = wish.port if wish.port is not None else _port(project)
    config: dict[str, object] = {"skylift:target": wish.target}
    for key in ("region", "account", "stage", "backend", "owner"):
        if getattr(wish, key):
            config[f"skylift:{key}"] = getattr(wish, key)
    if wish.is_disposable:
        config["skylift:disposable"] = True
    config["skylift:endpoints"] = {"default": {"port": port}}
    return config


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, [text.encode()], create=True)
    except FileExistsError as error:
        raise ConflictError(
            f"{error.filename or path} exists already", hint="see what it is; nothing that exists is overwritten"
        ) from None
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror}", hint="choose a folder that you may write to, with free space"
        ) from None
    return path
