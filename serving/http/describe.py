"""A model's status and metadata as TensorFlow Serving writes them."""

from __future__ import annotations

from typing import Any

import msgspec

from serving.http.messages import Response, error
from serving.models import Models, Served
from serving.signature import TENSORFLOW_NAMES, ModelSignature, Tensor


def status(models: Models, name: str, version: int | None) -> Response:
    """Every known version of a model, or one: what answers, what is being loaded, what could not be and why."""
    found = [entry for entry in _versions(models) if entry[0] == name]
    if not found:
        return error(404, f"Could not find any versions of model {name}")
    shown = [plain for _, number, plain in found if version is None or number == version]
    if not shown:
        return error(404, f"Could not find version {version} of model {name}")
    return Response(200, msgspec.json.encode({"model_version_status": shown}))


def _versions(models: Models) -> list[tuple[str, int, dict[str, Any]]]:
    entries = []
    seen: set[tuple[str, int]] = set()
    if models.serving is not None:
        model = models.serving.model
        seen.add((model.name, model.version))
        entries.append((model.name, model.version, _version(model.version, "AVAILABLE", "OK", "")))
    for note in models.notes:
        model = note.model
        if (model.name, model.version) not in seen:
            plain = _version(model.version, note.state, note.error_code, note.error_message)
            entries.append((model.name, model.version, plain))
    return sorted(entries, key=lambda entry: entry[1])


def _version(version: int, state: str, code: str, message: str) -> dict[str, Any]:
    return {"version": str(version), "state": state, "status": {"error_code": code, "error_message": message}}


def metadata(served: Served) -> Response:
    """The signatures, in the shape of a GetModelMetadataResponse."""
    signatures = {name: _signature(one) for name, one in sorted(served.loaded.backend.signatures.items())}
    plain = {
        "model_spec": {"name": served.model.name, "signature_name": "", "version": str(served.model.version)},
        # The name stands twice: once for the field that was asked for, once for the map inside its message.
        "metadata": {"signature_def": {"signature_def": signatures}},
    }
    return Response(200, msgspec.json.encode(plain), served.headers)


def _signature(signature: ModelSignature) -> dict[str, Any]:
    return {
        "inputs": {tensor.name: _tensor(tensor) for tensor in signature.inputs},
        "outputs": {tensor.name: _tensor(tensor) for tensor in signature.outputs},
        "method_name": "tensorflow/serving/predict",
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
