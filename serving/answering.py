"""From a request's tensors to a model's answer: what every protocol does the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.backends.base import Array, RunError
from serving.batching.batcher import Done, Job
from serving.interface import Code, StatusError
from serving.signature import ModelSignature

_KEPT_SHAPES = 256


class JobMaker:
    """Makes jobs for one signature: checks shapes, counts rows, says which jobs may be computed together. For one thread."""

    def __init__(self, signature: ModelSignature, name: str) -> None:
        self._name = name
        self._tensors = signature.inputs
        self._outputs = tuple(tensor.name for tensor in signature.outputs)
        self._only = signature.inputs[0].name if len(signature.inputs) == 1 else None
        self._known: dict[tuple[int, ...] | tuple[tuple[int, ...], ...], tuple[int, tuple[object, ...] | None]] = {}

    def make(self, inputs: Mapping[str, Array], done: Done) -> Job:
        """The work for a request's tensors.

        Raises:
            StatusError: a shape that the model does not take.
        """
        shapes = (
            inputs[self._only].shape
            if self._only is not None
            else tuple(inputs[one.name].shape for one in self._tensors)
        )
        found = self._known.get(shapes)
        if found is None:
            found = self._look(inputs)
            if len(self._known) < _KEPT_SHAPES:
                self._known[shapes] = found
        return Job(self._name, inputs, found[0], found[1], done)

    def wanted(self, names: Sequence[str]) -> Sequence[str]:
        """Of the outputs that a request names those that there are; none for all."""
        if not names or len(self._outputs) == 1:
            return ()
        found = [name for name in self._outputs if name in names]
        return found if len(found) < len(self._outputs) else ()

    def _look(self, inputs: Mapping[str, Array]) -> tuple[int, tuple[object, ...] | None]:
        sizes = set()
        for tensor in self._tensors:
            shape = inputs[tensor.name].shape
            if not tensor.accepts(shape):
                given = "[" + ",".join(map(str, shape)) + "]"
                message = f'input "{tensor.name}" has shape {given}, the model takes {tensor.shape_text()}'
                raise StatusError(Code.INVALID_ARGUMENT, message)
            sizes.add(shape[0] if shape else None)
        rows = sizes.pop() if len(sizes) == 1 else None
        if not rows:
            return 1, None
        return rows, (self._name, *[inputs[tensor.name].shape[1:] for tensor in self._tensors])


_CAUSES: Mapping[str, Code] = {
    "refused": Code.INVALID_ARGUMENT,
    "broken": Code.INTERNAL,
    "unavailable": Code.UNAVAILABLE,
    "late": Code.DEADLINE_EXCEEDED,
}


def failure(error: RunError) -> StatusError:
    """A model's refusal or breakdown, or a queue's, as clients are told."""
    code: Code = getattr(error, "code", _CAUSES[error.cause])
    return StatusError(code, error.message, retry_after=error.retry_after, reason=getattr(error, "reason", ""))
