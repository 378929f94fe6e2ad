"""API keys in an access document: made, listed, revoked. Servers that follow the file know within seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from skylift import files
from skylift.artifacts import access, records
from skylift.artifacts.access import AccessDocument, KeyEntry, Verb
from skylift.errors import InputError, MachineError, NotFoundError, not_found

Made = TypeVar("Made")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def add(
    path: Path,
    name: str,
    *,
    models: Sequence[str] = (),
    verbs: Sequence[Verb] = access.USUAL,
    rate: float | None = None,
    burst: int | None = None,
    expires: datetime | None = None,
) -> tuple[str, KeyEntry]:
    """A new key; the token is nowhere but in what is returned. A file that is not there is begun.

    Raises:
        InputError: the file is no access document, or a value cannot be in one.
        MachineError: it cannot be written.
    """

    def change(document: AccessDocument) -> tuple[AccessDocument, tuple[str, KeyEntry]]:
        made = access.new_key(document, name, models=models, verbs=verbs, rate=rate, burst=burst, expires=expires)
        return msgspec.structs.replace(document, keys=(*document.keys, made[1])), made

    return _change(path, change, begins=True)


def read(path: Path) -> AccessDocument:
    """
    Raises:
        NotFoundError: there is no such file.
        InputError: it is no access document.
        MachineError: it cannot be read.
    """
    try:
        return access.decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no {path}", hint=f"`skylift keys add NAME --file {path}` begins it, or name another with --file"
        ) from None
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}", hint="mend its rights") from None


def find(path: Path, key: str) -> KeyEntry:
    """The key with an id, or the only one with a name.

    Raises:
        NotFoundError: there is none.
        InputError: several have that name.
    """
    return _find(read(path), key)


def revoke(path: Path, key_id: str) -> KeyEntry:
    """Take a key away.

    Raises:
        NotFoundError: there is none with that id.
        MachineError: the file cannot be written.
    """

    def change(document: AccessDocument) -> tuple[AccessDocument, KeyEntry]:
        gone = _find(document, key_id)
        left = tuple(key for key in document.keys if key.id != gone.id)
        return msgspec.structs.replace(document, keys=left), gone

    return _change(path, change)


def moment(text: str, now: datetime | None = None) -> datetime:
    """When a key ends: a time from now (`12h`, `90d`, `52w`) or a date (`2027-01-31`, or with a time and zone).

    Raises:
        InputError: neither, or past.

    Examples:
        >>> moment("2d", datetime(2026, 11, 1, tzinfo=UTC)).isoformat()
        '2026-11-03T00:00:00+00:00'
    """
    now = now or records.now()
    found = re.fullmatch(r"(\d{1,5})([hdw])", text)
    try:
        until = now + int(found[1]) * _UNITS[found[2]] if found else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InputError(f"{text!r} is no time", hint="give one such as 12h, 90d, 52w or 2027-01-31") from None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    if until <= now:
        raise InputError(f"{text} is past", hint="give a time to come, such as 90d")
    return until


def _find(document: AccessDocument, key: str) -> KeyEntry:
    found = [one for one in document.keys if one.id == key] or [one for one in document.keys if one.name == key]
    if not found:
        raise not_found("key", key, {one.name for one in document.keys}, hint="`skylift keys list` shows all")
    if len(found) > 1:
        raise InputError(
            f"{len(found)} keys have the name {key!r}",
            hint=f"name one by its id: {', '.join(one.id for one in found)}",
            details={"ids": [one.id for one in found]},
        )
    return found[0]


def _change(
    path: Path, change: Callable[[AccessDocument], tuple[AccessDocument, Made]], *, begins: bool = False
) -> Made:
    path = path.resolve()
    try:
        with files.locked(path.parent):
            is_there = path.exists()
            document = access.empty() if begins and not is_there else read(path)
            changed, made = change(document)
            mode = path.stat().st_mode & 0o777 if is_there else None
            files.write_whole(path, [records.encode(changed)])
            if mode is not None:
                path.chmod(mode)
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror}", hint="mend the rights of its folder, or free some space"
        ) from None
    return made
