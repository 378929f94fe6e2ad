"""The Open Inference Protocol's descriptions: of the server, of a model, and of what is ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from serving.http.messages import Response, encode_text
from serving.http.v2_types import datatype
from serving.signature import ModelSignature, Tensor

EXTENSIONS = ("binary_tensor_data", "model_repository", "statistics")


def server(version: str, extensions: Sequence[str] = EXTENSIONS) -> Response:
    """`GET /v2`."""
    plain = {"name": "skylift", "version": version, "extensions": list(extensions)}
    return Response(200, msgspec.json.encode(plain))


def model(
    name: str, versions: Sequence[int], platform: str, signature: ModelSignature, headers: bytes = b""
) -> Response:
    """`GET /v2/models/NAME`. Open sizes are -1; a tensor whose rank is open has the one size -1."""
    plain = {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": platform,
        "inputs": [_tensor(tensor) for tensor in signature.inputs],
        "outputs": [_tensor(tensor) for tensor in signature.outputs],
    }
    return Response(200, encode_text(plain), headers)


def live() -> Response:
    """`GET /v2/health/live`."""
    return Response(200, b'{"live":true}')


def server_ready(*, is_ready: bool) -> Response:
    """`GET /v2/health/ready`: the status says it. The specification's body names it `live`, KServe's `ready`: both are here."""
    text = b"true" if is_ready else b"false"
    return Response(200 if is_ready else 503, b'{"live":true,"ready":%b}' % text)


def model_ready(name: str, *, is_ready: bool, headers: bytes = b"") -> Response:
    """`GET /v2/models/NAME/ready`."""
    return Response(200 if is_ready else 503, encode_text({"name": name, "ready": is_ready}), headers)


def _tensor(tensor: Tensor) -> dict[str, Any]:
    sizes = [-1] if tensor.shape is None else [-1 if size is None else size for size in tensor.shape]
    return {"name": tensor.name, "datatype": datatype(tensor.dtype), "shape": sizes}
