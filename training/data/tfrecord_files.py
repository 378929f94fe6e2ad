"""TFRecord files of tf.train.Example, read without TensorFlow: the framing with its checksums, and the few protobuf messages inside.

The framing: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details. The messages:
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from training.data import places
from training.data.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, Part, Piece, Reading, gather
from training.data.places import Found
from training.data.problems import BrokenError, Problem

LONGEST = 1 << 30
"""Bytes of one record beyond which the length itself must be wrong."""

Value = list[Any] | np.ndarray[Any, Any]


def plan(files: list[tuple[Found, str]], reading: Reading) -> list[Piece]:
    """Pieces of whole files: only from its start can a file be read."""
    return gather("tfrecord", [(Part(each.url, each.name, 0, each.size, 1, given), each.size) for each, given in files])


def read(part: Part, reading: Reading) -> Iterator[Chunk]:
    """The file's rows.

    Raises:
        BrokenError: a checksum does not hold, the file is cut off, or its examples differ in form.
    """
    examples: list[dict[str, Value]] = []
    size, first = 0, 1
    for number, record in enumerate(_records(part), 1):
        try:
            examples.append(example(record))
        except (ValueError, IndexError, struct.error):
            raise BrokenError(
                Problem(what="is no tf.train.Example", fix="write it again", file=part.name, row=number)
            ) from None
        size += len(record)
        if size >= CHUNK_BYTES or len(examples) >= CHUNK_ROWS:
            yield _chunk(part, first, examples)
            examples, size, first = [], 0, number + 1
    if examples:
        yield _chunk(part, first, examples)


def _records(part: Part) -> Iterator[bytes]:
    with places.open_file(part.url) as raw:
        start = raw.read(2)
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if start == b"\x1f\x8b" else raw
        if not start:
            raise BrokenError(Problem(what="the file is empty", fix="make it again, or leave it out", file=part.name))
        try:
            yield from records(file, part.name)
        except (gzip.BadGzipFile, EOFError):
            raise BrokenError(Problem(what="it is cut off or damaged", fix="copy it again", file=part.name)) from None


def records(file: BinaryIO | io.BufferedIOBase, name: str) -> Iterator[bytes]:
    """The records of a file, each with both checksums verified."""
    crc = _masked_crc()
    number = 0
    while head := file.read(12):
        number += 1
        data = b""
        if len(head) == 12:
            length, check = struct.unpack("<QI", head)
            if crc(head[:8]) == check and length <= LONGEST:
                data = file.read(length + 4)
                if len(data) == length + 4 and crc(data[:-4]) == struct.unpack("<I", data[-4:])[0]:
                    yield data[:-4]
                    continue
        what = "the file is cut off here" if len(head) < 12 or not data else "its checksum does not hold"
        raise BrokenError(Problem(what=what, fix="copy the file again, or write it again", file=name, row=number))


def _masked_crc() -> Callable[[bytes], int]:
    crc = _crc32c()

    def masked(data: bytes) -> int:
        value = crc(data)
        return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF

    return masked


def _crc32c() -> Callable[[bytes], int]:
    try:
        import google_crc32c  # comes with Beam
    except ImportError:
        return crc32c
    compiled: Callable[[bytes], int] = google_crc32c.value
    return compiled


_POLYNOMIAL = 0x82F63B78


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), a byte at a time: some 8 MB/s, for where nothing compiled is installed.

    Examples:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF


def example(record: bytes) -> dict[str, Value]:
    """The features of an Example by name: a list of bytes, or an array of float32 or int64."""
    features: dict[str, Value] = {}
    for _, whole in _fields(record):  # Example.features
        for _, entry in _fields(whole):  # Features.feature, a map
            pair = dict(_fields(entry))
            features[pair[1].decode()] = _feature(pair.get(2, b""))
    return features


def _feature(data: bytes) -> Value:
    for number, listed in _fields(data):
        values = [value for _, value in _fields(listed)]
        if number == 1:
            return values
        if number == 2:
            return np.frombuffer(b"".join(value if isinstance(value, bytes) else b"" for value in values), "<f4")
        integers = [one for value in values for one in (_varints(value) if isinstance(value, bytes) else [value])]
        return np.array([one - (1 << 64) if one >> 63 else one for one in integers], np.int64)
    return []


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: number, and bytes or an integer."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind, -1)
        if kind == 2:
            size, at = _varint(data, at)
        if size < 0 or at + size > len(data):
            raise ValueError("no protobuf message")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _chunk(part: Part, first: int, examples: list[dict[str, Value]]) -> Chunk:
    names = sorted({name for each in examples for name in each})
    columns = {name: _column([each.get(name, []) for each in examples], part, name, first) for name in names}
    return Chunk(part.name, first, len(examples), columns, part.given)


def _column(values: list[Value], part: Part, name: str, first: int) -> Any:
    lengths = {len(value) for value in values}
    sample = next((value for value in values if len(value)), [])
    if lengths <= {0, 1}:
        plain = [value[0] if len(value) else None for value in values]
        kind = pa.binary() if isinstance(sample, list) else pa.float64() if sample.dtype.kind == "f" else pa.int64()
        return pa.array(plain, kind)
    if len(lengths) > 1 or isinstance(sample, list):
        row = next((at for at, value in enumerate(values) if len(value) != len(values[0])), 0)
        fix = f"write lists of one length, or --ignore {name}"
        raise BrokenError(
            Problem(what="its lists differ in length", fix=fix, file=part.name, row=first + row, column=name)
        )
    return np.stack(values)
