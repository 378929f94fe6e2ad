"""JSON and the Open Inference Protocol's bodies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.fuzzing_parts import seeds
from benchmarks.fuzzing_parts.answers import WrongError
from benchmarks.fuzzing_parts.parsing import SIGNATURES, Reader, check_arrays, check_same
from serving.http import json_fast, json_in, tfs_examples, v2_head
from serving.http.json_fast import FastDecoder
from serving.http.json_in import BadRequestError
from serving.http.messages import error
from serving.http.v2_request import Decoder, InferRequest
from serving.signature import DEFAULT_SIGNATURE, ModelSignature

_FAST: dict[int, FastDecoder | None] = {}
_V2: dict[int, Decoder] = {}
_REMADE = 500
"""A decoder with what it remembers is made anew after so many bodies."""


def _told(problem: BadRequestError) -> None:
    response = error(problem.status, str(problem))
    if not str(problem) or response.status not in (400, 413, 415, 501):
        raise WrongError(f"{problem.status} {problem}")
    json.loads(response.body)


def read_rows(data: bytes) -> None:
    """TensorFlow Serving's body, exactly and fast."""
    number, body = data[:1], data[2:]
    index = (number[0] if number else 0) % len(SIGNATURES)
    signature = SIGNATURES[index]
    exact = _exactly(body, signature)
    if index not in _FAST:
        _FAST[index] = json_fast.decoder(signature)
    fast = _FAST[index]
    quick = fast.decode(body) if fast is not None else None
    if quick is None:
        return
    if exact is None:
        raise WrongError("the fast way takes what the exact one refuses")
    if quick.is_row_format != exact.is_row_format:
        raise WrongError("rows and columns differ")
    check_same(quick.inputs, exact.inputs, "fast and exact")


def _exactly(body: bytes, signature: ModelSignature) -> json_in.Decoded | None:
    try:
        document = json_in.parse(body)
        json_in.signature_name(document)
        decoded = json_in.decode(document, DEFAULT_SIGNATURE, signature)
    except BadRequestError as problem:
        _told(problem)
        return None
    check_arrays(decoded.inputs, signature, with_shapes=False)
    return decoded


def read_examples(data: bytes) -> None:
    try:
        tfs_examples.decode(data[2:])
    except BadRequestError as problem:
        _told(problem)


def read_v2(data: bytes) -> None:
    """An inference request, by a decoder that remembers what came before and by one that does not."""
    number, cut, body = data[:1], data[1:2], data[2:]
    index = (number[0] if number else 0) % len(SIGNATURES)
    length = _length(body, cut[0] if cut else 0)
    keeping = _V2.get(index)
    if keeping is None or len(keeping._plans) + len(keeping._shapes) > _REMADE:
        keeping = _V2[index] = Decoder(SIGNATURES[index])
    first, second = (_v2(decoder, body, length) for decoder in (keeping, Decoder(SIGNATURES[index])))
    if isinstance(first, str) or isinstance(second, str):
        if first != second:
            raise WrongError(f"with a memory {first}, without {second}")
        return
    if (first.id, first.outputs, first.parameters) != (second.id, second.outputs, second.parameters):
        raise WrongError(f"with a memory {first}, without {second}")
    check_same(first.inputs, second.inputs, "with and without memory")
    check_arrays(first.inputs, SIGNATURES[index])


def _length(body: bytes, cut: int) -> bytes | None:
    if cut % 4 == 0:
        return None
    if cut == 255:
        return b"0"
    return b"%d" % (body.rfind(b"}") + 1 + (cut == 254))


def _v2(decoder: Decoder, body: bytes, length: bytes | None) -> InferRequest | str:
    try:
        return decoder.decode(body, length)
    except BadRequestError as problem:
        _told(problem)
        return str(problem)


def read_head(data: bytes) -> None:
    """The head's quick reading against the exact one."""
    text = data[2:]
    try:
        quick = v2_head.parse(text)
    except BadRequestError as problem:
        _told(problem)
        return
    try:
        exact = v2_head._exactly(text)
    except BadRequestError as problem:
        # The quick way passes over members that it does not know, whatever they hold.
        if not any(word in str(problem) for word in ("UTF-8", "too many digits", "too deeply")):
            raise WrongError(f"taken quickly, refused exactly: {problem}") from None
        return
    if (quick.id, quick.parameters) != (exact.id, exact.parameters):
        raise WrongError(f"{quick} quickly, {exact} exactly")
    told = [[(one.name, one.shape, one.datatype, one.parameters) for one in head.inputs] for head in (quick, exact)]
    if told[0] != told[1]:
        raise WrongError(f"{told[0]} quickly, {told[1]} exactly")


# seeds


def _bodies(prefix: str) -> list[bytes]:
    return [
        one.message.body
        for one in seeds.all_seeds()
        if one.message.target.startswith(prefix.encode()) and one.message.body[:1] == b"{"
    ]


def _rows() -> list[bytes]:
    plain: list[Any] = [
        [[1, 2, 3]],
        [1.5, 2, 3e5],
        [[[1, 2], [3, 4]]],
        [[1, 2], [3, 4]],
        [-1, 0, 2**31 - 1],
        ["a", {"b64": "aGk="}],
        [[True], [False]],
    ]
    bodies = [json.dumps({key: rows}).encode() for rows in plain for key in ("instances", "inputs")]
    bodies += [
        b'{"instances": [{"a": [1, 2], "b": 3}, {"a": [0, 0], "b": 1}]}',
        b'{"inputs": {"a": [[1, 2]], "b": [3]}}',
    ]
    bodies += _bodies("/v1/")
    return [bytes((index, 0)) + body for body in bodies for index in range(len(SIGNATURES))]


def _examples() -> list[bytes]:
    more = (
        b'{"signature_name": "s", "context": {"a": [1]}, "examples": [{"x": [1.5], "t": {"b64": "aGk="}, "f": true}]}'
    )
    return [b"\0\0" + body for body in [*_bodies("/v1/models/classes"), *_bodies("/v1/models/values"), more]]


_DATATYPES = {
    "float32": "FP32",
    "float64": "FP64",
    "int64": "INT64",
    "int32": "INT32",
    "uint8": "UINT8",
    "int8": "INT8",
}
_DATATYPES |= {"string": "BYTES", "bool": "BOOL", "float16": "FP16", "uint64": "UINT64"}


def _v2_seeds() -> list[bytes]:
    found = [b"\0\0" + body for body in _bodies("/v2/models")]
    for index, signature in enumerate(SIGNATURES):
        given, tail = [], b""
        for tensor in signature.inputs:
            shape = [size or 1 for size in tensor.shape] if tensor.shape is not None else [2]
            one: dict[str, Any] = {"name": tensor.name, "datatype": _DATATYPES[tensor.dtype], "shape": shape}
            raw = (
                b"\1\0\0\0a" * int(np.prod(shape))
                if tensor.dtype == "string"
                else np.ones(shape, tensor.dtype).tobytes()
            )
            given.append({**one, "parameters": {"binary_data_size": len(raw)}})
            tail += raw
        found.append(bytes((index, 1)) + json.dumps({"inputs": given}).encode() + tail)
        found.append(bytes((index, 255)) + tail)
    return found


READERS = [
    Reader("json", read_rows, _rows, 30),
    Reader("json-examples", read_examples, _examples, 4),
    Reader("v2", read_v2, _v2_seeds, 20),
    Reader("v2-head", read_head, _v2_seeds, 8),
]
