"""Requests and answers of the Open Inference Protocol, written by hand, and what reads and writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.backends.base import Array
from serving.http.json_in import BadRequestError
from serving.http.messages import Response
from serving.http.v2_request import Decoder, InferRequest, WantedOutput
from serving.http.v2_response import Encoder
from serving.signature import ModelSignature, Tensor

SIZES = {
    "bool": ("BOOL", 1),
    "uint8": ("UINT8", 1),
    "uint16": ("UINT16", 2),
    "uint32": ("UINT32", 4),
    "uint64": ("UINT64", 8),
    "int8": ("INT8", 1),
    "int16": ("INT16", 2),
    "int32": ("INT32", 4),
    "int64": ("INT64", 8),
    "float16": ("FP16", 2),
    "float32": ("FP32", 4),
    "float64": ("FP64", 8),
}
"""The table of REST, "Tensor Data Types"."""
NUMERIC = [dtype for dtype in SIZES if dtype not in ("bool", "float16")]

Y = Tensor("y", "float32", (None,))


def takes(*tensors: Tensor, gives: tuple[Tensor, ...] = (Y,)) -> Decoder:
    return Decoder(ModelSignature(tensors, gives))


def x(dtype: str, *shape: int | None) -> Tensor:
    return Tensor("x", dtype, shape)


def one(dtype: str, data: Any, shape: list[int], **more: Any) -> dict[str, Any]:
    name = "BYTES" if dtype == "string" else SIZES[dtype][0]
    return {"inputs": [{"name": "x", "datatype": name, "shape": shape, "data": data, **more}]}


def read(plain: Any, *tensors: Tensor) -> Array:
    body = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return takes(*tensors).decode(body).inputs["x"]


def binary(plain: dict[str, Any], tail: bytes) -> tuple[bytes, bytes]:
    head = json.dumps(plain).encode()
    return head + tail, str(len(head)).encode()


def one_binary(dtype: str, shape: list[int], tail: bytes, size: Any = None) -> tuple[bytes, bytes]:
    name = "BYTES" if dtype == "string" else SIZES[dtype][0]
    parameters = {"binary_data_size": len(tail) if size is None else size}
    return binary({"inputs": [{"name": "x", "datatype": name, "shape": shape, "parameters": parameters}]}, tail)


def refusal(decoder: Decoder, body: bytes | dict[str, Any], header_length: bytes | None = None) -> str:
    with pytest.raises(BadRequestError) as refused:
        decoder.decode(body if isinstance(body, bytes) else json.dumps(body).encode(), header_length)
    assert refused.value.status == 400
    return str(refused.value)


def asked(*outputs: WantedOutput, identifier: str | None = None) -> InferRequest:
    return InferRequest(identifier, {}, outputs, {})


def answer(request: InferRequest, **outputs: Array) -> Response:
    return Encoder("mymodel", 3, b"X-Own: 1\r\n").encode(request, outputs)
