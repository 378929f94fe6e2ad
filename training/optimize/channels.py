"""Structured pruning: whole channels go, so that the model really becomes smaller and faster in every form.

Tensors that must have the same channels (both sides of an Add, what a BatchNormalization takes and gives) share a `space`. A space
can shrink when all that makes and takes it is known here: convolutions, dense layers, and what works channel by channel. What is
not known keeps its channels on both sides, so that an unknown layer costs a part of the saving and never the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.contract import Array
from training.optimize.bench import Bench, UnfitError, Variant
from training.optimize.graph import functional, nodes_of
from training.optimize.tuning import tune

SPARSITY = 0.5
LEAST = 4
"""Channels that always stay."""

MAKERS = {"Conv1D": "filters", "Conv2D": "filters", "Conv3D": "filters", "Dense": "units"}
"""Layers that make a space of their own, and the setting that says how wide it is."""
THROUGH = frozenset(
    [
        *(
            "Activation",
            "ReLU",
            "LeakyReLU",
            "ELU",
            "Dropout",
            "GaussianNoise",
            "GaussianDropout",
            "Identity",
            "Rescaling",
        ),
        *(
            "BatchNormalization",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "ZeroPadding1D",
            "ZeroPadding2D",
            "UpSampling2D",
        ),
        *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "Cropping2D"),
        *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    ]
)
"""Layers that treat every channel alike and by itself."""


@dataclass
class Space:
    """Channels that live and die together. `makers` and `takers` are names of layers; `positions`: places per channel that a
    Flatten laid out before the layer takes them."""

    width: int
    is_fixed: bool = False
    makers: list[str] = field(default_factory=list)
    takers: dict[str, int] = field(default_factory=dict)
    norms: list[str] = field(default_factory=list)


class Spaces:
    """The spaces of a functional model's tensors."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._of: dict[int, tuple[int, int]] = {}
        self._parent: list[int] = []
        self._all: list[Space] = []
        nodes = nodes_of(model)
        called = [node.operation.name for node in nodes]
        for tensor in model.inputs:
            self._new(tensor, is_fixed=True)
        for node in nodes:
            self._read(node, is_shared=called.count(node.operation.name) > 1)
        for tensor in model.outputs:
            self.of(tensor)[0].is_fixed = True

    def of(self, tensor: Any) -> tuple[Space, int]:
        """The space of a tensor, and at how many places each channel is."""
        number, positions = self._of[id(tensor)]
        return self._all[self._root(number)], positions

    def free(self) -> list[Space]:
        """Those that can shrink."""
        roots = {self._root(number) for number in range(len(self._all))}
        return [self._all[root] for root in sorted(roots) if not self._all[root].is_fixed and self._all[root].makers]

    def _read(self, node: Any, *, is_shared: bool) -> None:
        """Where the channels of a call's outputs come from."""
        layer, inputs, outputs = node.operation, list(node.input_tensors), list(node.output_tensors)
        if is_shared or not inputs or not self._is_known(layer, inputs):
            for each in inputs:
                self.of(each)[0].is_fixed = True
            for each in outputs:
                self._new(each, is_fixed=True)
            return
        kind, first = type(layer).__name__, inputs[0]
        space, positions = self.of(first)
        if kind in MAKERS:
            space.takers[layer.name] = positions
            self._new(outputs[0], is_fixed=_mixes(layer)).makers.append(layer.name)
            return
        if kind == "BatchNormalization":
            space.norms.append(layer.name)
        if kind == "Flatten":
            positions = int(np.prod(first.shape[1:-1]))
        if kind == "Add":
            self._join([self._of[id(each)][0] for each in inputs])
        self._of[id(outputs[0])] = (self._of[id(first)][0], positions)

    def _is_known(self, layer: Any, inputs: list[Any]) -> bool:
        """Whether a call treats channels as this module knows it of its kind."""
        kind, shapes = type(layer).__name__, [tuple(each.shape) for each in inputs]
        spread = {self.of(each)[1] for each in inputs} != {1}
        if getattr(layer, "data_format", "channels_last") == "channels_first" or getattr(layer, "groups", 1) != 1:
            return False
        if kind in MAKERS or kind == "Dropout":
            return True
        if kind == "Flatten":
            return not spread and None not in shapes[0][1:]
        if kind == "Add":
            return not spread and len(set(shapes)) == 1
        if _mixes(layer) or np.ndim(getattr(layer, "scale", 1)) > 0 or np.ndim(getattr(layer, "offset", 0)) > 0:
            return False
        return kind in THROUGH and not spread and getattr(layer, "axis", -1) in (-1, len(shapes[0]) - 1)

    def _new(self, tensor: Any, *, is_fixed: bool = False) -> Space:
        self._of[id(tensor)] = (len(self._all), 1)
        self._parent.append(len(self._all))
        self._all.append(Space(int(tensor.shape[-1] or 0), is_fixed or tensor.shape[-1] is None))
        return self._all[-1]

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            number = self._parent[number]
        return number

    def _join(self, numbers: list[int]) -> None:
        kept = self._root(numbers[0])
        for root in {self._root(number) for number in numbers} - {kept}:
            into, other = self._all[kept], self._all[root]
            self._parent[root] = kept
            into.is_fixed |= other.is_fixed
            into.makers += other.makers
            into.takers |= other.takers
            into.norms += other.norms


def cut(bench: Bench) -> Variant:
    """Cut the weakest channels of every space that can shrink, and fine-tune what is left.

    Raises:
        UnfitError: no space of the model can shrink.
        InputError: there are no data to learn from.
    """
    bench.data("to learn from")
    share = SPARSITY if bench.asked.sparsity is None else bench.asked.sparsity
    before = bench.fresh()
    model = without_channels(bench.keras, before, share)
    tune(bench, model)
    details = {
        "asked_sparsity": share,
        "parameters": f"{before.count_params():,} to {model.count_params():,}",
        "epochs": bench.asked.epochs,
    }
    return bench.exported("channels", model, **details)


def without_channels(keras: Any, model: Any, share: float) -> Any:
    """A new model with that share of each space's channels gone, at least LEAST left, and the weights of those that stay.

    Raises:
        UnfitError: nothing can go.
    """
    whole = functional(keras, model)
    spaces = Spaces(whole)
    kept = {id(space): _strongest(whole, space, share) for space in spaces.free()}
    shrinking = [space for space in spaces.free() if len(kept[id(space)]) < space.width]
    if not shrinking:
        kinds = sorted(
            {type(node.operation).__name__ for node in nodes_of(whole)} - {*MAKERS, *THROUGH, "Flatten", "Add"}
        )
        raise UnfitError(
            "no channels of the model can be cut: between what it takes and gives there is no chain of convolutions and dense layers"
            + (f" without {', '.join(kinds)}" if kinds else ""),
            hint="take prune or int8, which work for every model with weights",
        )
    widths = {name: len(kept[id(space)]) for space in shrinking for name in space.makers}
    changed = {name for space in shrinking for name in (*space.makers, *space.takers, *space.norms)}

    def smaller(layer: Any) -> Any:
        if layer.name not in changed:
            return layer  # with all that it knows: what a Normalization has seen is in no configuration
        config = layer.get_config()
        if layer.name in widths:
            config[MAKERS[type(layer).__name__]] = widths[layer.name]
        return type(layer).from_config(config)

    made = keras.models.clone_model(whole, clone_function=smaller)
    _copy(whole, made, shrinking, kept)
    return made


def _copy(whole: Any, made: Any, shrinking: list[Space], kept: dict[int, Array]) -> None:
    outs: dict[str, Array] = {}
    ins: dict[str, Array] = {}
    for space in shrinking:
        rows = kept[id(space)]
        outs |= dict.fromkeys([*space.makers, *space.norms], rows)
        for name, places in space.takers.items():
            ins[name] = (np.arange(places)[:, None] * space.width + rows[None, :]).reshape(-1)
    for name in ins.keys() | outs.keys():
        layer = whole.get_layer(name)
        values = layer.get_weights()
        if layer.name in ins:
            values[0] = np.take(values[0], ins[layer.name], axis=-2)
        if layer.name in outs:
            values = [np.take(value, outs[layer.name], axis=-1) for value in values]
        made.get_layer(layer.name).set_weights(values)


def _strongest(whole: Any, space: Space, share: float) -> Array:
    """The channels that stay, in order: those whose kernels are longest, each layer counted by its own mean."""
    score = np.zeros(space.width)
    for name in space.makers:
        kernel = whole.get_layer(name).get_weights()[0].reshape(-1, space.width)
        lengths = np.linalg.norm(kernel, axis=0)
        score += lengths / max(float(lengths.mean()), 1e-12)
    stay = min(max(round((1 - share) * space.width), LEAST), space.width)
    return np.sort(np.argsort(-score, kind="stable")[:stay])


def _mixes(layer: Any) -> bool:
    """Whether the layer's activation looks at several channels at once."""
    return any(
        word in getattr(getattr(layer, "activation", None), "__name__", "") for word in ("softmax", "glu", "sparsemax")
    )
