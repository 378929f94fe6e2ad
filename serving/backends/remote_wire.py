"""Open Inference Protocol v2 from the asking side: tensors as bytes behind the JSON, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from serving.backends.base import Array
from serving.http.json_in import BadRequestError
from serving.http.v2_binary import LENGTH_HEADER, Tail, pack
from serving.http.v2_types import BYTES, DATATYPES, WIRE, datatype
from serving.signature import ModelSignature, Tensor

JOINED_BYTES = 256 * 1024
"""Up to so many a body is sent in one piece with its headers; more is not copied once again."""

_DTYPES = {name: dtype for dtype, name in DATATYPES.items()}


class WireError(Exception):
    """An answer that does not keep to the protocol."""


class _Output(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}


class _Answer(msgspec.Struct):
    outputs: list[_Output]


class _Described(msgspec.Struct):
    inputs: list[_Output]
    outputs: list[_Output]


_ANSWER = msgspec.json.Decoder(_Answer)
_DESCRIBED = msgspec.json.Decoder(_Described)


def request(
    inputs: Mapping[str, Array], outputs: Sequence[str], seconds: float
) -> tuple[dict[str, str], bytes | list[memoryview]]:
    """Headers and body of an inference request that asks for `outputs`.

    Args:
        seconds: that whoever asks waits for the answer.
    """
    packed = {name: pack(value) for name, value in inputs.items()}
    head = msgspec.json.encode(
        {
            "parameters": {"binary_data_output": True, "timeout": int(seconds * 1e6)},
            "inputs": [
                {
                    "name": name,
                    "shape": value.shape,
                    "datatype": BYTES if value.dtype == object else datatype(value.dtype.name),
                    "parameters": {"binary_data_size": packed[name].nbytes},
                }
                for name, value in inputs.items()
            ],
            "outputs": [{"name": name} for name in outputs],
        }
    )
    total = len(head) + sum(part.nbytes for part in packed.values())
    headers = {
        LENGTH_HEADER: str(len(head)),
        "Content-Length": str(total),
        "Content-Type": "application/octet-stream",
    }
    if total <= JOINED_BYTES:
        return headers, b"".join((head, *packed.values()))
    return headers, [memoryview(head), *(part.cast("B") for part in packed.values() if part.nbytes)]


def answer(body: bytes, header_length: str | None, wanted: Sequence[str]) -> dict[str, Array]:
    """The tensors of an answer.

    Raises:
        WireError: it is none of this protocol's, or lacks an output.
    """
    if header_length is None or not header_length.isdecimal() or int(header_length) > len(body):
        raise WireError(f"no binary tensors ({LENGTH_HEADER} is {header_length})")
    length = int(header_length)
    tail = Tail(body, length)
    try:
        listed = _ANSWER.decode(memoryview(body)[:length]).outputs
        found = {one.name: _tensor(one, tail) for one in listed}
    except (msgspec.MsgspecError, BadRequestError, KeyError) as error:
        raise WireError(str(error).replace("input", "output")) from None
    missing = [name for name in wanted if name not in found]
    if missing:
        raise WireError(f"no output {', '.join(missing)}")
    return found


def described(body: bytes) -> ModelSignature:
    """What a model's metadata says that it takes and gives.

    Raises:
        WireError: it is no metadata.
    """
    try:
        known = _DESCRIBED.decode(body)
        return ModelSignature(*(tuple(_promised(one) for one in side) for side in (known.inputs, known.outputs)))
    except (msgspec.MsgspecError, KeyError) as error:
        raise WireError(f"metadata cannot be read: {error}") from None


def _promised(one: _Output) -> Tensor:
    return Tensor(one.name, _DTYPES[one.datatype], tuple(None if size < 0 else size for size in one.shape))


def _tensor(one: _Output, tail: Tail) -> Array:
    size = one.parameters.get("binary_data_size")
    if type(size) is not int or size < 0 or any(extent < 0 for extent in one.shape):
        raise WireError(f"output {one.name!r} comes without binary data")
    if one.datatype != BYTES and one.datatype not in WIRE:
        raise WireError(f"output {one.name!r} is {one.datatype}, which is not known")
    return tail.take(one.name, one.datatype, tuple(one.shape), size)
