"""A model's status and metadata as TensorFlow Serving writes them."""

from __future__ import annotations

from typing import Any

import msgspec

from serving.http.messages import Response, error
from serving.interface import VersionStatus
from serving.models import Models, Version
from serving.signature import TENSORFLOW_NAMES, ModelSignature, Tensor


def status(models: Models, name: str, version: int | None) -> Response:
    """Every known version of a model, or one: what answers, what is being loaded, what could not be and why."""
    known = models.statuses(name)
    if not known:
        return error(404, f"Could not find any versions of model {name}")
    shown = [_version(one) for one in known if version is None or one.version == version]
    if not shown:
        return error(404, f"Could not find version {version} of model {name}")
    return Response(200, msgspec.json.encode({"model_version_status": shown}))


def _version(one: VersionStatus) -> dict[str, Any]:
    told = {"error_code": one.code.name, "error_message": one.message}
    return {"version": str(one.version), "state": one.state, "status": told}


def metadata(served: Version) -> Response:
    """The signatures, in the shape of a GetModelMetadataResponse."""
    signatures = {name: _signature(one, served.method(name)) for name, one in sorted(served.signatures.items())}
    plain = {
        "model_spec": {"name": served.name, "signature_name": "", "version": str(served.version)},
        # The name stands twice: once for the field that was asked for, once for the map inside its message.
        "metadata": {"signature_def": {"signature_def": signatures}},
    }
    return Response(200, msgspec.json.encode(plain), served.headers)


def _signature(signature: ModelSignature, method: str) -> dict[str, Any]:
    return {
        "inputs": {tensor.name: _tensor(tensor) for tensor in signature.inputs},
        "outputs": {tensor.name: _tensor(tensor) for tensor in signature.outputs},
        "method_name": method,
        "defaults": {},
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    sizes = [-1 if size is None else size for size in tensor.shape or ()]
    return {
        "dtype": "DT_" + TENSORFLOW_NAMES.get(tensor.dtype, "invalid").upper(),
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in sizes],
            "unknown_rank": tensor.shape is None,
        },
        "name": tensor.name,
    }
