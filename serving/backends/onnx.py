"""ONNX Runtime on the CPU, or on CUDA where the installed runtime has it (the latter untried on hardware)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from serving.backends.base import Array, RunError
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from skylift.errors import DeployError, MachineError

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
    **{f"tensor({name})": name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}


class OnnxBackend:
    """One session with `threads` threads that sleep, never spin, while there is nothing to do."""

    name = "onnx"

    def __init__(self, path: Path, threads: int, wanted: ModelSignature) -> None:
        runtime = import_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        try:
            self._session: Any = runtime.InferenceSession(str(path), options, providers=_providers(runtime))
        except Exception as error:
            raise DeployError(
                f"ONNX Runtime cannot load {path.name}: {_first_line(error)}",
                hint="publish the version again; `skylift models show` names its run",
            ) from None
        self._inputs = _aliases(self._session.get_inputs(), wanted.inputs, "input")
        self._outputs = _aliases(self._session.get_outputs(), wanted.outputs, "output")
        self.signatures: Mapping[str, ModelSignature] = {
            DEFAULT_SIGNATURE: ModelSignature(
                tuple(tensor for tensor, _ in self._inputs), tuple(tensor for tensor, _ in self._outputs)
            )
        }
        self._names = [name for _, name in self._outputs]

    def run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        feed = {name: _to_session(tensor.name, inputs[tensor.name]) for tensor, name in self._inputs}
        try:
            results = self._session.run(self._names, feed)
        except Exception as error:
            is_callers = type(error).__name__ == "InvalidArgument"
            raise RunError(_first_line(error), is_callers_fault=is_callers) from None
        return {tensor.name: _from_session(result) for (tensor, _), result in zip(self._outputs, results, strict=True)}

    def close(self) -> None:
        self._session = None


def import_runtime() -> Any:
    """The package onnxruntime.

    Raises:
        MachineError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MachineError(
            f"ONNX Runtime cannot be imported: {error}", hint="install it: `pip install 'skylift[serve]'`"
        ) from None
    return onnxruntime


def _providers(runtime: Any) -> list[str]:
    available = runtime.get_available_providers()
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]


def _aliases(found: Any, wanted: tuple[Tensor, ...], what: str) -> list[tuple[Tensor, str]]:
    """Tensors under the names that the manifest promises, each with the file's own name: by name, else by place."""
    own = [Tensor(node.name, _TYPES.get(node.type, node.type), _shape(node.shape)) for node in found]
    by_name = {tensor.name: tensor for tensor in own}
    names = [tensor.name for tensor in wanted]
    chosen = [by_name[name] for name in names] if set(names) == set(by_name) else own
    if len(chosen) != len(wanted):
        raise DeployError(
            f"the ONNX file has {what}s {', '.join(by_name)}, the manifest promises {', '.join(names)}",
            hint="publish the version again",
        )
    pairs = []
    for promised, tensor in zip(wanted, chosen, strict=True):
        if promised.dtype != tensor.dtype:
            raise DeployError(
                f"{what} {promised.name!r} of the ONNX file is {tensor.dtype}, the manifest promises {promised.dtype}",
                hint="publish the version again",
            )
        pairs.append((Tensor(promised.name, tensor.dtype, tensor.shape), tensor.name))
    return pairs


def _shape(dims: Any) -> tuple[int | None, ...] | None:
    # ONNX Runtime shows an unknown rank as [], the same as a scalar; no served model takes scalars without a batch.
    return tuple(dim if isinstance(dim, int) else None for dim in dims) if dims else None


def _to_session(name: str, value: Array) -> Array:
    if value.dtype != object:
        return value
    try:
        texts = [item.decode() if isinstance(item, bytes) else item for item in value.ravel()]
    except UnicodeDecodeError:
        # ONNX Runtime's Python interface takes text only; the SavedModel takes any bytes.
        raise RunError(f'input "{name}" must be UTF-8 text with this model', is_callers_fault=True) from None
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array.reshape(value.shape)


def _from_session(value: Array) -> Array:
    if value.dtype != object:
        return value
    raw = [item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item for item in value.ravel()]
    return np.array(raw, dtype=object).reshape(value.shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
