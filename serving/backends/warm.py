"""First calls, made before anybody waits for them: memory is allocated, kernels are chosen, graphs are traced; and timed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.backends.base import Array, Backend, RunError, parts_of
from serving.backends.lazy import LazyBackend
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor
from skylift.errors import DeployError, UnreachableError

Recorded = tuple[str, Mapping[str, Array]]
"""A request that was made of a model: its signature and inputs."""

TIMED_CALLS = 3
TIMED_SECONDS = 0.25
"""Of a size, after its first call: no more is spent on timing it than this, though always one call."""


@dataclass(frozen=True)
class Costs:
    """What `serving_default` takes by rows in a batch [s]: the least of some calls. Empty where it could not be called with zeros."""

    seconds: Mapping[int, float]

    @property
    def per_call(self) -> float:
        """What a call costs whatever it holds [s]: a line through the least and the greatest size, where it meets none. Not below 0."""
        if not self.seconds:
            return 0.0
        few = min(self.seconds)
        return max(0.0, self.seconds[few] - few * self.per_row)

    @property
    def per_row(self) -> float:
        """What a row more costs [s]."""
        if len(self.seconds) < 2:
            return sum(self.seconds.values()) / max(sum(self.seconds), 1)
        few, many = min(self.seconds), max(self.seconds)
        return max(0.0, (self.seconds[many] - self.seconds[few]) / (many - few))


def warm(
    backend: Backend,
    max_batch_rows: int,
    *,
    sizes: Sequence[int] = (),
    recorded: Iterable[Recorded] = (),
    iterations: int = 1,
    most_recorded: int = 1000,
    must_take_zeros: bool = True,
) -> Costs:
    """Call every signature that is loaded: rows of zeros, one at a time, as many as a batch may hold, and in each of `sizes`; then what
    was recorded. A signature that is loaded only when it is asked stays so.

    Args:
        sizes: numbers of rows that batches are padded to.
        recorded: requests, `most_recorded` at most (TensorFlow Serving's limit), each made `iterations` times.
        must_take_zeros: whether a refusal of zeros by `serving_default` is an error. Where its signature leaves something open (strings,
            varying dimensions) zeros prove nothing, and a refusal never is one.

    Raises:
        DeployError: the model cannot compute what its signature promises, or refuses a recorded request.
        UnreachableError: another server has a part of it, and does not answer.
    """
    loaded = [name for name, part in parts_of(backend).items() if not isinstance(part, LazyBackend) or part.is_loaded]
    costs = Costs({})
    for name in loaded:
        is_main = name == DEFAULT_SIGNATURE
        found = _try_zeros(
            backend, name, _rows(backend.signatures[name], max_batch_rows, sizes), must_take_zeros and is_main
        )
        costs = found if is_main else costs
    _replay(backend, itertools.islice(recorded, most_recorded), iterations)
    return costs


def zeros(signature: ModelSignature, rows: int) -> dict[str, Array]:
    return {tensor.name: _zero(tensor, rows) for tensor in signature.inputs}


def _rows(signature: ModelSignature, max_batch_rows: int, sizes: Sequence[int]) -> list[int]:
    return sorted({1, max_batch_rows, *sizes}) if signature.is_batched else [1]


def _try_zeros(backend: Backend, name: str, sizes: Sequence[int], must_take_zeros: bool) -> Costs:
    signature = backend.signatures[name]
    is_proof = all(tensor.row_shape is not None and tensor.dtype != "string" for tensor in signature.inputs)
    seconds = {}
    for rows in sizes:
        try:
            seconds[rows] = _time(backend, name, zeros(signature, rows))
        except RunError as error:
            if error.cause in ("unavailable", "late"):
                raise UnreachableError(error.message, hint="it is tried again") from None
            if is_proof and must_take_zeros:
                raise DeployError(
                    f"the model fails on {rows} rows of zeros: {error.message}",
                    hint="check the version with `skylift models show`, and its recipe",
                ) from None
            break
        except TypeError:
            break  # a type that numpy has no zeros of
    return Costs(seconds)


def _time(backend: Backend, name: str, inputs: Mapping[str, Array]) -> float:
    backend.run(name, inputs)
    least, until = float("inf"), time.perf_counter() + TIMED_SECONDS
    for _ in range(TIMED_CALLS):
        began = time.perf_counter()
        backend.run(name, inputs)
        ended = time.perf_counter()
        least = min(least, ended - began)
        if ended > until:
            break
    return least


def _replay(backend: Backend, recorded: Iterable[Recorded], iterations: int) -> None:
    for number, (name, inputs) in enumerate(recorded, start=1):
        if name not in backend.signatures:
            raise DeployError(
                f"recorded request {number} asks for signature {name!r}; the model has {', '.join(backend.signatures)}",
                hint="record requests of this model anew, or remove them from the version",
            )
        try:
            for _ in range(iterations):
                backend.run(name, inputs)
        except RunError as error:
            raise DeployError(
                f"the model refuses recorded request {number}: {error.message}",
                hint="record requests of this model anew, or remove them from the version",
            ) from None


def _zero(tensor: Tensor, rows: int) -> Array:
    shape = tensor.shape if tensor.shape is not None else (None,)
    full = tuple((rows if axis == 0 else 1) if size is None else size for axis, size in enumerate(shape))
    if tensor.dtype == "string":
        return np.full(full, b"", dtype=object)
    return np.zeros(full, dtype=tensor.dtype)
