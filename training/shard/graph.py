"""A Keras model as a list of steps in the order in which it computes them, models within it laid open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skylift.errors import InputError


@dataclass(frozen=True)
class Value:
    """A tensor that steps hand to each other.

    Args:
        maker: the step that gives it; -1 for what the model takes.
        carrier: of a mask, the value that it lies beside; else empty.
        mask: the value that is its mask; else empty.
    """

    name: str
    tensor: Any
    maker: int
    carrier: str = ""
    mask: str = ""

    @property
    def dtype(self) -> str:
        return str(self.tensor.dtype)

    @property
    def shape(self) -> list[int | None]:
        return list(self.tensor.shape)


@dataclass
class Step:
    """One call of a layer or operation.

    Args:
        refs: what stands for the tensors in `args` and `kwargs`, by their ids.
    """

    name: str
    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    refs: dict[int, str]
    gives: list[str]

    @property
    def takes(self) -> list[str]:
        return list(dict.fromkeys(self.refs.values()))

    def call(self, tensors: Mapping[str, Any]) -> list[Any]:
        """What it gives for symbolic tensors."""
        import keras

        args, kwargs = keras.tree.map_structure(
            lambda each: tensors[self.refs[id(each)]] if id(each) in self.refs else each, (self.args, self.kwargs)
        )
        return list(keras.tree.flatten(self.op(*args, **kwargs)))


@dataclass
class Graph:
    """Steps in order. `inputs` and `outputs` name values in the order of the signature."""

    steps: list[Step]
    inputs: list[str]
    outputs: list[str]
    values: dict[str, Value]
    last_use: dict[str, int] = field(default_factory=dict)
    """The last step that takes a value."""

    def crossing(self, at: int) -> list[str]:
        """What steps from `at` on take of what there was before, masks included, in order."""
        alive = [
            value for value in self.values.values() if value.maker < at and self.last_use.get(value.name, -1) >= at
        ]
        masks = {value.mask for value in alive if value.mask}
        known = {value.name for value in alive} | masks
        return [name for name in self.values if name in known]


def trace(model: Any, inputs: Sequence[str], outputs: Sequence[str], name: str) -> Graph:
    """The steps of `model`, whose inputs and outputs go by the names of its signature.

    Raises:
        InputError: the model has no graph of layers.
    """
    functional = functional_of(model)
    if functional is None:
        raise InputError(
            f"{name} has no graph of layers to cut at: its class {type(model).__name__} computes in a `call` of its own",
            hint="build it from keras.Input and layers (keras.Model(inputs, outputs) or keras.Sequential with an Input)",
        )
    builder = _Builder([*inputs, *outputs])
    known = {id(tensor): given for tensor, given in zip(functional.inputs, inputs, strict=True)}
    builder.walk(functional, known, "")
    ends = [known[id(tensor)] for tensor in functional.outputs]
    return _with_values(_needed(builder.steps, ends), functional, list(inputs), ends)


def functional_of(model: Any) -> Any | None:
    """The graph behind a functional model or a Sequential; None where a class computes in a `call` of its own."""
    import keras

    if isinstance(model, keras.Sequential):
        return getattr(model, "_functional", None)
    own = getattr(type(model), "call", None)
    is_graph = hasattr(model, "_nodes_by_depth") and hasattr(model, "inputs")
    return model if is_graph and own is getattr(_functional_class(keras), "call", None) else None


def _functional_class(keras: Any) -> Any:
    tensor = keras.Input((1,))
    return type(keras.Model(tensor, tensor))


class _Builder:
    def __init__(self, reserved: Sequence[str]) -> None:
        self.steps: list[Step] = []
        self._names = set(reserved)
        self._operations: dict[str, Any] = {}

    def walk(self, functional: Any, known: dict[int, str], prefix: str) -> None:
        """Append the steps of a graph; `known` names its tensors by their ids and learns those that the steps give."""
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                if not node.is_input and node.operation is not None:
                    self._node(node, known, prefix)

    def _node(self, node: Any, known: dict[int, str], prefix: str) -> None:
        import keras

        args, kwargs = node.arguments.args, _without_own_mask(node)
        taken = [each for each in keras.tree.flatten((args, kwargs)) if id(each) in known]
        inner = _opened(node, kwargs, taken)
        if inner is not None:
            given = [known[id(tensor)] for tensor in taken]
            inside = {id(tensor): name for tensor, name in zip(inner.inputs, given, strict=True)}
            self.walk(inner, inside, f"{prefix}{node.operation.name}/")
            for outer, tensor in zip(node.outputs, inner.outputs, strict=True):
                known[id(outer)] = inside[id(tensor)]
            return
        self._tell_apart(node.operation, prefix)
        gives = [self._unique(f"{node.operation.name}_out") for _ in node.outputs]
        refs = {id(tensor): known[id(tensor)] for tensor in taken}
        known.update({id(tensor): name for tensor, name in zip(node.outputs, gives, strict=True)})
        self.steps.append(Step(prefix + node.operation.name, node.operation, args, kwargs, refs, gives))

    def _tell_apart(self, operation: Any, prefix: str) -> None:
        """Layers of models within models may share a name, which those of one model may not."""
        name, number = operation.name, 1
        while self._operations.setdefault(name, operation) is not operation:
            number += 1
            name = f"{prefix.replace('/', '_')}{operation.name}" + (f"_{number}" if number > 2 else "")
        operation.name = name

    def _unique(self, wanted: str) -> str:
        plain = re.sub(r"\W", "_", wanted)
        plain = plain if plain[0].isalpha() else f"t_{plain}"
        name, number = plain, 1
        while name in self._names:
            number += 1
            name = f"{plain}_{number}"
        self._names.add(name)
        return name


def _without_own_mask(node: Any) -> dict[str, Any]:
    """The named arguments of a call, less the mask that Keras found beside the tensor: it finds that again."""
    kwargs = dict(node.arguments.kwargs)
    own = getattr(node.arguments.args[0], "_keras_mask", None) if node.arguments.args else None
    if own is not None and kwargs.get("mask") is own:
        del kwargs["mask"]
    return kwargs


def _opened(node: Any, kwargs: Mapping[str, Any], taken: Sequence[Any]) -> Any | None:
    """The graph of the model that a node calls, where calling its layers one by one is the same."""
    inner = functional_of(node.operation) if hasattr(node.operation, "layers") else None
    if inner is None or kwargs.get("mask") is not None or kwargs.get("training"):
        return None
    is_plain = len(node.arguments.args) == 1 and not isinstance(node.arguments.args[0], dict)
    fits = len(taken) == len(inner.inputs) and all(
        tensor.dtype == own.dtype and len(tensor.shape) == len(own.shape)
        for tensor, own in zip(taken, inner.inputs, strict=True)
    )
    return inner if is_plain and fits else None


def _needed(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Without the steps that made masks for nobody but Keras."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if needed.intersection(step.gives):
            needed.update(step.takes)
            kept.append(step)
    return kept[::-1]


def _with_values(steps: list[Step], functional: Any, inputs: list[str], outputs: list[str]) -> Graph:
    """Call all steps once more, one behind another: only then is it known which masks lie beside which tensors."""
    import keras

    tensors: dict[str, Any] = {}
    values: dict[str, Value] = {}
    masks: dict[int, str] = {}
    for name, tensor in zip(inputs, functional.inputs, strict=True):
        tensors[name] = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
        values[name] = Value(name, tensors[name], -1)
    own = {id(tensor): name for name, tensor in tensors.items()}
    for number, step in enumerate(steps):
        for name, tensor in zip(step.gives, step.call(tensors), strict=True):
            tensors[name] = tensor
            own[id(tensor)] = name
            mask = getattr(tensor, "_keras_mask", None)
            if mask is not None and id(mask) not in own:
                masks[id(mask)] = own[id(mask)] = f"{name}_mask"
                values[f"{name}_mask"] = Value(f"{name}_mask", mask, number, carrier=name)
            values[name] = Value(name, tensor, number, mask="" if mask is None else own[id(mask)])
    graph = Graph(steps, inputs, outputs, values)
    for number, step in enumerate(steps):
        graph.last_use.update(dict.fromkeys(step.takes, number))
    return graph
