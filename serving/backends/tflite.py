"""TFLite files, computed by LiteRT on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving.backends.aliases import pair
from serving.backends.base import Array, RunError, first_line
from serving.backends.memory import trim
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from skylift.errors import DeployError, MachineError


class TFLiteBackend:
    """One interpreter. It lays out its memory again only where a call has other shapes than the one before.

    Args:
        wanted: what the manifest promises of `serving_default`; None where the file's own signatures stand as they are. Where it
            promises float32 and the file has quantised integers, they are converted by the file's scale and zero point.

    Raises:
        DeployError: it cannot be loaded, holds strings, or takes and gives something else than promised.
        MachineError: LiteRT is not installed.
    """

    name = "tflite"
    platform = "tflite"
    concurrency = 1
    methods: Mapping[str, str] = {}
    defaults: Mapping[str, Mapping[str, Array]] = {}

    def __init__(self, path: Path, threads: int, wanted: ModelSignature | None) -> None:
        try:
            self._interpreter: Any = _interpreter_class()(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise DeployError(
                f"LiteRT cannot load {path.name}: {first_line(error)}",
                hint="convert it again, with built-in operations alone (no SELECT_TF_OPS)",
            ) from None
        self._entries = {name: _Entry(call, path, wanted) for name, call in _calls(self._interpreter, wanted).items()}
        self.signatures: Mapping[str, ModelSignature] = {name: entry.signature for name, entry in self._entries.items()}
        trim()

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        try:
            return self._entries[signature].run(inputs, outputs)
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(first_line(error), is_callers_fault=True) from None
        except RuntimeError as error:
            # It says so too where shapes do not fit an operation, which the signature could not tell.
            raise RunError(first_line(error), is_callers_fault=True) from None

    def close(self) -> None:
        self._entries = {}
        self._interpreter = None
        trim()


class _Stored:
    """A tensor as it lies in the file, and how its numbers are meant."""

    def __init__(self, detail: Mapping[str, Any]) -> None:
        self.index = int(detail["index"])
        kind = np.dtype(detail["dtype"])
        self.dtype = "string" if kind.kind in "OSU" else kind.name
        sizes = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
        self.shape = tuple(None if size < 0 else int(size) for size in sizes)
        scale, self._zero = detail["quantization"]
        self._scale = np.float32(scale)
        self.is_quantised = kind.kind in "iu" and bool(scale)

    def stored(self, value: Array) -> Array:
        if value.dtype.kind != "f" or not self.is_quantised:
            return value
        limits = np.iinfo(self.dtype)
        whole: Array = np.clip(np.rint(value / self._scale) + self._zero, limits.min, limits.max).astype(self.dtype)
        return whole

    def meant(self, value: Array) -> Array:
        real: Array = (value.astype(np.float32) - np.float32(self._zero)) * self._scale
        return real


class _Call:
    """A signature of a file: `get_signature_runner`'s."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.inputs = {name: _Stored(detail) for name, detail in runner.get_input_details().items()}
        self.outputs = {name: _Stored(detail) for name, detail in runner.get_output_details().items()}

    def __call__(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        given: Mapping[str, Array] = self._runner(**feed)
        return given


class _PlainCall:
    """The tensors of a file that has no signature, under their names without `:0`."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.inputs = {_plain(detail): _Stored(detail) for detail in interpreter.get_input_details()}
        self.outputs = {_plain(detail): _Stored(detail) for detail in interpreter.get_output_details()}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def __call__(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        shapes = {name: value.shape for name, value in feed.items()}
        if shapes != self._shapes:
            self._shapes = {}  # not known, should one of these fail
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self.inputs[name].index, shape)
            self._interpreter.allocate_tensors()
            self._shapes = shapes
        for name, value in feed.items():
            self._interpreter.set_tensor(self.inputs[name].index, value)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(stored.index) for name, stored in self.outputs.items()}


class _Entry:
    """One signature as it is served."""

    def __init__(self, call: _Call | _PlainCall, path: Path, wanted: ModelSignature | None) -> None:
        self._call = call
        self._inputs = _pairs(call.inputs, path, wanted.inputs if wanted else None, "input")
        self._outputs = _pairs(call.outputs, path, wanted.outputs if wanted else None, "output")
        self.signature = ModelSignature(
            tuple(tensor for tensor, _ in self._inputs), tuple(tensor for tensor, _ in self._outputs)
        )

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        feed = {}
        for tensor, own in self._inputs:
            value = inputs[tensor.name]
            if value.dtype.name != tensor.dtype or not tensor.accepts(value.shape):
                raise ValueError(
                    f'input "{tensor.name}" is {value.dtype.name} {list(value.shape)}, '
                    f"expected {tensor.dtype} {tensor.shape_text()}"
                )
            feed[own] = self._call.inputs[own].stored(value)
        given = self._call(feed)
        return {
            tensor.name: self._meant(tensor, own, given[own])
            for tensor, own in self._outputs
            if not outputs or tensor.name in outputs
        }

    def _meant(self, tensor: Tensor, own: str, value: Array) -> Array:
        return value if value.dtype.name == tensor.dtype else self._call.outputs[own].meant(value)


def _calls(interpreter: Any, wanted: ModelSignature | None) -> dict[str, _Call | _PlainCall]:
    names = list(interpreter.get_signature_list())
    if wanted is not None:
        names = [DEFAULT_SIGNATURE] if DEFAULT_SIGNATURE in names else names[:1]
        return {
            DEFAULT_SIGNATURE: _Call(interpreter.get_signature_runner(names[0])) if names else _PlainCall(interpreter)
        }
    if not names:
        return {DEFAULT_SIGNATURE: _PlainCall(interpreter)}
    return {name: _Call(interpreter.get_signature_runner(name)) for name in names}


def _pairs(
    found: Mapping[str, _Stored], path: Path, wanted: Sequence[Tensor] | None, what: str
) -> list[tuple[Tensor, str]]:
    texts = [name for name, stored in found.items() if stored.dtype == "string"]
    if texts:
        raise DeployError(
            f"{what} {', '.join(texts)} of {path.name} holds strings, which are not served from TFLite files",
            hint="serve the SavedModel or the ONNX form of this version",
        )
    tensors = [Tensor(name, stored.dtype, stored.shape) for name, stored in found.items()]
    quantised = frozenset(name for name, stored in found.items() if stored.is_quantised)
    return pair(tensors, wanted, what, converted=quantised)


def _plain(detail: Mapping[str, Any]) -> str:
    return str(detail["name"]).removesuffix(":0")


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]
    except ImportError as error:
        raise MachineError(
            f"LiteRT, which computes TFLite files, cannot be imported: {error}",
            hint="install it: `pip install ai-edge-litert`",
        ) from None
    return Interpreter
