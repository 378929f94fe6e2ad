"""Object storage by URL, the same few verbs everywhere: `file:///folder`, `s3://bucket`, `gs://bucket`, `az://account/container`.

Writes are atomic: a reader sees a whole object or none. `create` never overwrites, `replace` only overwrites what is unchanged since
it was read; both hold between processes and machines. On files, where obstore has no conditional update, `replace` holds a lock on
the bucket's folder, which the kernel lets go with the process. What is being written to a file lies beside it as `name#number`, which
no listing shows; a number that a killed process left behind goes with the next write of the same object.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
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
from skylift.files import locked, pieces_of, write_whole

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("file", "s3", "gs", "az")
CHUNK = 8 * 1024 * 1024
"""Bytes that one step of a stream holds in memory."""
COPY_LIMIT = 5 * 1000**3
"""Bytes up to which every cloud copies an object in one request."""
CLOCK = "live/clock"
"""The object that `clock` writes unless told otherwise."""

azure_credentials: Callable[[], object | None] | None = None
"""Makes what gives tokens for Azure's storage, where obstore's own way finds none: skylift.clouds.azure_storage sets it. This module
asks no cloud but through obstore."""

T = TypeVar("T")


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
                with locked(self.folder):
                    found = self.stat(key)
                    if found is None or found.token.e_tag != read.e_tag:
                        raise ObjectChangedError(f"{self.where(key)} was changed by somebody else")
                    write_whole(self.folder / check_key(key), [data], behind=found.modified)
                    return self._token_of(key)
            return _token(obstore.put(self._raw, key, data, mode=_update(read), use_multipart=False))
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

    def read_range(self, key: str, start: int, length: int, *, read: Token | None = None) -> bytes:
        """At most `length` bytes from offset `start` on, fewer where the object ends; tried again where the way there breaks.

        Raises:
            ObjectChangedError: the object is no longer the one that was read with `read`.
        """
        return retried(lambda: self._range(key, start, length, read)[0])

    def _range(self, key: str, start: int, length: int, read: Token | None) -> tuple[bytes, Token]:
        options: Any = {"range": (start, start + length)}
        if read is not None and read.e_tag:
            options["if_match"] = read.e_tag
        try:
            result = obstore.get(self._raw, key, options=options)
            return bytes(result.bytes()), Token(result.meta["e_tag"], result.meta["version"])
        except raised.PreconditionError:
            raise ObjectChangedError(f"{self.where(key)} was changed while it was read") from None
        except Exception as error:
            found = self.stat(key) if not isinstance(error, FileNotFoundError) else None
            if found is not None and start >= found.size:
                return (
                    b"",
                    found.token,
                )  # a range behind the end is an error to every store, and each says it in other words
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

    def clock(self, key: str = CLOCK) -> datetime:
        """The store's time now, by writing the small object `key`: ages are judged by it, never by this machine."""
        self.put(key, b"")
        found = self.stat(key)
        return found.modified if found is not None else datetime.now(UTC)

    # streams

    def stream(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """An object's bytes from `start` on, piece by piece, in constant memory, each piece tried again where the way breaks.

        Raises:
            ObjectChangedError: somebody replaced the object in the middle of it.
        """
        token: Token | None = None
        while True:
            piece, token = retried(lambda at=start, read=token: self._range(key, at, CHUNK, read))  # type: ignore[misc]
            if piece:
                yield piece
            if len(piece) < CHUNK:
                return
            start += len(piece)

    def upload(
        self,
        path: Path,
        key: str,
        *,
        create: bool = False,
        sha256: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Token:
        """Write an object from a file, in constant memory. Visible when whole, never before.

        Args:
            create: the object must not exist yet. On the clouds this is certain up to 8 MiB; what is larger goes up in parts, which
                can only be looked for beforehand: give such objects a key of their content.
            sha256: what the file's bytes must hash to, in hex.
            progress: told of each further number of bytes.

        Raises:
            ObjectExistsError: `create` found one.
            InputError: the file is not what `sha256` says; nothing was written.
        """
        try:
            size = path.stat().st_size
            pieces = pieces_of(path, sha256=sha256, progress=progress)
            if self.folder is not None and (create or size > CHUNK):
                write_whole(self.folder / check_key(key), pieces, create=create)
                return self._token_of(key)
            if size <= CHUNK:
                whole = b"".join(pieces)
                return self.create(key, whole) if create else self.put(key, whole)
            if create and self.stat(key) is not None:
                raise ObjectExistsError(f"{self.where(key)} exists already")
            part = max(CHUNK, -(-size // 9_000))  # S3 takes at most 10,000 parts
            return _token(obstore.put(self._raw, key, pieces, use_multipart=True, chunk_size=part, max_concurrency=3))
        except FileExistsError:
            raise ObjectExistsError(f"{self.where(key)} exists already") from None
        except Exception as error:
            self._raise(error, key, "write")

    def copy(self, source: str, target: str) -> None:
        """Copy inside the store, without the bytes passing through here."""
        try:
            obstore.copy(self._raw, source, target, overwrite=True)
        except Exception as error:
            self._raise(error, source, "copy")

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, in any order; those that are gone already do not matter."""
        if self.folder is None and len(keys) > 1:
            try:
                obstore.delete(self._raw, list(keys))  # in bulk where the cloud can
            except FileNotFoundError:
                pass  # then one by one
            except Exception as error:
                self._raise(error, keys[0], "delete")
            else:
                return
        for key in keys:
            try:
                obstore.delete(self._raw, key)
            except FileNotFoundError:
                continue
            except Exception as error:
                self._raise(error, key, "delete")

    def _token_of(self, key: str) -> Token:
        found = self.stat(key)
        if found is None:
            raise ObjectChangedError(f"{self.where(key)} was removed by somebody else")
        return found.token

    def _raise(self, error: Exception, key: str, verb: str) -> NoReturn:
        if isinstance(error, SkyliftError):
            raise error
        raise translate(error, self.where(key), verb) from error


def open_store(url: str) -> Store:
    """Open a bucket or a folder in one; credentials come from where each cloud's own tools look. Nothing is asked yet.

    Raises:
        InputError: the URL is of no known form.
        NotFoundError: it names a folder that is not there.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise InputError(
            f"{url!r} is no store URL", hint="use file:///folder, s3://bucket, gs://bucket or az://account/container"
        )
    from obstore.store import AzureStore, LocalStore, from_url

    clean = url.rstrip("/")
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if parts.netloc or not folder.is_absolute():
            raise InputError(f"{url!r} is no absolute file URL", hint="write three slashes: file:///folder")
        if not folder.is_dir():
            raise NotFoundError(
                f"there is no folder {folder}",
                hint="`skylift up` makes it again; is the disk mounted?",
                details={"where": url},
            )
        return Store(clean, LocalStore(folder, automatic_cleanup=True), folder)
    container, _, prefix = parts.path.strip("/").partition("/")
    if not parts.netloc or (parts.scheme == "az" and not container):
        raise InputError(f"{url!r} names no bucket", hint="use s3://bucket, gs://bucket or az://account/container")
    raw: Any
    retries: Any = {"max_retries": 8, "retry_timeout": timedelta(seconds=60)}
    try:
        if parts.scheme == "az":  # obstore's own az:// names no account
            tokens = azure_credentials() if azure_credentials is not None else None
            given: Any = {} if tokens is None else {"credential_provider": tokens}
            raw = AzureStore(container, prefix=prefix or None, account_name=parts.netloc, retry_config=retries, **given)
        else:
            raw = from_url(clean, retry_config=retries)
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


def retried(call: Callable[[], T], *, attempts: int = 6, pause: Callable[[float], None] | None = None) -> T:
    """What `call` returns, tried again while the store cannot be reached, after 0.2 s, 0.4 s, … with jitter."""
    for attempt in range(attempts - 1):
        try:
            return call()
        except UnreachableError:
            (pause or time.sleep)(min(0.2 * 2**attempt, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
    return call()


_KEY = re.compile(r"(?!.*#\d+(?:/|$))(?:(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f]+(?:/(?!$)|$))+")


def check_key(key: str) -> str:
    """`key` if every store can hold it, else InputError: no control characters, no `.` or `..`, no `#` and digits at an end.

    Examples:
        >>> check_key("models/mnist/a b.txt")
        'models/mnist/a b.txt'
    """
    if not _KEY.fullmatch(key):
        raise InputError(
            f"{key!r} cannot be stored under this name",
            hint="rename the file: no control characters, and no `#` with a number at the end",
            details={"key": key},
        )
    return key


def _update(read: Token) -> Any:
    """obstore takes no None in there."""
    return {name: value for name, value in (("e_tag", read.e_tag), ("version", read.version)) if value is not None}


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
    if "os error 30" in text or getattr(error, "errno", None) == 30:
        return MachineError(
            f"cannot {verb} {where}: the folder is read-only", hint="mount it for writing", details=facts
        )
    if "os error 13" in text or "os error 1)" in text or isinstance(error, PermissionError):
        return MachineError(
            f"cannot {verb} {where}: no right to", hint="check the owner and the mode of the folder", details=facts
        )
    if "os error 20" in text or "os error 21" in text or getattr(error, "errno", None) in (20, 21):
        return InputError(f"cannot {verb} {where}: a file and a folder cannot have one name", details=facts)
    if isinstance(error, raised.PermissionDeniedError | raised.UnauthenticatedError):
        return CredentialsError(
            f"not allowed to {verb} {where}", hint="sign in as somebody who may; see docs/permissions.md", details=facts
        )
    if isinstance(error, raised.InvalidPathError):
        return InputError(f"{where} is no valid key: {reason}", details=facts)
    if "//169.254.169.254/" in text or "//metadata" in text:  # where a cloud's own machines find theirs, asked last
        return CredentialsError(
            f"cannot {verb} {where}: no credentials were found",
            hint="sign in: `aws sso login`, `gcloud auth application-default login` or `az login`",
            details=facts,
        )
    return UnreachableError(f"cannot {verb} {where}: {reason}", hint="try again; see the reason", details=facts)
