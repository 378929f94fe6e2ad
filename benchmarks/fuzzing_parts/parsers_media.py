"""Bodies in other forms than JSON, and the headers that choose them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from typing import Any

import numpy as np

from benchmarks.fuzzing_parts import seeds
from benchmarks.fuzzing_parts.answers import WrongError
from benchmarks.fuzzing_parts.parsing import SIGNATURES, Reader, check_arrays, same, signature
from serving.http.json_in import BadRequestError
from serving.http.messages import error
from serving.media import accept, coding, multipart, read, write
from serving.media.facts import MediaLimits, VersionFacts
from skylift.artifacts.records import TaskInfo

_LIMITS = MediaLimits(decoded_bytes=4_000_000, pixels=250_000, parts=8)
_PIXELS = signature(("x", "uint8", (None, 4, 4, 3)))
_TABLE = TaskInfo(input_kind="tabular", input_names=["age", "height", "weight"])
_FACTS = [VersionFacts(one, TaskInfo(), _LIMITS) for one in SIGNATURES]
_FACTS += [VersionFacts(SIGNATURES[0], _TABLE, _LIMITS), VersionFacts(_PIXELS, TaskInfo(input_kind="image"), _LIMITS)]
_KINDS = [
    b"application/x-npy",
    b"application/x-npz",
    b"text/csv",
    b"text/csv;header=present",
    b"text/csv;header=absent",
]
_KINDS += [b"image/png", b"image/jpeg", b"image/webp", b"multipart/form-data;boundary=b"]
_MOST = 1_000_000
_PLAIN = re.compile(rb"[ -~\t]*")
_STATUSES = (400, 406, 413, 415)


def _told(problem: BadRequestError) -> None:
    if not str(problem) or problem.status not in _STATUSES:
        raise WrongError(f"{problem.status} {problem}")
    json.loads(error(problem.status, str(problem)).body)


def read_body(data: bytes) -> None:
    """A body for some model; what numpy and csv read of it must be the same."""
    if len(data) < 2:
        return
    facts, kind, body = _FACTS[data[0] % len(_FACTS)], _KINDS[data[1] % len(_KINDS)], data[2:]
    try:
        found = read.decode(kind, body, facts)
    except BadRequestError as problem:
        _told(problem)
        return
    check_arrays(found, facts.signature)
    if kind == b"application/x-npy":
        _as_numpy(body, found)
    elif kind == b"text/csv;header=absent" and not facts.task.input_names:
        _as_csv(body, found)


def _as_numpy(body: bytes, found: dict[str, Any]) -> None:
    ((name, array),) = found.items()
    try:
        other = np.load(io.BytesIO(body), allow_pickle=False)
    except ValueError:
        if _PLAIN.fullmatch(body[10:].partition(b"\n")[0]):
            raise
        return  # blanks that Python's own parser does not know
    if array.dtype == object:
        texts = [one.encode() if isinstance(one, str) else bytes(one) for one in other.ravel().tolist()]
        if texts != array.ravel().tolist() or other.shape != array.shape:
            raise WrongError(f"{name}: {texts[:8]} for numpy, {array.ravel()[:8]} here")
        return
    with np.errstate(over="ignore"):
        converted = other.astype(array.dtype)
    if not same(np.asarray(array), converted):
        raise WrongError(f"{name}: {converted.ravel()[:8]} for numpy, {array.ravel()[:8]} here")


def _as_csv(body: bytes, found: dict[str, Any]) -> None:
    if len(found) != 1:
        return
    ((name, array),) = found.items()
    text = body.removeprefix(b"\xef\xbb\xbf").decode()
    is_text = array.dtype == object
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row and (is_text or any(map(str.strip, row)))]
    cells = [cell for row in rows for cell in row]
    if is_text:
        told: list[Any] = [cell.encode() for cell in cells]
        is_same = told == array.ravel().tolist()
    elif array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            told = np.array([float(cell) if cell.strip() else np.nan for cell in cells]).astype(array.dtype).tolist()
        is_same = bool(np.array_equal(np.array(told, array.dtype), array.ravel(), equal_nan=True))
    else:
        return
    if not is_same:
        raise WrongError(f"{name}: {told[:8]} for csv, {array.ravel()[:8]} here")


def read_coding(data: bytes) -> None:
    """Compressed bodies: never more than the limit, and what gzip and zlib make of them."""
    header, body = (b"gzip", b"deflate", b"gzip, deflate", b"deflate, gzip, gzip")[data[0] % 4 if data else 0], data[2:]
    try:
        plain = coding.decode(header, body, _MOST)
    except BadRequestError as problem:
        _told(problem)
        return
    if len(plain) > _MOST:
        raise WrongError(f"{len(plain)} bytes")
    if header == b"gzip" and body and plain != gzip.decompress(body):
        raise WrongError("gzip makes something else of it")
    if header == b"deflate" and body and plain not in (_inflated(body, 15), _inflated(body, -15)):
        raise WrongError("zlib makes something else of it")


def _inflated(body: bytes, window: int) -> bytes | None:
    try:
        return zlib.decompress(body, window)
    except zlib.error:
        return None


def read_headers(data: bytes) -> None:
    """Accept, Accept-Encoding, Content-Type, Content-Encoding of whatever a header may hold."""
    header = bytes(byte for byte in data[2:] if byte not in b"\r\n\0")
    accept.items(header)
    if coding.chosen(header) not in ("gzip", "deflate", "identity"):
        raise WrongError("a coding that nobody has")
    for call in (
        lambda: write.form(header),
        lambda: read.is_ours(header, b"x"),
        lambda: coding.decode(header, b"x", _MOST),
        lambda: multipart.files(b"--b\r\n\r\nx\r\n--b--\r\n", accept.split(header.decode("latin-1")).parameters, 8),
    ):
        try:
            call()
        except BadRequestError as problem:
            _told(problem)


# seeds


def _arrays() -> list[Any]:
    shapes = [[1, 3], [2], [1, 2, 2], [2, 2]]
    kinds = ["<f4", ">f8", "<i8", "|u1", "|i1", "?", "<f2", "<u8", "<i4"]
    found = [np.ones(shape, kind) for shape, kind in zip(shapes * 3, kinds, strict=False)]
    return [*found, np.asfortranarray(np.ones((2, 3), "f4")), np.array(["a", "bc"]), np.array([b"a", b"b"])]


def _bodies() -> list[bytes]:
    image = len(_FACTS) - 1
    found = [bytes((index, 0)) + seeds.npy(array) for array in _arrays() for index in range(len(SIGNATURES))]
    pair = seeds.npz(a=np.ones((1, 2), "f4"), b=np.ones(1, "i8"))
    found += [bytes((12, 1)) + pair, bytes((0, 1)) + seeds.npz(x=np.ones((1, 3), "f4"))]
    tables = [
        b"1,2,3\n4,5,6\n",
        b"age,weight,height\r\n1,2,3\r\n",
        b'x\n"1"\n2\n',
        b"1\n-2\n3e5\n",
        b"true,false\n",
        b'"a\nb"\n""\n',
        b"a_0,a_1,b\n1,2,3\n",
    ]
    found += [
        bytes((index, kind)) + table for table in tables for kind in (2, 3, 4) for index in range(len(_FACTS) - 1)
    ]
    found += [bytes((image, 5)) + seeds.picture(), bytes((image, 6)) + seeds.picture("JPEG")]
    found += [
        bytes((image, 7)) + seeds.picture("WEBP"),
        bytes((image, 8)) + seeds.form(),
        bytes((7, 5)) + seeds.picture(),
    ]
    return found


def _codings() -> list[bytes]:
    plain = b'{"instances": [1, 2, 3]}' * 5
    once, other = gzip.compress(plain), zlib.compress(plain)
    bare = zlib.compressobj(wbits=-15)
    raw = bare.compress(plain) + bare.flush()
    bomb = gzip.compress(bytes(3_000_000))
    return [
        b"\0\0" + once,
        b"\0\0" + once + once,
        b"\1\0" + other,
        b"\1\0" + raw,
        b"\2\0" + zlib.compress(once),
        b"\0\0" + bomb,
        b"\0\0" + once * 200,
    ]


def _headers() -> list[bytes]:
    texts = [
        b"text/html, application/xml;q=0.9, */*;q=0.8",
        b"gzip;q=1.0, identity; q=0.5, *;q=0",
        b'a/b; c="d\\"e,f", text/csv;header=present',
    ]
    texts += [
        b"multipart/form-data; boundary=b",
        b"application/x-npy;output=y",
        b"gzip, deflate, br",
        b"text/*;q=.2",
        b"," * 50,
    ]
    return [b"\0\0" + text for text in texts]


READERS = [
    Reader("media", read_body, _bodies, 20),
    Reader("coding", read_coding, _codings, 4),
    Reader("headers", read_headers, _headers, 6),
]
