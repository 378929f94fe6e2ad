"""A stretch of steps as a Keras model of its own, and as the function that is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skylift.artifacts.records import Signature, TensorSpec
from training.importing.original import named_function
from training.shard.graph import Graph
from training.shard.masks import mask_layers


@dataclass
class Part:
    """Steps `first` to before `end` as a functional model over lists of tensors, which shares its weights with the model.

    Args:
        signature: names as the chain hands them on: those of the model's own signature at its ends.
        sources: by input, the number of the part that gives it, counted from 1; 0 for what the request brings.
    """

    model: Any
    signature: Signature
    first: int
    end: int
    sources: dict[str, int]

    def serving(self, tf: Any) -> Any:
        """The part as a compiled function of named tensors."""
        return serving(tf, self.model, self.signature)


def serving(tf: Any, model: Any, signature: Signature) -> Any:
    """A Keras model over lists of tensors as a compiled function of named tensors."""

    def call(named: Mapping[str, Any]) -> dict[str, Any]:
        given = model([named[spec.name] for spec in signature.inputs], training=False)
        listed = given if isinstance(given, list | tuple) else [given]
        return {spec.name: tf.cast(each, spec.dtype) for spec, each in zip(signature.outputs, listed, strict=True)}

    return named_function(tf, signature.inputs, call)


def cut_up(graph: Graph, ends: Sequence[int], signature: Signature) -> list[Part]:
    """The parts that end before the steps `ends`; the last one is the number of steps."""
    firsts = [0, *ends[:-1]]
    maker = {
        name: next((number for number, end in enumerate(ends, start=1) if 0 <= value.maker < end), 0)
        for name, value in graph.values.items()
    }
    return [_part(graph, first, end, signature, maker) for first, end in zip(firsts, ends, strict=True)]


def _part(graph: Graph, first: int, end: int, signature: Signature, maker: Mapping[str, int]) -> Part:
    import keras

    takes, gives = ends_of(graph, first, end)
    given = {name: keras.Input(batch_shape=graph.values[name].shape, dtype=graph.values[name].dtype) for name in takes}
    made = _run(graph, first, end, given)
    model = keras.Model([given[name] for name in takes], [made[name] for name in gives])
    known = {spec.name: spec for spec in signature.inputs}
    wanted = dict(zip(graph.outputs, signature.outputs, strict=True))
    own = Signature(
        inputs=[known.get(name) or _spec(graph, name) for name in takes],
        outputs=[wanted.get(name) or _spec(graph, name) for name in gives],
    )
    return Part(model, own, first, end, {name: maker[name] for name in takes})


def ends_of(graph: Graph, first: int, end: int) -> tuple[list[str], list[str]]:
    """What steps `first` to before `end` take and give, in order."""
    used = {name for step in graph.steps[first:end] for name in step.takes if graph.values[name].maker < first}
    used |= {mask for name in used if (mask := graph.values[name].mask)}
    wanted = {*graph.crossing(end), *graph.outputs}
    takes = [name for name in graph.values if name in used]
    return takes, [name for name, value in graph.values.items() if first <= value.maker < end and name in wanted]


def _run(graph: Graph, first: int, end: int, given: Mapping[str, Any]) -> dict[str, Any]:
    take_mask, put_mask = mask_layers()
    tensors = dict(given)
    for name in given:
        mask = graph.values[name].mask
        if mask:
            tensors[name] = put_mask(dtype=graph.values[name].dtype)([given[name], given[mask]])
    for step in graph.steps[first:end]:
        tensors.update(zip(step.gives, step.call(tensors), strict=True))
    for name, value in graph.values.items():
        if value.carrier and first <= value.maker < end:
            tensors[name] = take_mask()(tensors[value.carrier])
    return tensors


def _spec(graph: Graph, name: str) -> TensorSpec:
    value = graph.values[name]
    return TensorSpec(name=name, dtype=value.dtype, shape=value.shape)
