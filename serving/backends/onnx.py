"""ONNX Runtime on the CPU, or on CUDA where the installed runtime has it (the latter untried on hardware)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving.backends import onnx_session, pinned
from serving.backends.aliases import pair
from serving.backends.base import Array, RunError, first_line
from serving.backends.onnx_session import import_runtime as import_runtime
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from skylift.errors import DeployError

_OF_SHAPES = re.compile(
    r"\bwhile running\b.*\b(?:broadcast|dimensions?|shapes?|axis|rank)\b", re.DOTALL | re.IGNORECASE
)
_NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_PLAIN = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bool": "bool",
    "string": "string",
    **dict.fromkeys(_NUMBERS, ""),
}
_TYPES = {
    text.format(kind): dtype or kind
    for kind, dtype in _PLAIN.items()
    for text in ("tensor({})", "optional(tensor({}))")
}


class OnnxBackend:
    """One session with `threads` threads that sleep, never spin, while there is nothing to do.

    Args:
        wanted: what the manifest promises; None where the file's own names stand.

    Raises:
        DeployError: it cannot be loaded, or takes and gives something else than promised.
        MachineError: ONNX Runtime is not installed.
    """

    name = "onnx"
    platform = "onnxruntime_onnx"
    concurrency = 1
    methods: Mapping[str, str] = {}
    defaults: Mapping[str, Mapping[str, Array]] = {}

    def __init__(
        self,
        path: Path,
        threads: int,
        wanted: ModelSignature | None,
        *,
        gpu_index: int = 0,
        gpu_memory_mib: int = 0,
    ) -> None:
        self._session: Any = onnx_session.open_session(
            path, threads, gpu_index=gpu_index, gpu_memory_mib=gpu_memory_mib
        )
        inputs, outputs = _tensors(self._session.get_inputs(), path), _tensors(self._session.get_outputs(), path)
        self._inputs = pair(inputs, wanted.inputs if wanted else None, "input")
        self._outputs = pair(outputs, wanted.outputs if wanted else None, "output")
        self.signatures: Mapping[str, ModelSignature] = {
            DEFAULT_SIGNATURE: ModelSignature(
                tuple(tensor for tensor, _ in self._inputs), tuple(tensor for tensor, _ in self._outputs)
            )
        }
        self._own = {tensor.name: name for tensor, name in self._outputs}
        self._pinned = pinned.find() if onnx_session.CUDA in self._session.get_providers() else None

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        feed = {name: _to_session(tensor.name, inputs[tensor.name]) for tensor, name in self._inputs}
        names = outputs or list(self._own)
        try:
            results = self._compute([self._own[name] for name in names], feed)
        except Exception as error:
            raise RunError(first_line(error), is_callers_fault=self._is_callers_fault(error)) from None
        return {name: _from_session(result) for name, result in zip(names, results, strict=True)}

    def _is_callers_fault(self, error: Exception) -> bool:
        """Whether an input is wrong. Shapes that do not go together inside the model are its own fault unless it leaves them open."""
        if type(error).__name__ == "InvalidArgument":
            return True
        is_open = len(self._inputs) > 1 or any(tensor.row_shape is None for tensor, _ in self._inputs)
        return is_open and _OF_SHAPES.search(str(error)) is not None

    def _compute(self, names: list[str], feed: Mapping[str, Array]) -> list[Array]:
        if self._pinned is None:
            results: list[Array] = self._session.run(names, feed)
            return results
        binding = self._session.io_binding()
        for name, value in feed.items():
            binding.bind_cpu_input(name, self._pinned.stage(name, value))
        for name in names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        bound: list[Array] = binding.copy_outputs_to_cpu()
        return bound

    def close(self) -> None:
        self._session = None
        if self._pinned is not None:
            self._pinned.close()
        onnx_session.release()


def _tensors(nodes: Any, path: Path) -> list[Tensor]:
    strange = [f"{node.name!r} is {node.type}" for node in nodes if node.type not in _TYPES]
    if strange:
        raise DeployError(
            f"{path.name} takes or gives what is no tensor that can be sent: {', '.join(strange)}",
            hint="export it with tensors alone; for scikit-learn's converter that is the option zipmap=False",
        )
    return [Tensor(node.name, _TYPES[node.type], _shape(node.shape)) for node in nodes]


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
