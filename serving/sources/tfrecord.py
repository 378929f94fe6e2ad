"""TFRecord files: records with their lengths and checksums (https://www.tensorflow.org/tutorials/load_data/tfrecord)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from serving.sources.crc32c import masked_crc32c

_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")


class RecordsError(ValueError):
    """A file is no TFRecord file, or damaged."""


def records(path: Path) -> Iterator[bytes]:
    """The records of a file, one at a time, checked.

    Raises:
        RecordsError: it is cut short or damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        while head := file.read(_HEAD.size):
            begin = file.tell() - len(head)
            if len(head) < _HEAD.size or masked_crc32c(head[:8]) != _HEAD.unpack(head)[1]:
                raise RecordsError(f"corrupted record at {begin}")
            yield _body(file, begin, _HEAD.unpack(head)[0], size)


def _body(file: BinaryIO, begin: int, length: int, size: int) -> bytes:
    if length > size - file.tell() - _TAIL.size:
        raise RecordsError(f"truncated record at {begin}")
    data, tail = file.read(length), file.read(_TAIL.size)
    if len(tail) < _TAIL.size or masked_crc32c(data) != _TAIL.unpack(tail)[0]:
        raise RecordsError(f"corrupted record at {begin}")
    return data
