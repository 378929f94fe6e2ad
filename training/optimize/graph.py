"""A Keras model as a graph of calls, each with the tensors that it takes and gives."""

from __future__ import annotations

from typing import Any

from training.optimize.bench import UnfitError


def functional(keras: Any, model: Any) -> Any:
    """The same layers and weights as a functional model.

    Raises:
        UnfitError: the model is a class with a `call` of its own, which has no graph.
    """
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0])
    if not hasattr(model, "_nodes_by_depth"):
        raise UnfitError(
            f"{type(model).__name__} is a class of its own, whose layers cannot be told apart from outside",
            hint="build the model by keras.Sequential or the functional API",
        )
    return model


def nodes_of(model: Any) -> list[Any]:
    """Every call of a layer or operation in a functional model, inputs first."""
    depths = model._nodes_by_depth
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth] if not node.is_input]
