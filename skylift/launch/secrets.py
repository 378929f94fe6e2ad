"""Values that a run needs and no record may hold: kept in the user's keyring, else in a file only they can read.

Records hold names. A run gets the value in its environment, under the secret's name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skylift.errors import InputError, MachineError, NotFoundError
from skylift.stack.project import Project

SERVICE = "skylift"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_name(name: str) -> str:
    """A secret's name is that of an environment variable."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be a secret's name", hint="use letters, digits and _, beginning with no digit"
        )
    return name


def store(project: Project, name: str, value: str) -> str:
    """Keep a value; return where it lies, for people."""
    check_name(name)
    ring = _keyring()
    if ring is not None:
        ring.set_password(SERVICE, name, value)
        return "the keyring"
    path = _file(project, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(".new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(value)
    beside.rename(path)
    return str(path)


def remove(project: Project, name: str) -> None:
    """Forget a value, wherever it lies."""
    check_name(name)
    found = False
    ring = _keyring()
    if ring is not None and ring.get_password(SERVICE, name) is not None:
        ring.delete_password(SERVICE, name)
        found = True
    path = _file(project, name)
    if path.exists():
        path.unlink()
        found = True
    if not found:
        raise NotFoundError(f"no secret {name!r} is kept here")


def resolve(project: Project, names: Sequence[str]) -> dict[str, str]:
    """The values of secrets.

    Raises:
        NotFoundError: some are not kept here; all of them are named.
        MachineError: a file can be read by others.
    """
    values = {name: _value(project, check_name(name)) for name in names}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise NotFoundError(
            f"no value is kept for secret {', '.join(missing)}",
            hint=f"`skylift secret set {missing[0]}` asks for it and keeps it in your keyring or a file only you can read",
        )
    return {name: value for name, value in values.items() if value is not None}


def _value(project: Project, name: str) -> str | None:
    ring = _keyring()
    found: str | None = ring.get_password(SERVICE, name) if ring is not None else None
    if found is not None:
        return found
    path = _file(project, name)
    if not path.exists():
        return None
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise MachineError(f"{path} can be read by others", hint=f"chmod 600 {path}, and think of changing the value")
    return path.read_text(encoding="utf-8")


def _file(project: Project, name: str) -> Path:
    return project.hidden / "secrets" / name


def _keyring() -> Any:
    """The user's keyring if there is a real one, else None (a server without a desktop, a container)."""
    import keyring
    from keyring.backends import fail, null

    try:
        backend = keyring.get_keyring()
    except Exception:
        return None
    unusable = isinstance(backend, fail.Keyring | null.Keyring) or not getattr(backend, "priority", 0)
    chained = getattr(backend, "backends", None)
    return None if unusable or chained == [] else backend
