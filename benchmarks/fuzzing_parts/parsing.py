"""What targets for parsers have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.fuzzing_parts.answers import WrongError
from serving.backends.base import Array
from serving.signature import ModelSignature, Tensor


@dataclass(frozen=True)
class Reader:
    name: str
    read: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    weight: int = 1


def signature(*inputs: tuple[str, str, tuple[int | None, ...] | None]) -> ModelSignature:
    return ModelSignature(tuple(Tensor(*one) for one in inputs), (Tensor("y", "float32", (None,)),))


SIGNATURES: Sequence[ModelSignature] = [
    signature(("x", "float32", (None, 3))),
    signature(("x", "float32", (None,))),
    signature(("x", "float64", (None, 2, 2))),
    signature(("x", "int64", (None, 2))),
    signature(("x", "int32", (None,))),
    signature(("x", "uint8", (None, 2))),
    signature(("x", "int8", None)),
    signature(("x", "string", (None,))),
    signature(("x", "bool", (None, None))),
    signature(("x", "float16", (None, 2))),
    signature(("x", "uint64", (None,))),
    signature(("x", "float32", None)),
    signature(("a", "float32", (None, 2)), ("b", "int64", (None,))),
    signature(("a", "string", None), ("b", "bool", None)),
]


def check_arrays(found: Mapping[str, Array], wanted: ModelSignature, *, with_shapes: bool = True) -> None:
    """
    Raises:
        WrongError: other inputs, types or shapes than the signature's.
    """
    if set(found) != {tensor.name for tensor in wanted.inputs}:
        raise WrongError(f"inputs {set(found)}")
    for tensor in wanted.inputs:
        array = found[tensor.name]
        expected = "object" if tensor.dtype == "string" else tensor.dtype
        if array.dtype.name != expected or not array.dtype.isnative:
            raise WrongError(f"{tensor.name} came out as {array.dtype}, expected {expected}")
        if with_shapes and not tensor.accepts(array.shape):
            raise WrongError(f"{tensor.name} came out with shape {array.shape}, expected {tensor.shape_text()}")
        if expected == "object" and not all(isinstance(one, bytes) for one in array.ravel()):
            raise WrongError(f"{tensor.name} has texts that are no bytes")


def check_same(one: Mapping[str, Array], other: Mapping[str, Array], what: str) -> None:
    """
    Raises:
        WrongError: two ways of reading the same differ.
    """
    for name in {*one, *other}:
        first, second = one.get(name), other.get(name)
        if first is None or second is None or not same(first, second):
            raise WrongError(f"{what}: {name} is {_shown(first)} one way, {_shown(second)} the other")


def same(one: Array, other: Array) -> bool:
    """Equal to the last bit, but for what kind of NaN it is."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind == "c":
        return same(one.real, other.real) and same(one.imag, other.imag)
    if one.dtype.kind == "f":
        return bool(np.array_equal(one, other, equal_nan=True) and np.array_equal(np.signbit(one), np.signbit(other)))
    return bool(np.array_equal(one, other))


def _shown(array: Any) -> str:
    return "nothing" if array is None else f"{array.dtype}{array.shape} {array.ravel()[:8]}"
