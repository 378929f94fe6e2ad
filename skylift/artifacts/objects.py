"""Records as objects: read, read if there, written once; and many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from skylift.artifacts.records import Record, decode, encode
from skylift.errors import CredentialsError, InputError, MachineError
from skylift.store import ObjectNotFoundError, Store, Token

READERS = 16
"""Requests under way at once where many small objects are read."""

R = TypeVar("R", bound=Record)
A = TypeVar("A")
B = TypeVar("B")


class DamagedError(InputError):
    """Bytes in a bucket are not those that were published; `details["files"]` names each."""

    kind = "damaged"


@dataclass(frozen=True)
class Read(Generic[R]):
    """A record with what the store knows of it."""

    record: R
    token: Token
    modified: datetime


def read(store: Store, key: str, kind: type[R]) -> Read[R]:
    """Read a record.

    Raises:
        ObjectNotFoundError: there is none.
        RecordError: it cannot be read by this release.
    """
    blob = store.get(key)
    return Read(decode(blob.data, kind, store.where(key)), blob.token, blob.modified)


def find(store: Store, key: str, kind: type[R]) -> Read[R] | None:
    """Read a record, or None where there is none."""
    try:
        return read(store, key, kind)
    except ObjectNotFoundError:
        return None


def create(store: Store, key: str, record: Record) -> Token:
    """Write a record that must not exist yet.

    Raises:
        ObjectExistsError: it does.
    """
    return store.create(key, encode(record))


def numbered(store: Store, folder: str) -> list[int]:
    """The numbers of the objects `<folder>/<n>.json`, ascending."""
    stems = (stat.key.rpartition("/")[2].removesuffix(".json") for stat in store.names(folder))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def each(call: Callable[[A], B], items: Iterable[A], *, workers: int = READERS) -> list[B]:
    """`call` of each item, several at once, results in order; the first error ends it."""
    todo = list(items)
    if len(todo) < 2:
        return [call(item) for item in todo]
    with ThreadPoolExecutor(min(workers, len(todo))) as pool:
        futures = [pool.submit(call, item) for item in todo]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def clock(work: Store) -> datetime:
    """The store's time; this machine's where the caller may read and not write."""
    try:
        return work.clock()
    except (CredentialsError, MachineError):
        return datetime.now(UTC)
