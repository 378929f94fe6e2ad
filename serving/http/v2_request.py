"""An inference request of the Open Inference Protocol, as JSON or with binary tensors, to the tensors of one signature.

Checks come in this order, and the first that fails is told: the length header, the JSON and the types of its members, then each input
as it stands (name, parameters, datatype, shape, data), inputs that are missing, the outputs asked for, bytes left over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
import numpy as np

from serving.backends.base import Array
from serving.http import v2_head, v2_json
from serving.http.json_in import BadRequestError
from serving.http.v2_binary import LENGTH_HEADER, Tail
from serving.http.v2_types import BYTES, ONLY_BINARY, WIRE, datatype, is_carried, said, shape_text
from serving.signature import ModelSignature, Tensor

_MAX_DIMS = 32
_GREATEST_DIM = 2**63 - 1
_GREATEST_SIZE = 2**48
_KEPT_SHAPES = 256
_KEPT_PLANS = 64
_LONGEST_PLAN = 4096
_UNSUPPORTED = ("shared_memory_region", "classification")
"""Extensions of Triton's that change what is sent or answered: passing over them would answer something else than was asked."""


@dataclass(slots=True, frozen=True)
class WantedOutput:
    """An output to answer with. `is_base64`: BYTES as base64 in JSON, with the parameter `content_type`, as MLServer has it."""

    name: str
    is_binary: bool = False
    is_base64: bool = False


@dataclass(slots=True)
class InferRequest:
    """Inputs by name, the outputs in the order of the answer, and parameters such as `timeout` [µs], which are not looked into."""

    id: str | None
    inputs: dict[str, Array]
    outputs: tuple[WantedOutput, ...]
    parameters: Mapping[str, Any]


class _Plan:
    """Where the numbers of a binary request lie, once its JSON was read and found right."""

    def __init__(self, start: int, size: int, request: InferRequest) -> None:
        self.size = size
        self._outputs = request.outputs
        self._parameters = request.parameters
        self._tensors = []
        for name, array in request.inputs.items():
            wire = array.dtype.newbyteorder("<")
            self._tensors.append((name, wire, array.size, start, array.shape))
            start += array.nbytes

    def read(self, body: bytes) -> InferRequest:
        inputs = {}
        for name, wire, count, start, shape in self._tensors:
            array = np.frombuffer(body, wire, count, start)
            inputs[name] = (array if array.flags.aligned else array.copy()).reshape(shape)
        return InferRequest(None, inputs, self._outputs, self._parameters)


class Decoder:
    """Reads requests for one signature. For one thread."""

    def __init__(self, signature: ModelSignature) -> None:
        self._signature = signature
        self._inputs = {tensor.name: (tensor, datatype(tensor.dtype)) for tensor in signature.inputs}
        self._outputs = {tensor.name: datatype(tensor.dtype) for tensor in signature.outputs}
        self._all = {
            is_binary: tuple(WantedOutput(name, is_binary) for name in self._outputs) for is_binary in (False, True)
        }
        self._has_only_binary = bool(ONLY_BINARY.intersection(self._outputs.values()))
        self._shapes: set[tuple[str, tuple[int, ...]]] = set()  # that inputs have had before and may have
        self._reader = v2_json.Reader()
        self._plans: dict[bytes, _Plan] = {}

    def decode(self, body: bytes, header_length: bytes | None = None) -> InferRequest:
        """The request in `body`.

        Args:
            header_length: the value of `Inference-Header-Content-Length`, if it was sent. 0 says that there is no JSON at all and the
                body is the only input's data.

        Raises:
            BadRequestError: what is wrong, with the name of the input or output, what was given and what is expected.
        """
        if header_length is None:
            head, tail = v2_head.parse(body), Tail(body, None)
        else:
            length = _length(header_length, len(body))
            if not length:
                return self._decode_raw(body)
            text = bytes(body[:length])
            plan = self._plans.get(text)
            if plan is not None and len(body) == plan.size:
                return plan.read(body)
            head, tail = v2_head.parse(text), Tail(body, length)
            request = self._finish(head, tail, self._read_inputs(head, tail))
            self._keep_plan(text, head, request, len(body))
            return request
        return self._finish(head, tail, self._read_inputs(head, tail))

    def _finish(self, head: v2_head.Head, tail: Tail, inputs: dict[str, Array]) -> InferRequest:
        parameters = head.parameters or {}
        outputs = self._wanted(head.outputs, _boolean(parameters, "binary_data_output", "the request") or False)
        tail.end()
        return InferRequest(_identifier(head.id), inputs, outputs, parameters)

    def _keep_plan(self, text: bytes, head: v2_head.Head, request: InferRequest, size: int) -> None:
        """Remember what a JSON head says, for clients that send the same again and again. One with an id comes once."""
        is_plain = all(array.dtype.kind in "fiu" and array.size for array in request.inputs.values())
        is_binary = all(given.data is msgspec.UNSET for given in head.inputs)
        if not (is_plain and is_binary) or head.id or len(text) > _LONGEST_PLAN or len(self._plans) >= _KEPT_PLANS:
            return
        self._plans[text] = _Plan(len(text), size, request)

    # inputs

    def _read_inputs(self, head: v2_head.Head, tail: Tail) -> dict[str, Array]:
        inputs: dict[str, Array] = {}
        for given in head.inputs:
            known = self._inputs.get(given.name)
            if known is None:
                raise BadRequestError(f'the model has no input "{given.name}"; it takes {self._input_names()}')
            if given.name in inputs:
                raise BadRequestError(f'input "{given.name}" is given twice')
            inputs[given.name] = self._read_input(given, *known, tail)
        if len(inputs) != len(self._inputs):
            missing = [name for name in self._inputs if name not in inputs]
            raise BadRequestError(f"{_names('input', missing)} missing; the model takes {self._input_names()}")
        return inputs

    def _read_input(self, given: v2_head.Input, tensor: Tensor, wanted: str, tail: Tail) -> Array:
        name, parameters = given.name, given.parameters or {}
        if given.parameters:
            _check_supported(parameters, f'input "{name}"')
        size = _binary_size(name, parameters)
        _check_datatype(given, tensor, wanted)
        shape = tuple(given.shape)
        if (name, shape) not in self._shapes:
            _check_shape(name, shape, tensor)
            if len(self._shapes) < _KEPT_SHAPES:
                self._shapes.add((name, shape))
        has_data = given.data is not msgspec.UNSET
        if size is not None:
            if has_data and not v2_head.is_null(given.data):
                raise BadRequestError(f'input "{name}" has data and binary_data_size, expected one of them')
            return tail.take(name, wanted, shape, size)
        if not has_data:
            raise BadRequestError(
                f'input "{name}" has no data: expected "data", or "binary_data_size" in its parameters'
            )
        if wanted in ONLY_BINARY:
            raise BadRequestError(f'input "{name}" is {wanted}, which JSON cannot carry: send it as binary data')
        is_base64 = wanted == BYTES and parameters.get("content_type") == "base64"
        return self._reader.read(name, wanted, shape, given.data, is_base64=is_base64)

    def _input_names(self) -> str:
        return ", ".join(f'"{name}" ({said(tensor)})' for name, (tensor, _) in self._inputs.items()) or "none"

    # a body without JSON

    def _decode_raw(self, body: bytes) -> InferRequest:
        """Triton's raw binary request: one input, whose one open size follows from the length. Answered in binary."""
        if len(self._inputs) != 1:
            raise BadRequestError(
                f"{LENGTH_HEADER} is 0, which only a model of one input takes; this one takes {self._input_names()}"
            )
        ((name, (tensor, wanted)),) = self._inputs.items()
        if not is_carried(wanted):
            _refuse_datatype(name, wanted)
        if wanted == BYTES:
            array = v2_json.texts([body])  # all of it is the one element
            shape: tuple[int, ...] = (1,) * (len(tensor.shape) if tensor.shape is not None else 1)
            _check_shape(name, shape, tensor)
        else:
            shape = _shape_of_bytes(name, tensor, wanted, len(body))
            array = Tail(body, 0).take(name, wanted, shape, len(body))
        return InferRequest(None, {name: array.reshape(shape)}, self._wanted(None, is_binary=True), {})

    # outputs

    def _wanted(self, asked: list[v2_head.Output] | None, is_binary: bool) -> tuple[WantedOutput, ...]:
        if asked:
            wanted: dict[str, WantedOutput] = {}
            for output in asked:
                if output.name in wanted:
                    raise BadRequestError(f'output "{output.name}" is asked for twice')
                wanted[output.name] = self._wanted_one(output, is_binary)
            return tuple(wanted.values())
        if self._has_only_binary and not is_binary:
            for name in self._outputs:
                self._check_carried(name, is_binary=False)
        return self._all[is_binary]

    def _wanted_one(self, output: v2_head.Output, is_binary: bool) -> WantedOutput:
        name, parameters = output.name, output.parameters or {}
        if name not in self._outputs:
            known = ", ".join(f'"{one}"' for one in self._outputs)
            raise BadRequestError(f'the model has no output "{name}"; it gives {known}')
        _check_supported(parameters, f'output "{name}"')
        own = _boolean(parameters, "binary_data", f'output "{name}"')
        is_binary = is_binary if own is None else own
        self._check_carried(name, is_binary=is_binary)
        is_base64 = self._outputs[name] == BYTES and parameters.get("content_type") == "base64"
        return WantedOutput(name, is_binary, is_base64 and not is_binary)

    def _check_carried(self, name: str, *, is_binary: bool) -> None:
        kind = self._outputs[name]
        if kind in ONLY_BINARY and not is_binary:
            raise BadRequestError(
                f'output "{name}" is {kind}, which JSON cannot carry: ask for it with "binary_data": true'
            )


def _length(text: bytes, body_size: int) -> int:
    if not text.isdigit() or len(text) > 18:
        raise BadRequestError(f"{LENGTH_HEADER} is {text.decode('latin-1')!r}, expected the size of the JSON in bytes")
    length = int(text)
    if length > body_size:
        raise BadRequestError(f"{LENGTH_HEADER} is {length}, but the body has {body_size} bytes")
    return length


def _identifier(text: str | None) -> str | None:
    if text and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadRequestError("id has half of a surrogate pair, expected a text") from None
    return text


def _check_supported(parameters: Mapping[str, Any], whose: str) -> None:
    for name in _UNSUPPORTED:
        if name in parameters:
            raise BadRequestError(f'{whose}: the parameter "{name}" is not supported here')


def _check_datatype(given: v2_head.Input, tensor: Tensor, wanted: str) -> None:
    if given.datatype != wanted:
        raise BadRequestError(f'input "{given.name}" has datatype "{given.datatype}", the model takes {said(tensor)}')
    if not is_carried(wanted):
        _refuse_datatype(given.name, wanted)


def _refuse_datatype(name: str, wanted: str) -> NoReturn:
    raise BadRequestError(f'input "{name}" is {wanted}, which cannot be sent by this protocol here')


def _check_shape(name: str, shape: tuple[int, ...], tensor: Tensor) -> None:
    if len(shape) > _MAX_DIMS:
        raise BadRequestError(f'input "{name}": shape has {len(shape)} dimensions, at most {_MAX_DIMS} are possible')
    for size in shape:
        if not 0 <= size <= _GREATEST_DIM:
            raise BadRequestError(f'input "{name}": shape {shape_text(shape)} has {size}, which is no size')
    if not tensor.accepts(shape):
        raise BadRequestError(f'input "{name}" has shape {shape_text(shape)}, the model takes {tensor.shape_text()}')
    if 0 in shape and math.prod(size for size in shape if size) > _GREATEST_SIZE:
        raise BadRequestError(f'input "{name}" has shape {shape_text(shape)}, which is too great')


def _shape_of_bytes(name: str, tensor: Tensor, wanted: str, size: int) -> tuple[int, ...]:
    """The model's shape with its open sizes filled in: as many rows as there are bytes for; one row if another size is open."""
    shape: list[int | None] = list(tensor.shape) if tensor.shape is not None else [None]
    if shape.count(None) > 1 and shape[0] is None:
        shape[0] = 1
    known = math.prod(one for one in shape if one is not None) * WIRE[wanted].itemsize
    if shape.count(None) > 1:
        raise BadRequestError(f'input "{name}" has shape {tensor.shape_text()}, which does not follow from the body')
    is_whole = known > 0 and (size % known == 0 if None in shape else size == known)
    if not is_whole:
        raise BadRequestError(
            f'input "{name}": the body has {size} bytes, the model takes {said(tensor)}, '
            f"{'a multiple of ' if None in shape else ''}{known} bytes"
        )
    return tuple(size // known if one is None else one for one in shape)


def _binary_size(name: str, parameters: Mapping[str, Any]) -> int | None:
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        shown = size if isinstance(size, int | float) else v2_head.kind(size)
        raise BadRequestError(f'input "{name}": binary_data_size is {shown}, expected a number of bytes')
    return size


def _boolean(parameters: Mapping[str, Any], key: str, whose: str) -> bool | None:
    value = parameters.get(key)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"{whose}: {key} is {v2_head.kind(value)}, expected true or false")
    return value


def _names(what: str, names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"{what} {quoted} is" if len(names) == 1 else f"{what}s {quoted} are"
