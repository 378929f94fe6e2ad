"""TensorFlow's SavedModel. TensorFlow is imported when the first such model is loaded, not before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from serving.backends.base import Array, RunError
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from skylift.errors import DeployError, MachineError


class TensorFlowBackend:
    """All signatures of a SavedModel."""

    name = "tensorflow"

    def __init__(self, folder: Path, threads: int, wanted: ModelSignature) -> None:
        tensorflow = import_tensorflow(threads)
        self._tf = tensorflow
        try:
            self._model: Any = tensorflow.saved_model.load(str(folder))
        except Exception as error:
            raise DeployError(
                f"TensorFlow cannot load the SavedModel: {_first_line(error)}", hint="publish the version again"
            ) from None
        self._functions: dict[str, Any] = dict(self._model.signatures)
        self.signatures: Mapping[str, ModelSignature] = {
            name: _signature(function) for name, function in self._functions.items()
        }
        _check(self.signatures, wanted)

    def run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        constant = self._tf.constant
        try:
            results = self._functions[signature](**{name: constant(value) for name, value in inputs.items()})
            return {name: np.asarray(value.numpy()) for name, value in results.items()}
        except (self._tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            raise RunError(_first_line(error), is_callers_fault=True) from None
        except Exception as error:
            raise RunError(_first_line(error), is_callers_fault=False) from None

    def close(self) -> None:
        self._functions = {}
        self._model = None


def import_tensorflow(threads: int) -> Any:
    """The package tensorflow, with its thread pools set before the first operation.

    Raises:
        MachineError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow
    except ImportError as error:
        raise MachineError(
            f"TensorFlow cannot be imported: {error}", hint="install it: `pip install 'skylift[serve-tensorflow]'`"
        ) from None
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        for device in tensorflow.config.list_physical_devices("GPU"):  # untried on hardware
            tensorflow.config.experimental.set_memory_growth(device, True)
    except RuntimeError:
        pass  # a version loaded before this one has started the pools already, with the same numbers
    return tensorflow


def _signature(function: Any) -> ModelSignature:
    inputs = function.structured_input_signature[1]
    outputs = function.structured_outputs
    return ModelSignature(
        tuple(_tensor(name, inputs[name]) for name in sorted(inputs)),
        tuple(_tensor(name, outputs[name]) for name in sorted(outputs)),
    )


def _tensor(name: str, spec: Any) -> Tensor:
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return Tensor(name, "string" if spec.dtype.name == "string" else spec.dtype.name, shape)


def _check(found: Mapping[str, ModelSignature], wanted: ModelSignature) -> None:
    served = found.get(DEFAULT_SIGNATURE)
    if served is None:
        raise DeployError(f"the SavedModel has no signature {DEFAULT_SIGNATURE!r}", hint="export it with one")
    for what, promised, own in (("inputs", wanted.inputs, served.inputs), ("outputs", wanted.outputs, served.outputs)):
        want = {tensor.name: tensor.dtype for tensor in promised}
        have = {tensor.name: tensor.dtype for tensor in own}
        if want != have:
            raise DeployError(
                f"the SavedModel has {what} {have}, the manifest promises {want}", hint="publish the version again"
            )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
