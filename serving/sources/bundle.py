"""A checkpoint's index: how large each of its data files must be.

The index is a table of LevelDB's form (https://github.com/google/leveldb/blob/main/doc/table_format.md), uncompressed; its values are
BundleHeaderProto and BundleEntryProto
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from serving.sources.wire import Bytes, CutError, Span, fields, mapped, varint

_FOOTER = 48
_MOST_SHARDS = 100_000  # five digits in a name
_MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER = 5  # a block's form of compression, and its checksum


def shard_sizes(index: Path) -> Mapping[str, int]:
    """The checkpoint's data files by name, each with the bytes that it holds at least.

    Raises:
        CutError: it is no index, or not all of it is there.
        OSError: it cannot be read.
    """
    stem = index.name.removesuffix(".index")
    with mapped(index) as data:
        shards, least = 0, dict[int, int]()
        for key, value in _entries(data):
            numbers = {number: one for number, one in fields(data, value) if isinstance(one, int)}
            if not key:
                shards = numbers.get(1, 0)
                continue
            shard = numbers.get(3, 0)
            least[shard] = max(least.get(shard, 0), numbers.get(4, 0) + numbers.get(5, 0))
    if not 0 < shards <= _MOST_SHARDS or max(least, default=0) >= shards:
        raise CutError("it names no data files")
    return {f"{stem}.data-{shard:05d}-of-{shards:05d}": least.get(shard, 0) for shard in range(shards)}


def _entries(data: Bytes) -> Iterator[tuple[bytes, Span]]:
    size = len(data)
    if size < _FOOTER or data[size - 8 : size] != _MAGIC:
        raise CutError("its end is missing")
    at = size - _FOOTER
    for _ in range(2):  # the handle of a block of other facts, which is empty
        _, at = varint(data, at, size)
    for _, handle in _block(data, at, size):
        yield from _block(data, *handle)


def _block(data: Bytes, at: int, end: int) -> Iterator[tuple[bytes, Span]]:
    """Keys and values of the block that a handle (offset and length, at `at`) points to."""
    offset, at = varint(data, at, end)
    length, at = varint(data, at, end)
    if offset + length + _TRAILER > len(data) or length < 4 or data[offset + length] != 0:
        raise CutError(f"its block at byte {offset} is not there or compressed")
    last = offset + length - 4
    restarts = int.from_bytes(data[last : last + 4], "little")
    last -= 4 * restarts
    key, at = b"", offset
    while at < last:
        shared, at = varint(data, at, last)
        unshared, at = varint(data, at, last)
        size, at = varint(data, at, last)
        key = key[:shared] + data[at : at + unshared]
        at += unshared
        if at + size > last:
            raise CutError(f"an entry at byte {at} goes beyond its block")
        yield key, (at, at + size)
        at += size
