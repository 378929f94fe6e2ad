"""An environment for each peer below the cache folder, made by uv where it is on PATH, else by venv and pip."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_SECONDS = 1200.0


def make(cache: Path, name: str, requirements: Sequence[str]) -> Path:
    """The folder of an environment with these packages; made anew where they are others than before.

    Raises:
        RuntimeError: they cannot be installed; what the installer said last.
    """
    digest = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:8]
    folder = cache / "peers" / f"{name}-{digest}"
    done = folder / "installed"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements])
    done.touch()
    return folder


def version(folder: Path, package: str) -> str:
    """Of an installed package."""
    code = f"import importlib.metadata, json; print(json.dumps(importlib.metadata.version({package!r})))"
    done = subprocess.run([str(folder / "bin" / "python"), "-c", code], capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout))


def surroundings(folder: Path, more: dict[str, str]) -> dict[str, str]:
    """Environment variables for a program of a peer: ours without what belongs to our own Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "UV_"))}
    return {**kept, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(folder), **more}


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"not installed: {type(error).__name__}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise RuntimeError(f"not installed: {lines[-1][:200]}")
