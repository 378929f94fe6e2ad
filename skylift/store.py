"""Object storage by URL, the same few verbs everywhere: `file:///folder`, `s3://bucket`, `gs://bucket`, `az://account/container`.

Writes are atomic: a reader sees a whole object or none. `create` never overwrites, `replace` only overwrites what is unchanged since
it was read; both hold between processes and machines. On files, where obstore has no conditional update, `replace` holds a lock on
the bucket's folder, which the kernel lets go with the process.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions as raised

from skylift.errors import (
    ConflictError,
    CredentialsError,
    InputError,
    MachineError,
    NotFoundError,
    SkyliftError,
    UnreachableError,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("file", "s3", "gs", "az")
CHUNK = 8 * 1024 * 1024
"""Bytes that one step of a stream holds in memory."""


class ObjectNotFoundError(NotFoundError):
    """No object has that key."""


class ObjectExistsError(ConflictError):
    """`create` found an object of that key."""


class ObjectChangedError(ConflictError):
    """`replace` found another object than the one that was read."""


@dataclass(frozen=True)
class Token:
    """What the store calls this state of an object: ETag on S3, Azure and files, generation on Google."""

    e_tag: str | None
    version: str | None = None


@dataclass(frozen=True)
class Stat:
    """An object without its bytes. `modified` is by the store's clock, `size` in bytes."""

    key: str
    size: int
    modified: datetime
    token: Token


@dataclass(frozen=True)
class Blob:
    """An object with its bytes."""

    data: bytes
    token: Token
    modified: datetime


class Store:
    """A bucket, or a folder of one, behind a URL. Safe to share between threads; a new process opens its own."""

    def __init__(self, url: str, raw: ObjectStore, folder: Path | None) -> None:
        self.url = url
        self.folder = folder
        """Where the objects lie if they are files, else None."""
        self._raw = raw

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def where(self, key: str) -> str:
        """The URL of an object, for messages."""
        return f"{self.url}/{key}"

    # whole objects

    def create(self, key: str, data: bytes) -> Token:
        """Write an object that must not exist yet.

        Raises:
            ObjectExistsError: it does; nothing was changed.
        """
        try:
            return _token(obstore.put(self._raw, key, data, mode="create"))
        except raised.AlreadyExistsError:
            raise ObjectExistsError(f"{self.where(key)} exists already") from None
        except Exception as error:
            self._raise(error, key, "write")

    def put(self, key: str, data: bytes) -> Token:
        """Write an object, whatever was there. For what one writer owns: status, heartbeats, replica reports."""
        try:
            return _token(obstore.put(self._raw, key, data, use_multipart=False))
        except Exception as error:
            self._raise(error, key, "write")

    def replace(self, key: str, data: bytes, read: Token) -> Token:
        """Write an object if it is still the one that was read with `read`.

        Raises:
            ObjectChangedError: it is not, or it is gone; nothing was changed.
        """
        try:
            if self.folder is not None:
                with _locked(self.folder):
                    found = self.stat(key)
                    if found is None or found.token.e_tag != read.e_tag:
                        raise ObjectChangedError(f"{self.where(key)} was changed by somebody else")
                    return self.put(key, data)
            return _token(obstore.put(self._raw, key, data, mode={"e_tag": read.e_tag, "version": read.version}))
        except SkyliftError:
            raise
        except raised.PreconditionError:
            raise ObjectChangedError(f"{self.where(key)} was changed by somebody else") from None
        except Exception as error:
            self._raise(error, key, "write")

    def get(self, key: str) -> Blob:
        """Read an object.

        Raises:
            ObjectNotFoundError: there is none.
        """
        blob = self._get(key, None)
        assert blob is not None
        return blob

    def get_if_changed(self, key: str, read: Token | None) -> Blob | None:
        """Read an object unless it is the one that was read with `read`; None if so.

        Raises:
            ObjectNotFoundError: there is none.
        """
        return self._get(key, read)

    def _get(self, key: str, read: Token | None) -> Blob | None:
        try:
            options: Any = {"if_none_match": read.e_tag} if read is not None and read.e_tag else None
            result = obstore.get(self._raw, key, options=options)
            meta = result.meta
            return Blob(bytes(result.bytes()), Token(meta["e_tag"], meta["version"]), meta["last_modified"])
        except raised.NotModifiedError:
            return None
        except Exception as error:
            self._raise(error, key, "read")

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes from offset `start` on."""
        try:
            return bytes(obstore.get_range(self._raw, key, start=start, length=length))
        except Exception as error:
            self._raise(error, key, "read")

    # looking

    def stat(self, key: str) -> Stat | None:
        """What the store knows of an object, or None."""
        try:
            return _stat(obstore.head(self._raw, key))
        except FileNotFoundError:
            return None
        except Exception as error:
            self._raise(error, key, "look at")

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[Stat]:
        """All objects below the folder `prefix`, in order of key, behind the key `after`."""
        try:
            stream = obstore.list(self._raw, prefix or None, offset=after or None)
            found = [_stat(meta) for chunk in stream for meta in chunk]
        except FileNotFoundError:
            return
        except Exception as error:
            self._raise(error, prefix, "list")
        yield from sorted(found, key=lambda stat: stat.key) if self.folder is not None else found

    def folders(self, prefix: str = "") -> Sequence[str]:
        """Names of the folders right below the folder `prefix`, sorted."""
        try:
            result = obstore.list_with_delimiter(self._raw, prefix or None)
        except FileNotFoundError:
            return []
        except Exception as error:
            self._raise(error, prefix, "list")
        return sorted(path.rstrip("/").rpartition("/")[2] for path in result["common_prefixes"])

    def names(self, prefix: str = "") -> Sequence[Stat]:
        """Objects right below the folder `prefix`, in order of key."""
        try:
            result = obstore.list_with_delimiter(self._raw, prefix or None)
        except FileNotFoundError:
            return []
        except Exception as error:
            self._raise(error, prefix, "list")
        return sorted((_stat(meta) for meta in result["objects"]), key=lambda stat: stat.key)

    def clock(self, key: str) -> datetime:
        """The store's time now, by writing the small object `key`: ages are judged by it, never by this machine."""
        self.put(key, b"")
        found = self.stat(key)
        return found.modified if found is not None else datetime.now(UTC)

    # streams

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """An object's bytes from `start` on, piece by piece, in constant memory."""
        try:
            options: Any = {"range": {"offset": start}} if start else None
            for piece in obstore.get(self._raw, key, options=options).stream(min_chunk_size=CHUNK):
                yield bytes(piece)
        except Exception as error:
            self._raise(error, key, "read")

    def copy(self, source: str, target: str) -> None:
        """Copy inside the store, without the bytes passing through here."""
        try:
            obstore.copy(self._raw, source, target, overwrite=True)
        except Exception as error:
            self._raise(error, source, "copy")

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are gone already do not matter."""
        for key in keys:
            try:
                obstore.delete(self._raw, key)
            except FileNotFoundError:
                continue
            except Exception as error:
                self._raise(error, key, "delete")

    def _raise(self, error: Exception, key: str, verb: str) -> NoReturn:
        raise translate(error, self.where(key), verb) from error


def open_store(url: str) -> Store:
    """Open a bucket or a folder in one; credentials come from where each cloud's own tools look. Nothing is asked yet.

    Raises:
        InputError: the URL is of no known form.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise InputError(
            f"{url!r} is no store URL", hint="use file:///folder, s3://bucket, gs://bucket or az://account/container"
        )
    from obstore.store import LocalStore, from_url

    clean = url.rstrip("/")
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if parts.netloc or not folder.is_absolute():
            raise InputError(f"{url!r} is no absolute file URL", hint="write three slashes: file:///folder")
        return Store(clean, LocalStore(folder), folder)
    try:
        raw: Any = from_url(clean, retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=60)})
    except Exception as error:
        raise InputError(f"{url!r} cannot be opened: {_first_line(error)}", hint="check the URL") from error
    return Store(clean, raw, None)


def split_url(url: str) -> tuple[str, str]:
    """Split an object's or folder's URL in front of the first folder of the layout: (bucket URL, key).

    Examples:
        >>> split_url("file:///data/keep/runs/20261122t234501-3f9a0c")
        ('file:///data/keep', 'runs/20261122t234501-3f9a0c')
    """
    match = re.match(r"(.+?)/((?:runs|endpoints|models|datasets)/.+)$", url.rstrip("/"))
    if match is None:
        raise InputError(f"{url!r} names nothing in a bucket", hint="expected BUCKET/runs/RUN or BUCKET/endpoints/NAME")
    return match[1], match[2]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _token(result: Any) -> Token:
    return Token(result["e_tag"], result["version"])


def _stat(meta: Any) -> Stat:
    return Stat(meta["path"], meta["size"], meta["last_modified"], Token(meta["e_tag"], meta["version"]))


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].strip()


def translate(error: Exception, where: str, verb: str) -> SkyliftError:
    """Our error for one that obstore or the operating system raised: what could not be done, where, why, the fix."""
    if isinstance(error, SkyliftError):
        return error
    text = str(error)
    reason = _first_line(error)
    facts = {"where": where, "reason": reason}
    if isinstance(error, FileNotFoundError | raised.NotFoundError):
        return ObjectNotFoundError(f"there is no {where}", details=facts)
    if "os error 28" in text or "os error 122" in text or getattr(error, "errno", None) in (28, 122):
        return MachineError(
            f"cannot {verb} {where}: the disk is full",
            hint="free some space (`skylift gc` shows what may go) and run the same command again",
            details=facts,
        )
    if "os error 30" in text or "os error 13" in text or isinstance(error, PermissionError):
        return MachineError(
            f"cannot {verb} {where}: no right to", hint="check the owner and the mode of the folder", details=facts
        )
    if isinstance(error, raised.PermissionDeniedError | raised.UnauthenticatedError):
        return CredentialsError(
            f"not allowed to {verb} {where}", hint="sign in as somebody who may; see docs/permissions.md", details=facts
        )
    if isinstance(error, raised.InvalidPathError):
        return InputError(f"{where} is no valid key: {reason}", details=facts)
    return UnreachableError(f"cannot {verb} {where}: {reason}", hint="try again; see the reason", details=facts)
