"""From a request's tensors to a model's answer: what every protocol does the same way."""

from __future__ import annotations

from collections.abc import Mapping

from serving.backends.base import Array, RunError
from serving.batching.batcher import Done, Job
from serving.interface import Code, StatusError
from serving.signature import ModelSignature


def job_of(signature: ModelSignature, name: str, inputs: Mapping[str, Array], done: Done) -> Job:
    """The work for a request's tensors.

    Raises:
        StatusError: a shape that the model does not take.
    """
    sizes = set()
    for tensor in signature.inputs:
        value = inputs[tensor.name]
        shape = value.shape
        if not tensor.accepts(shape):
            given = "[" + ",".join(map(str, shape)) + "]"
            message = f'input "{tensor.name}" has shape {given}, the model takes {tensor.shape_text()}'
            raise StatusError(Code.INVALID_ARGUMENT, message)
        sizes.add(shape[0] if shape else None)
    rows = sizes.pop() if len(sizes) == 1 else None
    key: tuple[object, ...] | None = None
    if rows:
        key = (name, *[inputs[tensor.name].shape[1:] for tensor in signature.inputs])
    return Job(name, inputs, rows or 1, key, done)


def failure(error: RunError) -> StatusError:
    """A model's refusal or breakdown, as clients are told."""
    if isinstance(error, StatusError):
        return error
    return StatusError(Code.INVALID_ARGUMENT if error.is_callers_fault else Code.INTERNAL, error.message)
