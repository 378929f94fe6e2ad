"""numpy's own files as bodies: `application/x-npy` is one array, `application/x-npz` several by their names.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Headers are read by a grammar of what they may hold, never
evaluated, and pickled objects never are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np

from serving.backends.base import Array
from serving.media.errors import MediaError
from serving.media.facts import MOST_TEXTS, NUMBERS, VersionFacts, all_said, check_shape, said
from serving.signature import Tensor

NPY = b"application/x-npy"
MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 10_000
_USUAL_HEADER = 256
_ENTRY = re.compile(
    r"""\s*(?P<quote>['"])(?P<key>descr|fortran_order|shape)(?P=quote)\s*:\s*
    (?: (?P<other>['"])(?P<descr>[^'"\\]{1,40})(?P=other) | (?P<order>True|False)
      | \(\s*(?P<shape>(?:\d{1,19}L?\s*,\s*)*(?:\d{1,19}L?)?)\s*\) )\s*(?P<end>,?)""",
    re.VERBOSE | re.ASCII,
)
_DESCR = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248]|[SU]\d{1,9})", re.ASCII)


def takes(tensor: Tensor) -> bool:
    """Whether an array can be this input."""
    return tensor.dtype in NUMBERS or tensor.dtype in ("bool", "string")


def decode(body: bytes, facts: VersionFacts) -> dict[str, Array]:
    """The array as the model's only input; a view of the body where type and order are the model's own.

    Raises:
        MediaError: it is no .npy file, or its type or shape is not what the model takes.
    """
    tensor = facts.only_input
    if tensor is None:
        raise MediaError(f"application/x-npy carries one array, the model takes {all_said(facts)}", status=415)
    return {tensor.name: read(body, tensor)}


def read(body: bytes, tensor: Tensor) -> Array:
    """One .npy file as the values of `tensor`.

    Raises:
        MediaError: as `decode`.
    """
    name = tensor.name
    descr, is_fortran, shape, start = _header(name, body)
    if not _DESCR.fullmatch(descr):
        what = "pickled objects, which are never read" if descr.lstrip("<>=|")[:1] == "O" else f"of type {descr!r}"
        raise MediaError(f'input "{name}": the array holds {what}; the model takes {said(tensor)}')
    dtype = np.dtype(descr)
    check_shape(tensor, shape)
    _check_dtype(tensor, dtype)
    count = math.prod(shape)
    if len(body) - start != count * dtype.itemsize:
        raise MediaError(
            f'input "{name}": {len(body) - start} bytes stand behind the header, {count} elements of {descr} '
            f"are {count * dtype.itemsize}"
        )
    array: Array = np.frombuffer(body, dtype, count, start) if count else np.empty(0, dtype)
    array = array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)
    return _texts(tensor, array) if tensor.dtype == "string" else _numbers(tensor, array)


def _header(name: str, body: bytes) -> tuple[str, bool, tuple[int, ...], int]:
    """Type, order, shape, and where the elements begin."""
    if body[:6] != MAGIC or len(body) < 10:
        raise MediaError(f'input "{name}": the body is no .npy file: it does not begin as one')
    major, minor = body[6], body[7]
    if major not in (1, 2, 3) or minor:
        raise MediaError(f'input "{name}": .npy format {major}.{minor} is not known, 1.0, 2.0 and 3.0 are')
    start = 10 if major == 1 else 12
    length = int.from_bytes(body[8:start], "little")
    if length > _LONGEST_HEADER or start + length > len(body):
        raise MediaError(
            f'input "{name}": the .npy header says that it has {length} bytes; the body has {len(body) - start} left, '
            f"at most {_LONGEST_HEADER} are read"
        )
    text = body[start : start + length]
    entries = _usual_entries(name, text) if length <= _USUAL_HEADER else _entries(name, text)
    return *entries, start + length


def _entries(name: str, text: bytes) -> tuple[str, bool, tuple[int, ...]]:
    """A dictionary of three entries, written as Python has it."""
    stripped = text.decode("latin-1").strip()  # names of fields, which alone may be UTF-8, are not taken
    found: dict[str, Any] = {}
    at = 1
    while stripped[:1] == "{" and len(found) < 3 and (entry := _ENTRY.match(stripped, at)):
        key = entry["key"]
        value = {"descr": entry["descr"], "fortran_order": entry["order"], "shape": entry["shape"]}[key]
        if value is None or key in found:
            break
        found[key] = value
        at = entry.end()
        if not entry["end"]:
            break
    if len(found) != 3 or stripped[at:].strip() != "}":
        raise MediaError(
            f'input "{name}": the .npy header {stripped[:80]!r} is none of a plain array: it must have descr, '
            "fortran_order and shape and nothing else"
        )
    sizes = [size.strip().rstrip("L") for size in found["shape"].split(",")]
    return found["descr"], found["fortran_order"] == "True", tuple(int(size) for size in sizes if size)


def _check_dtype(tensor: Tensor, given: np.dtype[Any]) -> None:
    if tensor.dtype == "string":
        fits = given.kind in "SU" and given.itemsize > 0
    elif tensor.dtype == "bool":
        fits = given.kind == "b"
    else:
        fits = tensor.dtype in NUMBERS and np.can_cast(given, tensor.dtype, "same_kind") and given.kind not in "SU"
    if not fits:
        raise MediaError(f'input "{tensor.name}" is {given.name}, the model takes {said(tensor)}')


def _numbers(tensor: Tensor, array: Array) -> Array:
    wanted = np.dtype(tensor.dtype)
    if array.dtype.kind == "b":
        _check_bools(tensor.name, array)
    if array.dtype == wanted and array.flags.c_contiguous and array.flags.aligned:
        return array
    if wanted.kind in "iu" and array.size and not np.can_cast(array.dtype, wanted):
        limits = np.iinfo(wanted)
        least, most = array.min(), array.max()
        if least < limits.min or most > limits.max:
            raise MediaError(
                f'input "{tensor.name}" holds {least if least < limits.min else most}, {tensor.dtype} goes from '
                f"{limits.min} to {limits.max}"
            )
    with np.errstate(over="ignore"):  # too great is infinite, as in JSON
        return np.require(array, wanted, ["C_CONTIGUOUS", "ALIGNED"])


def _check_bools(name: str, array: Array) -> None:
    raw = array.view(np.uint8)
    if raw.size and raw.max() > 1:
        raise MediaError(f'input "{name}" holds the byte {raw.max()} as a bool, expected 0 or 1')


def _texts(tensor: Tensor, array: Array) -> Array:
    if array.size > MOST_TEXTS:
        raise MediaError(f'input "{tensor.name}" has {array.size} texts, at most {MOST_TEXTS} are read', status=413)
    texts = np.empty(array.size, dtype=object)
    try:
        texts[:] = [item if isinstance(item, bytes) else item.encode() for item in array.ravel().tolist()]
    except ValueError:  # no such code point, or half of a surrogate pair
        raise MediaError(f'input "{tensor.name}" holds what is no Unicode text') from None
    return texts.reshape(array.shape)


_usual_entries = lru_cache(maxsize=256)(_entries)  # a client's requests differ in their elements, not in their header


# Answers


def pack(name: str, value: Array) -> bytes:
    """An output as a .npy file, format 1.0, in row-major order.

    Raises:
        MediaError: 406, of texts that numpy's format cannot keep.
    """
    if value.dtype == object:
        value = _fixed_width(name, value)
    value = np.ascontiguousarray(value) if value.ndim else value
    value = value.astype(value.dtype.newbyteorder("<"), copy=False)
    shape = "".join(f"{size}, " for size in value.shape)[: None if value.ndim == 1 else -2].rstrip()
    text = f"{{'descr': '{value.dtype.str}', 'fortran_order': False, 'shape': ({shape}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"".join((MAGIC, b"\x01\x00", len(text).to_bytes(2, "little"), text.encode("latin-1"), _memory(value)))


def _memory(value: Array) -> bytes | memoryview:
    return value.tobytes() if value.dtype.kind == "S" or not value.ndim else value.data


def _fixed_width(name: str, value: Array) -> Array:
    """Texts side by side in the width of the longest, zeros behind each: what cannot be told from the zeros is refused."""
    raw = [item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape") for item in value.ravel()]
    widest = max(map(len, raw), default=0)
    if any(item.endswith(b"\0") for item in raw) or widest * len(raw) > 8 * sum(map(len, raw)) + 1_000_000:
        raise MediaError(f'output "{name}" holds texts that numpy\'s format does not suit: ask for JSON', status=406)
    return np.array(raw, dtype=f"S{max(widest, 1)}").reshape(value.shape)


def choose(outputs: Collection[str], name: str | None) -> str:
    """The output that one array stands for.

    Raises:
        MediaError: 406, as there are several and none is named, or the named one is not there.
    """
    known = ", ".join(f'"{one}"' for one in outputs)
    if name is not None and name not in outputs:
        raise MediaError(f'Accept asks for the output "{name}", the model gives {known}', status=406)
    if name is None and len(outputs) != 1:
        raise MediaError(
            f"the model gives {known}, application/x-npy carries one array: accept application/x-npz or name one, "
            f"as in application/x-npy; output={next(iter(outputs), 'NAME')}",
            status=406,
        )
    return name if name is not None else next(iter(outputs))
