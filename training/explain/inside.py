"""Looking into a Keras model while it computes, without changing it: a layer's `call` is replaced for the time of a `with`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def replaced(layer: Any, call: Callable[..., Any]) -> Iterator[None]:
    """The layer computes by `call`. Masks, which Keras makes around it from the layer's real inputs, stay as they are."""
    layer.__dict__["call"] = call
    try:
        yield
    finally:
        del layer.__dict__["call"]


@contextmanager
def watched(layers: list[Any], tell: Callable[[Any, Any], None]) -> Iterator[None]:
    """Tell of each layer's output when it was computed."""

    def wrapped(layer: Any) -> Callable[..., Any]:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            tell(layer, output)
            return output

        return call

    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced(layer, wrapped(layer)))
        yield


def leaves(model: Any) -> list[Any]:
    """All layers that are no models, once each: those of inner models and of a user's own layers included. What an attention is made
    of is not: it is one."""
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        if not hasattr(layer, "layers"):
            found[id(layer)] = layer
        if not hasattr(layer, "_compute_attention"):
            waiting += reversed(list(layer._flatten_layers(include_self=False, recursive=False)))
    found.pop(id(model), None)
    return list(found.values())


@contextmanager
def before_the_end(keras: Any, model: Any) -> Iterator[None]:
    """Without the softmax or sigmoid that the model ends in: of a sure prediction these are flat."""
    last = model.layers[-1]
    while hasattr(last, "layers"):
        last = last.layers[-1]
    ends = (keras.activations.softmax, keras.activations.sigmoid)
    with ExitStack() as stack:
        if isinstance(last, keras.layers.Softmax):
            stack.enter_context(replaced(last, lambda inputs, **_: inputs))
        elif getattr(last, "activation", None) in ends:
            kept, last.activation = last.activation, keras.activations.linear
            stack.callback(setattr, last, "activation", kept)
        yield


def consumer(model: Any, tensor: Any) -> Any | None:
    """The one operation that makes floating-point numbers of an input of whole numbers, such as an embedding; None if there is none."""
    graph = getattr(model, "_functional", None) or model
    found = {}
    for operation in getattr(graph, "operations", ()):
        for node in operation._inbound_nodes:
            if any(each is tensor for each in node.input_tensors) and not node.is_input:
                found[id(operation)] = operation
    makers = [each for each in found.values() if _gives_floats(each)]
    if len(makers) != 1:
        return None
    inner = getattr(makers[0], "inputs", None) if hasattr(makers[0], "layers") else None
    return consumer(makers[0], inner[0]) if inner and len(inner) == 1 else makers[0]


def _gives_floats(operation: Any) -> bool:
    outputs = [each for node in operation._inbound_nodes for each in node.output_tensors]
    return bool(outputs) and all("float" in str(each.dtype) for each in outputs)
