"""Where the access document lies, and how it is looked at again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from skylift.artifacts import access
from skylift.clouds import secret_stores
from skylift.errors import InputError

FILE_SECONDS = 2.0
SECRET_SECONDS = 60.0
MOST_BYTES = 16 << 20


class Source(Protocol):
    """Args:
    where: for errors and logs.
    seconds: between two looks.
    """

    @property
    def where(self) -> str: ...

    @property
    def seconds(self) -> float: ...

    def read(self) -> bytes | None:
        """The document's bytes, or None where it is surely the same as at the last call. Blocks.

        Raises:
            SkyliftError: it cannot be had.
        """
        ...


class FileSource:
    """A file, read again when it is another one or was written. A Secret that Kubernetes mounts changes so too: behind a link."""

    seconds = FILE_SECONDS

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        self._seen: tuple[int, ...] = ()

    def read(self) -> bytes | None:
        try:
            found = self._path.stat()
            mark = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if mark == self._seen:
                return None
            with self._path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
        except OSError as error:
            self._seen = ()
            raise InputError(
                f"{self._path} cannot be read: {error.strerror}",
                hint="give the path of an access document: `skylift keys add NAME --file PATH` makes one",
            ) from None
        if len(raw) > MOST_BYTES:
            raise InputError(f"{self._path} is greater than {MOST_BYTES >> 20} MiB", hint="revoke what is used no more")
        self._seen = mark
        return raw


class SecretSource:
    """A secret in a cloud's store, asked for as the machine's own identity."""

    seconds = SECRET_SECONDS

    def __init__(self, secret: secret_stores.Secret) -> None:
        self.where = secret.where
        self._secret = secret

    def read(self) -> bytes | None:
        return self._secret.read()


def open_source(where: str, environment: Mapping[str, str] | None = None) -> Source:
    """
    Args:
        where: a path, a file URL, or what names a secret: see skylift.clouds.secret_stores.

    Raises:
        InputError: none of these.
    """
    secret = secret_stores.find(where, os.environ if environment is None else environment)
    if secret is not None:
        return SecretSource(secret)
    parts = urlsplit(where)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return FileSource(Path(unquote(parts.path)))
    if "://" in where:
        raise InputError(f"{where} is no place of an access document", hint=f"give {secret_stores.FORMS}, or a path")
    return FileSource(Path(where))


def check(where: str) -> None:
    """Find at start what is wrong with an access document in a file; that of a secret store may not be filled yet.

    Raises:
        InputError: no such place or file, or a document with mistakes.
    """
    source = open_source(where)
    if isinstance(source, FileSource):
        access.decode(source.read() or b"", source.where)
