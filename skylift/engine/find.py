"""Find `pulumi` 3.200 or newer with its Python language host: on PATH, installed officially, or built from Go modules.

What is found in the per-user cache is used without starting a process; what lies on PATH is asked for its version once per file.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skylift import assets
from skylift.engine import golang, official
from skylift.engine.progress import OnBuild, silent
from skylift.errors import MachineError, SkyliftError

OLDEST = (3, 200, 0)
PARTS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
"""What a whole engine for a Python program consists of."""

Source = Literal["PATH", "official", "built"]


@dataclass(frozen=True)
class Tool:
    """An engine that can be used.

    Args:
        path: the program `pulumi`.
        version: `3.200.0`.
        path_entries: folders that must stand on PATH for it to find its parts.
    """

    path: Path
    version: str
    source: Source
    path_entries: tuple[Path, ...]


def find_pulumi(build: bool = True, progress: OnBuild | None = None) -> Tool:
    """The engine to use, made if need be.

    Args:
        build: whether to install or build one where there is none; takes some minutes.
        progress: told how far that is.

    Raises:
        MachineError: there is none and none can be had; the message names every way that was tried.
    """
    tried: list[str] = []
    for look in (_on_path, _in_cache):
        found = look(tried)
        if found is not None:
            return found
    if build:
        for make in (_install, _build):
            try:
                return make(progress or silent)
            except SkyliftError as error:
                tried.append(error.message)
    raise MachineError(
        "no Pulumi engine: " + "; ".join(tried),
        hint="one of these helps: install Pulumi 3.200 or newer (https://www.pulumi.com/docs/install/) and have it on PATH; "
        "open the way to https://get.pulumi.com; or install Go 1.24 or newer (https://go.dev/dl/, `apt install golang`, "
        "`brew install go`) and run again: skylift then builds the engine itself, once, in about four minutes",
        details={"tried": tried},
    )


def cache_folder() -> Path:
    """Where engines are kept for this user: one folder per version, system and processor."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("skylift")) / "pulumi"


def built_folder() -> Path:
    """Where the engine that is built from the Go modules of this release lies, once it does."""
    return cache_folder() / f"v{pinned_version()}-{sys.platform}-{platform.machine()}"


def pinned_version() -> str:
    """The engine's version that tools/pulumi/go.mod names."""
    text = (assets.path("tools/pulumi") / "go.mod").read_text(encoding="utf-8")
    match = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", text)
    if match is None:
        raise MachineError("tools/pulumi/go.mod names no engine", hint="install skylift again")
    return match.group(1)


# looking


def _on_path(tried: list[str]) -> Tool | None:
    found = shutil.which("pulumi")
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "bin" / "pulumi"
    for path in [Path(found)] if found else [home] if home.is_file() else []:
        folder = path.resolve().parent
        source: Source = "built" if folder == built_folder() else "PATH"
        missing = [part for part in PARTS if not (folder / part).exists() and shutil.which(part) is None]
        version = _version_of(path)
        if version is None:
            tried.append(f"{path} does not tell its version")
        elif _numbers(version) < OLDEST:
            tried.append(f"{path} is {version}, older than {'.'.join(map(str, OLDEST))}")
        elif missing:
            tried.append(f"{path} lacks {', '.join(missing)}")
        else:
            return Tool(path, version, source, (path.parent,) if path.parent == folder else (path.parent, folder))
    if not tried:
        tried.append("none on PATH")
    return None


def _in_cache(_: list[str]) -> Tool | None:
    built = built_folder()
    if is_whole(built):
        return Tool(built / "pulumi", pinned_version(), "built", (built,))
    installed = sorted(cache_folder().glob(f"official-*-{sys.platform}-{platform.machine()}"), reverse=True)
    for folder in installed:
        if is_whole(folder / "bin"):
            return Tool(folder / "bin" / "pulumi", folder.name.split("-")[1], "official", (folder / "bin",))
    return None


def is_whole(folder: Path) -> bool:
    """Whether a folder holds every part of an engine."""
    return all((folder / part).is_file() for part in PARTS)


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else (0,)


def _version_of(path: Path) -> str | None:
    """Ask a program for its version; the answer is remembered for as long as the file stays as it is."""
    memory = cache_folder() / "versions.json"
    stat = path.stat()
    key = f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
    known: dict[str, str] = {}
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if key in known:
            return known[key]
    except (OSError, ValueError):
        pass
    version = _ask_version(path)
    if version is not None:
        _remember(memory, {**dict(list(known.items())[-20:]), key: version})
    return version


def _ask_version(path: Path) -> str | None:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run([path, "version"], capture_output=True, text=True, timeout=30, env=environment)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"v?(\d+\.\d+\.\d+\S*)", done.stdout)
    return match.group(1) if match else None


def _remember(memory: Path, known: dict[str, str]) -> None:
    fresh = memory.with_name(f"versions.{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(known), encoding="utf-8")
        fresh.replace(memory)
    except OSError:  # a cache that cannot be written costs a tenth of a second next time
        fresh.unlink(missing_ok=True)


# making


def _install(progress: OnBuild) -> Tool:
    official.require_reachable()
    target = cache_folder() / f"official-{official.version()}-{sys.platform}-{platform.machine()}"
    make_once(
        target, lambda fresh: official.install(fresh, progress), lambda folder: is_whole(folder / "bin"), progress
    )
    return Tool(target / "bin" / "pulumi", official.version(), "official", (target / "bin",))


def _build(progress: OnBuild) -> Tool:
    golang.require(cache_folder())
    target = built_folder()
    version = pinned_version()
    make_once(target, lambda fresh: golang.build(fresh, version, progress), is_whole, progress)
    return Tool(target / "pulumi", version, "built", (target,))


def make_once(target: Path, make: Callable[[Path], None], whole: Callable[[Path], bool], progress: OnBuild) -> None:
    """Fill the folder `target` by `make`, which gets an empty folder beside it; it takes the name when it is whole.

    A second process that wants the same waits for the first and uses what it made. What a killed one left is removed.
    """
    import filelock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(target.with_name(f"{target.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            progress_waiting(progress)
            lock.acquire(timeout=3600)
        try:
            _make_alone(target, make, whole)
        finally:
            lock.release()
    except OSError as error:
        raise MachineError(
            f"{target} cannot be written: {error.strerror or error}", hint="mend its rights, or free disk space"
        ) from None


def progress_waiting(progress: OnBuild) -> None:
    from skylift.engine.progress import BuildProgress

    progress(BuildProgress("waiting for another process that makes the same engine"))


def _make_alone(target: Path, make: Callable[[Path], None], whole: Callable[[Path], bool]) -> None:
    if whole(target):
        return
    for old in target.parent.glob(f"{target.name}.part-*"):
        shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    fresh = target.with_name(f"{target.name}.part-{os.getpid()}")
    fresh.mkdir()
    try:
        make(fresh)
        if not whole(fresh):
            raise MachineError(f"the engine made in {fresh} is not whole", hint="run again")
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
