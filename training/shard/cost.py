"""What each step costs: run on real rows, several rounds over all steps so that whatever else the machine does falls on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from skylift.artifacts.records import Signature
from training.contract import Array
from training.export.compare import Named
from training.shard.build import Part, cut_up
from training.shard.cuts import Layer
from training.shard.graph import Graph

BATCHES = (1, 32)
ROUNDS = 15
FEWEST = 5
ENOUGH = 6.0
"""No further round begins after this long [s], once there were FEWEST."""

Call = Callable[[], Any]


def measure(tf: Any, graph: Graph, rows: Named, signature: Signature) -> tuple[list[Layer], Named]:
    """Every step measured, and what the steps give for `rows` one behind another, by the names of the signature."""
    parts = cut_up(graph, range(1, len(graph.steps) + 1), signature)
    values = {name: rows[name] for name in graph.inputs}
    batches = {size: {name: repeated(each, size) for name, each in values.items()} for size in BATCHES}
    calls: dict[int, list[Call]] = {size: [] for size in BATCHES}
    for part in parts:
        serve = part.serving(tf)
        for size, batch in batches.items():
            calls[size].append(prepared(tf, serve, batch))
        for known in (values, *batches.values()):
            given = serve(*_tensors(tf, serve, known))
            known.update({_value_of(graph, signature, name): each.numpy() for name, each in given.items()})
    times = {size: timed(calls[size], nothing(tf)) for size in BATCHES}
    layers = [_layer(graph, number, part, values, times) for number, part in enumerate(parts)]
    names = (spec.name for spec in signature.outputs)
    return layers, dict(zip(names, (values[name] for name in graph.outputs), strict=True))


def prepared(tf: Any, serve: Any, rows: Named) -> Call:
    """A call with these rows, traced and ready to be timed."""
    function, tensors = serve.get_concrete_function(), _tensors(tf, serve, rows)
    return lambda: function(*tensors)


def _tensors(tf: Any, serve: Any, rows: Named) -> list[Any]:
    return [tf.constant(rows[spec.name]) for spec in serve.input_signature]


def repeated(array: Array, size: int) -> Array:
    """So many rows, from the first on again where there are fewer."""
    return np.take(array, np.arange(size) % len(array), axis=0)


def timed(calls: Sequence[Call], nothing: Call, rounds: int = ROUNDS) -> list[float]:
    """Median time of each call [ms], less that of a call that does nothing."""
    taken: list[list[float]] = [[] for _ in range(len(calls) + 1)]
    began = time.monotonic()
    for number in range(rounds + 1):
        if number > FEWEST and time.monotonic() - began > ENOUGH:
            break
        for times, call in zip(taken, [*calls, nothing], strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    *each, least = [median(times[1:]) for times in taken]  # the first round warms up
    return [max(one - least, 0.0) * 1e3 for one in each]


def nothing(tf: Any) -> Call:
    function = tf.function(lambda x: tf.identity(x), input_signature=[tf.TensorSpec([], "float32")])
    concrete, tensor = function.get_concrete_function(), tf.constant(0.0)
    return lambda: concrete(tensor)


def _value_of(graph: Graph, signature: Signature, name: str) -> str:
    """The value behind a name of a part's signature."""
    ends = {spec.name: value for spec, value in zip(signature.outputs, graph.outputs, strict=True)}
    return ends.get(name, name)


def _layer(graph: Graph, number: int, part: Part, values: Named, times: Mapping[int, list[float]]) -> Layer:
    step = graph.steps[number]
    before = graph.crossing(number)
    held = {*before, *(name for name in step.takes), *step.gives}
    return Layer(
        name=step.name,
        ms={size: times[size][number] for size in BATCHES},
        variables={id(each): _bytes_of(each) for each in part.model.variables},
        alive=sum(_per_row(values[name]) for name in held),
        bytes_before=sum(_per_row(values[name]) for name in before),
        may_cut=number > 0 and all(_has_rows(graph, values, name) for name in before),
        is_passive=_same(values, step.takes, step.gives),
    )


def _bytes_of(variable: Any) -> int:
    return int(np.prod(variable.shape)) * np.dtype(_plain(str(variable.dtype))).itemsize


def _plain(dtype: str) -> str:
    return "float16" if dtype == "bfloat16" else dtype


def _per_row(array: Array) -> int:
    return -(-array.nbytes // max(len(array), 1)) if array.ndim else array.nbytes


def _has_rows(graph: Graph, values: Named, name: str) -> bool:
    """Whether a tensor has one row for each row of the request, and any number of them."""
    shape, array = graph.values[name].shape, values[name]
    is_batched = bool(shape) and shape[0] is None and array.ndim > 0
    return is_batched and len(array) == len(values[graph.inputs[0]]) and array.dtype != object


def _same(values: Named, takes: Sequence[str], gives: Sequence[str]) -> bool:
    """Whether a step gives the numbers that it takes, in whatever shape."""
    if len(takes) != 1 or len(gives) != 1:
        return False
    taken, given = values[takes[0]], values[gives[0]]
    return taken.size == given.size and bool(np.array_equal(taken.ravel(), given.ravel().astype(taken.dtype)))
