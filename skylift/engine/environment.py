"""What a shell, or a process that we start, needs around it to use a stack with plain `pulumi`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from skylift.engine.find import Tool, find_pulumi
from skylift.errors import MachineError
from skylift.stack.project import NAME, Project


def environment(
    project: Project | None = None, stack: str | None = None, *, tool: Tool | None = None, create: bool = True
) -> dict[str, str]:
    """Variables to set: the engine and this Python first on PATH, the stack's backend, passphrase and selection.

    The user's own choice of a passphrase (PULUMI_CONFIG_PASSPHRASE, PULUMI_CONFIG_PASSPHRASE_FILE) stays; what is selected in
    the user's PULUMI_HOME is not touched.

    Args:
        create: whether to make the stack in its backend if it is not there yet, so that plain `pulumi up` finds it.

    Raises:
        NotFoundError: no such stack.
        MachineError: no engine, or the hidden folder cannot be written.
    """
    tool = tool or find_pulumi()
    variables = {
        "PATH": _path([*tool.path_entries, Path(sys.executable).parent]),
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if project is None or stack is None:
        return variables
    variables["PULUMI_PYTHON_CMD"] = str(_safe_python(project))
    url = project.backend_url(stack)
    variables |= {"PULUMI_BACKEND_URL": url, "SKYLIFT_BACKEND_URL": url, "PULUMI_STACK": stack}
    if not _own_passphrase():
        path = str(project.passphrase_file())
        variables |= {"PULUMI_CONFIG_PASSPHRASE_FILE": path, "SKYLIFT_PASSPHRASE_FILE": path}
    if project.unchecked(stack).get("target") == "local":
        variables["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"  # it needs no plugin but Python's own
    if create:
        from skylift.engine.run import Engine

        Engine(project, stack, tool=tool, variables=variables).create()
    return variables


def state_folder(url: str) -> Path | None:
    """The folder behind a `file://` backend, or None if state is elsewhere."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    path = unquote(parts.netloc + parts.path)
    return Path(path).expanduser() / ".pulumi"


def state_file(url: str, stack: str) -> Path | None:
    """The file that holds the stack's state in a `file://` backend, if it is there."""
    folder = state_folder(url)
    if folder is None:
        return None
    names = (folder / "stacks" / NAME / f"{stack}.json", folder / "stacks" / NAME / f"{stack}.json.gz")
    return next((path for path in names if path.is_file()), None)


def _safe_python(project: Project) -> Path:
    """This Python as the engine shall start it: with `-P`, because it starts plugins as `python -m` in the project's folder, where a
    folder of the user's named `infra` would stand before ours. Not by PYTHONSAFEPATH, which would hold for the user's whole shell."""
    path = project.hidden / "python"
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P "$@"\n'
    try:
        if path.read_text(encoding="utf-8") == text:
            return path
    except OSError:
        pass
    fresh = path.with_name(f"python.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o700)
        fresh.replace(path)
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror}", hint="free disk space, or mend its rights"
        ) from None
    return path


def _own_passphrase() -> bool:
    """Whether the user chose one. A file that `skylift env` named, perhaps for another project, is no choice of the user's."""
    named = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    return "PULUMI_CONFIG_PASSPHRASE" in os.environ or bool(
        named and named != os.environ.get("SKYLIFT_PASSPHRASE_FILE")
    )


def _path(first: list[Path]) -> str:
    entries = [str(folder) for folder in first] + os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(entry for entry in entries if entry))
