"""TensorFlow's SavedModel. TensorFlow is imported when the first such model is loaded, not before."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving import log
from serving.backends.base import Array, RunError, first_line
from serving.backends.memory import trim
from serving.backends.saved_model import Described
from serving.backends.tensorflow_start import import_tensorflow as import_tensorflow
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from skylift.errors import DeployError

TAGS = ("serve",)


class TensorFlowBackend:
    """All signatures of a SavedModel.

    Args:
        wanted: what the manifest promises of `serving_default`; None where the file's own signatures stand as they are.
        only: serve these signatures alone; empty: all.

    Raises:
        DeployError: it cannot be loaded, or `serving_default` is another than promised.
        MachineError: TensorFlow is not installed.
    """

    name = "tensorflow"
    platform = "tensorflow_savedmodel"
    concurrency = 1

    def __init__(
        self,
        folder: Path,
        threads: int,
        wanted: ModelSignature | None,
        *,
        tags: Sequence[str] = TAGS,
        only: Sequence[str] = (),
        gpu_memory_mib: int = 0,
    ) -> None:
        self._tf = import_tensorflow(threads, gpu_memory_mib=gpu_memory_mib)
        described = Described(self._tf, folder, tags)
        try:
            self._model: Any = self._tf.saved_model.load(str(folder), tags=list(tags))
        except Exception as error:
            raise DeployError(
                f"TensorFlow cannot load the SavedModel: {first_line(error)}", hint="publish the version again"
            ) from None
        functions = {name: each for name, each in self._model.signatures.items() if not only or name in only}
        self.signatures: Mapping[str, ModelSignature] = _served(functions)
        if wanted is not None:
            _check(self.signatures, wanted)
        missing = [name for name in only if name not in self.signatures]
        if missing:
            raise DeployError(
                f"the SavedModel has no signature {', '.join(missing)}, which the manifest promises",
                hint="publish the version again",
            )
        self.methods: Mapping[str, str] = {
            name: method for name, method in described.methods().items() if name in self.signatures
        }
        self.defaults: Mapping[str, Mapping[str, Array]] = described.defaults()
        self._functions = {
            name: _Function(self._tf, functions[name], signature) for name, signature in self.signatures.items()
        }
        trim()

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        if signature in self.defaults:
            inputs = {**self.defaults[signature], **inputs}
        try:
            results = self._functions[signature](inputs)
            return {name: np.asarray(results[name].numpy()) for name in outputs or results}
        except (self._tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            raise RunError(first_line(error), is_callers_fault=True) from None
        except Exception as error:
            raise RunError(first_line(error), is_callers_fault=False) from None

    def close(self) -> None:
        self._functions = {}
        self._model = None
        gc.collect()  # functions and their graphs refer to each other
        trim()


class _Function:
    """A signature's function, called the short way where TensorFlow has it: 0.08 ms less of 0.39 for the CNN, one row."""

    def __init__(self, tensorflow: Any, function: Any, signature: ModelSignature) -> None:
        self._tf = tensorflow
        self._function = function
        self._inputs = {tensor.name: tensor for tensor in signature.inputs}
        self._outputs = {tensor.name for tensor in signature.outputs}
        order = getattr(function, "_arg_keywords", None)
        has_short_way = callable(getattr(function, "_call_flat", None)) and set(order or ()) == set(self._inputs)
        self._order: list[str] | None = list(order) if has_short_way and order is not None else None

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Any]:
        constant = self._tf.constant
        if self._order is None:
            called: Mapping[str, Any] = self._function(**{name: constant(value) for name, value in inputs.items()})
            return called
        self._check(inputs)
        tensors = [constant(inputs[name]) for name in self._order]
        results = self._function._call_flat(tensors, self._function.captured_inputs)
        if not isinstance(results, Mapping) or results.keys() != self._outputs:
            log.event("tensorflow_short_call_unused", why=f"it gave {type(results).__name__}")
            self._order = None  # a TensorFlow that has changed it: from now on the public way
            return self(inputs)
        return results

    def _check(self, inputs: Mapping[str, Array]) -> None:
        """What the public way would refuse: the short one computes it, or breaks."""
        if inputs.keys() != self._inputs.keys():
            raise ValueError(f"inputs are {', '.join(inputs)}, expected {', '.join(self._inputs)}")
        for name, value in inputs.items():
            tensor = self._inputs[name]
            dtype = "string" if value.dtype.kind in "OSU" else value.dtype.name
            if dtype != tensor.dtype or not tensor.accepts(value.shape):
                raise ValueError(
                    f'input "{name}" is {dtype} {list(value.shape)}, expected {tensor.dtype} {tensor.shape_text()}'
                )


def _served(functions: Mapping[str, Any]) -> dict[str, ModelSignature]:
    """Signatures whose tensors can be sent; a log line names those that have others."""
    served = {}
    for name, function in functions.items():
        try:
            served[name] = _signature(function)
        except (AttributeError, ValueError) as error:
            log.event("signature_unused", signature=name, why=f"it takes or gives what is no dense tensor: {error}")
    if not served:
        raise DeployError(
            "the SavedModel has no signature that can be served",
            hint="export it with one: `model.export(folder)`, or tf.saved_model.save(…, signatures=…)",
        )
    return served


def _signature(function: Any) -> ModelSignature:
    inputs = function.structured_input_signature[1]
    outputs = function.structured_outputs
    return ModelSignature(
        tuple(_tensor(name, inputs[name]) for name in sorted(inputs)),
        tuple(_tensor(name, outputs[name]) for name in sorted(outputs)),
    )


def _tensor(name: str, spec: Any) -> Tensor:
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    dtype = "string" if spec.dtype.name == "string" else spec.dtype.name
    if dtype in ("resource", "variant"):
        raise ValueError(f"{name!r} is {dtype}")
    return Tensor(name, dtype, shape)


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
