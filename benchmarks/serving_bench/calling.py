"""gRPC's Predict: the message for the load generator, and one call by a real client to see that the answer is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.serving_bench.model import INPUT, OUTPUT

METHOD = "/tensorflow.serving.PredictionService/Predict"
WAY = "gRPC Predict"
_FLOAT = 1
"""DT_FLOAT of tensorflow/core/framework/types.proto."""


def predict_request(model: str, rows: Any) -> bytes:
    """A tensorflow.serving.PredictRequest with the rows as `tensor_content`, written field by field."""
    dims = b"".join(_field(2, _number(1, size)) for size in rows.shape)
    content = np.ascontiguousarray(rows, "<f4").tobytes()
    tensor = _number(1, _FLOAT) + _field(2, dims) + _field(4, content)
    entry = _field(1, INPUT.encode()) + _field(2, tensor)
    return _field(1, _field(1, model.encode())) + _field(2, entry)


def problem(port: int, message: bytes, expected: Any, *, metadata: Sequence[tuple[str, str]] = ()) -> str:
    """What is wrong with a server's answer; empty where it is the model's."""
    import grpc  # type: ignore[import-untyped]

    from serving.grpc.protos import tensorflow_serving_pb2

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD, request_serializer=None, response_deserializer=None)
        try:
            answer = call(message, timeout=30, metadata=tuple(metadata))
        except grpc.RpcError as error:
            code = error.code()
            is_absent = code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
            return "not served" if is_absent else f"{code.name}: {error.details()}"
    output = tensorflow_serving_pb2.PredictResponse.FromString(answer).outputs[OUTPUT]
    found = np.frombuffer(output.tensor_content, "<f4") if output.tensor_content else np.array(output.float_val)
    if found.shape != expected.ravel().shape or not np.allclose(found, expected.ravel(), atol=1e-4):
        return "another answer than the model's"
    return ""


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
