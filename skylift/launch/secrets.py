"""Values that a run needs and no record may hold: kept in the user's keyring, else in a file only they can read.

Records hold names. A run gets the value in its environment, under the secret's name.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
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
    """Keep a value; return where it lies, for people. It takes the place of one that was kept before, wherever that lies.

    Raises:
        InputError: the name or the value cannot be handed over in an environment.
        MachineError: the keyring is locked, or the file cannot be written.
    """
    check_name(name)
    if not value or "\0" in value:
        raise InputError(
            f"the value of {name} {'holds a NUL byte' if value else 'is empty'}",
            hint="an environment cannot hold it so",
        )
    path = _file(project, name)
    ring = _keyring()
    if ring is not None:
        with _talking():
            ring.set_password(SERVICE, name, value)
        with _at(path):
            path.unlink(missing_ok=True)  # of a day without a keyring: it must not come back on another
        return "the keyring"
    with _at(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(value.encode())
        beside.rename(path)
    return str(path)


def remove(project: Project, name: str) -> None:
    """Forget a value, wherever it lies.

    Raises:
        NotFoundError: none is kept.
    """
    check_name(name)
    found = False
    ring = _keyring()
    with _talking():
        if ring is not None and ring.get_password(SERVICE, name) is not None:
            ring.delete_password(SERVICE, name)
            found = True
    path = _file(project, name)
    with _at(path):
        if path.exists():
            path.unlink()
            found = True
    if not found:
        raise NotFoundError(f"no secret {name!r} is kept here", hint="look for a slip in the name: case counts")


def resolve(project: Project, names: Sequence[str]) -> dict[str, str]:
    """The values of secrets.

    Raises:
        NotFoundError: some are not kept here; all of them are named.
        MachineError: a file can be read by others or not by us, or the keyring is locked.
    """
    values = {name: _value(project, check_name(name)) for name in names}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise NotFoundError(
            f"no value is kept for secret {', '.join(missing)}",
            hint=f"`skylift secret set {missing[0]}` asks for it and keeps it in your keyring or a file only you can read",
            details={"missing": missing},
        )
    return {name: value for name, value in values.items() if value is not None}


def _value(project: Project, name: str) -> str | None:
    ring = _keyring()
    with _talking():
        found: str | None = ring.get_password(SERVICE, name) if ring is not None else None
    if found is not None:
        return found
    path = _file(project, name)
    with _at(path):
        if not path.exists():
            return None
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise MachineError(
                f"{path} can be read by others", hint=f"chmod 600 {path}, and think of changing the value"
            )
        return path.read_bytes().decode()


def _file(project: Project, name: str) -> Path:
    return project.hidden / "secrets" / name


@contextlib.contextmanager
def _at(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{path} cannot be read or written: {error.strerror}",
            hint="mend the rights of its folder, or free some space",
        ) from None


@contextlib.contextmanager
def _talking() -> Iterator[None]:
    """A keyring that is there and refuses is an error: the value in a file may be another one."""
    from keyring.errors import KeyringError

    try:
        yield
    except KeyringError as error:
        raise MachineError(
            f"the keyring refuses: {error or type(error).__name__}",
            hint="unlock it, or set PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring to use a file in place of it",
        ) from None


def _keyring() -> Any:
    """The user's keyring if there is a real one, else None (a server without a desktop, a container)."""
    import keyring
    from keyring.backends import fail, null

    try:
        backend = keyring.get_keyring()
        unusable = isinstance(backend, fail.Keyring | null.Keyring) or not getattr(backend, "priority", 0)
    except Exception:
        return None
    chained = getattr(backend, "backends", None)
    return None if unusable or chained == [] else backend
