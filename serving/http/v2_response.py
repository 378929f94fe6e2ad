"""Answers of the Open Inference Protocol: JSON, with the tensors that were asked for as bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from serving.backends.base import Array
from serving.http import v2_binary, v2_json
from serving.http.json_in import BadRequestError
from serving.http.messages import Response
from serving.http.v2_request import InferRequest, WantedOutput
from serving.http.v2_types import BYTES, datatype, is_carried

OCTETS = b"application/octet-stream"
_KEPT_HEADS = 256


class Encoder:
    """Writes the answers of one version of a model.

    Args:
        headers: whole header lines that every answer has.
    """

    def __init__(self, model: str, version: int, headers: bytes = b"") -> None:
        self._start = b'{"model_name":%b,"model_version":"%d",' % (msgspec.json.encode(model), version)
        self._headers = headers
        self._heads: dict[tuple[object, ...], tuple[bytes, bytes]] = {}

    def encode(self, request: InferRequest, outputs: Mapping[str, Array]) -> Response:
        """The answer to `request`, as JSON where no output of it is binary.

        Raises:
            BadRequestError: an output cannot be written the way that it was asked for.
        """
        first = request.outputs[0] if len(request.outputs) == 1 else None
        if first is not None and first.is_binary and not request.id:
            value = outputs[first.name]
            if value.dtype.kind in "fiu":
                return self._encode_plain(first, value)
        parts: list[bytes] = []
        tail: list[memoryview] = []
        for wanted in request.outputs:
            parts.append(_output(wanted, outputs[wanted.name], tail))
        identifier = b'"id":%b,' % msgspec.json.encode(request.id) if request.id else b""
        head = b'%b%b"outputs":[%b]}' % (self._start, identifier, b",".join(parts))
        if not any(wanted.is_binary for wanted in request.outputs):
            return Response(200, head, self._headers)
        extra = b"Inference-Header-Content-Length: %d\r\n%b" % (len(head), self._headers)
        return Response(200, b"".join((head, *tail)), extra, OCTETS)

    def _encode_plain(self, wanted: WantedOutput, value: Array) -> Response:
        """One binary tensor of numbers: its JSON is the same for every answer of that shape."""
        key = (wanted.name, value.dtype, value.shape)
        known = self._heads.get(key)
        if known is None:
            start = _start(wanted.name, value.dtype.name, value.shape)
            output = b'%b"parameters":{"binary_data_size":%d}}' % (start, value.nbytes)
            head = b'%b"outputs":[%b]}' % (self._start, output)
            known = head, b"Inference-Header-Content-Length: %d\r\n%b" % (len(head), self._headers)
            if len(self._heads) < _KEPT_HEADS:
                self._heads[key] = known
        return Response(200, known[0] + v2_binary.pack(value), known[1], OCTETS)


def _output(wanted: WantedOutput, value: Array, tail: list[memoryview]) -> bytes:
    start = _start(wanted.name, value.dtype.name, value.shape)
    if wanted.is_binary:
        packed = v2_binary.pack(value)
        tail.append(packed)
        return b'%b"parameters":{"binary_data_size":%d}}' % (start, packed.nbytes)
    note = b'"parameters":{"content_type":"base64"},' if wanted.is_base64 else b""
    return b'%b%b"data":%b}' % (start, note, v2_json.write(wanted.name, value, as_base64=wanted.is_base64))


@lru_cache(maxsize=256)
def _start(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    kind = BYTES if dtype == "object" else datatype(dtype)
    if not is_carried(kind):
        raise BadRequestError(f'output "{name}" is {kind}, which cannot be answered by this protocol here')
    sizes = ",".join(map(str, shape)).encode()
    return b'{"name":%b,"datatype":"%b","shape":[%b],' % (msgspec.json.encode(name), kind.encode(), sizes)
