"""What this machine has and lacks: one line a thing, with the fix. Looks, never changes; values of credentials are never read."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skylift.engine import golang
from skylift.engine.find import find_pulumi
from skylift.errors import MachineError

Level = Literal["ok", "warn", "missing"]

LOW_DISK_GIB = 5.0
"""Below this much free disk the first build of the engine, or a few models, may fail [GiB]."""


@dataclass(frozen=True)
class Check:
    """One thing. `missing`: something that every user needs is not there; `warn`: something that only some need."""

    name: str
    level: Level
    found: str
    fix: str = ""


def checks(folder: Path | None = None) -> list[Check]:
    """Look at everything.

    Args:
        folder: where the project is or will be, for its disk; default the current folder.
    """
    look: Iterable[Callable[[], Check]] = (
        _python,
        _pulumi,
        _go,
        lambda: _package("TensorFlow", ("tensorflow", "tensorflow-cpu"), "train"),
        lambda: _package("ONNX Runtime", ("onnxruntime", "onnxruntime-gpu"), "serve"),
        _docker,
        lambda: _disk(folder or Path.cwd()),
        _keyring,
        _google,
        _aws,
        _azure,
    )
    return [one() for one in look]


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", "ok", found)
    return Check("Python", "missing", found, "use Python 3.11, 3.12 or 3.13: `uv python install 3.13`")


def _pulumi() -> Check:
    try:
        tool = find_pulumi(build=False)
    except MachineError as error:
        if golang.program() is not None:
            return Check(
                "Pulumi", "warn", "none yet", "nothing to do: the first `skylift up` builds it, about four minutes"
            )
        return Check("Pulumi", "missing", "none", error.hint)
    return Check("Pulumi", "ok", f"{tool.version}, {tool.source} ({tool.path})")


def _go() -> Check:
    program = golang.program()
    if program is None:
        fix = (
            "only needed where Pulumi cannot be installed: https://go.dev/dl/, `apt install golang`, `brew install go`"
        )
        return Check("Go", "warn", "none", fix)
    words = _output([str(program), "version"])
    match = re.search(r"go(\d+\.\d+(\.\d+)?)", words or "")
    return Check("Go", "ok" if match else "warn", match[1] if match else f"{program} does not run")


def _package(name: str, distributions: tuple[str, ...], extra: str) -> Check:
    for distribution in distributions:
        try:
            return Check(name, "ok", f"{importlib.metadata.version(distribution)} ({distribution})")
        except importlib.metadata.PackageNotFoundError:
            continue
    return Check(
        name, "warn", "not installed", f"needed to {extra} on this machine: `uv pip install 'skylift[{extra}]'`"
    )


def _docker() -> Check:
    client = shutil.which("docker")
    if client is None:
        return Check(
            "Docker", "warn", "none", "only needed to build images for clouds: https://docs.docker.com/engine/install/"
        )
    server = _output([client, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"])
    if server and len(server.split()) == 2:
        return Check("Docker", "ok", "client {}, daemon {}".format(*server.split()))
    return Check(
        "Docker", "warn", "client only", "start the daemon (`systemctl start docker`) and join the group `docker`"
    )


def _disk(folder: Path) -> Check:
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(existing).free / 2**30
    found = f"{free:.1f} GiB free at {existing}"
    return (
        Check("Disk", "ok", found)
        if free >= LOW_DISK_GIB
        else Check("Disk", "warn", found, "free some: `skylift gc` shows what")
    )


def _keyring() -> Check:
    """Whether secrets for runs can be kept in the system's keyring; the choice of keyring is read without opening it."""
    try:
        import keyring

        chosen = keyring.get_keyring()
        usable = getattr(chosen, "priority", 0) > 0
        found = f"{type(chosen).__module__}"
    except Exception as error:  # any back end may fail in its own way while it is loaded
        usable, found = False, str(error)
    if usable:
        return Check("Keyring", "ok", found)
    fix = "only needed for `train --secret`: unlock a keyring, or keep the secret in a file that only you can read"
    return Check("Keyring", "warn", "none that works", fix)


# credentials: where each cloud's own tools would look, presence only


def _google() -> Check:
    config = Path(os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud")
    found = _first_present(
        ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN"),
        (config / "application_default_credentials.json",),
    )
    return _credentials("Google Cloud", found, "`gcloud auth application-default login`")


def _aws() -> Check:
    home = Path.home() / ".aws"
    files = (
        Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"),
        Path(os.environ.get("AWS_CONFIG_FILE") or home / "config"),
    )
    found = _first_present(("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"), files)
    return _credentials("AWS", found, "`aws configure sso` or `aws login`")


def _azure() -> Check:
    folder = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    found = _first_present(("AZURE_CLIENT_ID", "ARM_CLIENT_ID"), (folder / "azureProfile.json",))
    return _credentials("Azure", found, "`az login`")


def _first_present(variables: tuple[str, ...], files: tuple[Path, ...]) -> str | None:
    for name in variables:
        if os.environ.get(name):
            return name
    return next((str(path) for path in files if path.is_file()), None)


def _credentials(cloud: str, found: str | None, how: str) -> Check:
    if found:
        return Check(f"{cloud} credentials", "ok", f"from {found}")
    return Check(f"{cloud} credentials", "warn", "none", f"only needed for stacks on {cloud}: {how}")


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
