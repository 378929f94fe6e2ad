"""One row of a model's input, or the model as a whole, explained by one or more methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skylift.errors import InputError
from training.contract import Array
from training.explain import shapley as shapley_values
from training.explain.attention import attention
from training.explain.baselines import Baselines, baseline
from training.explain.features import is_picture, parts, table
from training.explain.grad_cam import grad_cam
from training.explain.inlets import Inlets
from training.explain.integrated_gradients import Integrator
from training.explain.methods import Method, resolve
from training.explain.permutation import chosen_rows, permutation
from training.explain.result import Completeness, Explanation
from training.explain.target import Target, choose, prediction
from training.export.compare import Named
from training.export.signature import output_name, serving_function
from training.loop.batches import inputs_of
from training.published import Published


@dataclass(frozen=True)
class Explained:
    """Of one input, or (without rows) of the model as a whole.

    Args:
        rows: the input `[1, …]` by name.
        prediction: label, probability, scores, value, unit.
    """

    model: str
    rows: Named | None
    prediction: dict[str, Any] | None
    target: Target | None
    given: list[tuple[Method, Explanation]]


def explain(
    opened: Published,
    rows: Named | None,
    *,
    methods: Sequence[str] = ("auto",),
    wanted: str | None = None,
    against: str = "auto",
) -> Explained:
    """Explain one row `[1, …]`, or with None the model as a whole.

    Args:
        wanted: the class to explain; default: the predicted one.
        against: the baseline of integrated gradients: auto, zero or mean.

    Raises:
        InputError: a method does not fit, or there is no such class.
        MachineError: the extra `explain` is missing.
    """
    chosen = list({(method := resolve(opened, each, rows is not None)).name: method for each in methods}.values())
    if rows is None:
        if wanted is not None:
            raise InputError("a class is of one input's explanation", hint="give an input, or leave --class out")
        return Explained(opened.name, None, None, None, [(each, _permutation(opened)) for each in chosen])
    ask = _Ask(opened)
    outputs = ask(rows)
    if not np.isfinite(outputs).all():
        raise InputError(f"{opened.name} gives {outputs.reshape(-1)[0]} for this input", hint="give finite numbers")
    is_generic = opened.manifest.task.kind == "generic"
    target = choose(opened.task, outputs, wanted, is_generic=is_generic)
    given = [(each, _explanation(opened, each, rows, target, ask, against)) for each in chosen]
    return Explained(opened.name, rows, prediction(opened.task, outputs), target, given)


class _Ask:
    """The model's outputs `[rows, n]` as it serves them."""

    def __init__(self, opened: Published) -> None:
        self._tf, self._serve = opened.tf, serving_function(opened.tf, opened.model, opened.task)
        self._name = output_name(opened.task)

    def __call__(self, rows: Named) -> Array:
        given = [self._tf.constant(rows[spec.name]) for spec in self._serve.input_signature]
        outputs = np.asarray(self._serve(*given)[self._name])
        return outputs.reshape(len(outputs), -1)


def _explanation(
    opened: Published, method: Method, rows: Named, target: Target, ask: _Ask, against: str
) -> Explanation:
    if method.name == "integrated-gradients":
        return _integrated(opened, rows, target, against)
    if method.name == "grad-cam":
        heat, where = grad_cam(opened, rows, target)
        notes = () if heat.any() else ("nothing in the image speaks for the class in this layer",)
        return Explanation(method.name, target.name, map=heat, notes=(f"taken from {where}", *notes))
    if method.name == "attention":
        return _attention(opened, rows, target)
    if method.name == "shap":
        return _shap(opened, rows, target, ask)
    return _permutation(opened)


def _integrated(opened: Published, rows: Named, target: Target, against: str) -> Explanation:
    inlets = Inlets(opened.tf, opened.model, opened.task)
    train = opened.data.train if opened.data is not None else None
    start, words = baseline(Baselines(opened.tf, opened.task, train, against), inlets, rows)
    shares = Integrator(opened.tf, inlets).shares(rows, start, target)
    done = shares.completeness
    notes: tuple[str, ...] = ()
    if not done.holds:
        notes = (f"after {done.steps} steps the shares still do not add up: do not trust small ones",)
    first = opened.task.inputs[0].name
    pixels = shares.of[first] if is_picture(opened.task, shares.of[first]) else None
    return Explanation(
        "integrated-gradients",
        target.name,
        words,
        parts(opened.task, rows, shares.of),
        None if pixels is None else pixels.reshape(*pixels.shape[:2], -1).sum(axis=-1),
        done,
        notes=notes,
    )


def _attention(opened: Published, rows: Named, target: Target) -> Explanation:
    found, name = attention(opened, rows), opened.task.inputs[0].name
    rolled = parts(opened.task, rows, {name: found.rollout})
    by_head = [[parts(opened.task, rows, {name: head}) for head in layer] for layer in found.layers]
    layers = tuple(
        np.array([[_share(head, part.name, at) for at, part in enumerate(rolled)] for head in layer])
        for layer in by_head
    )
    note = "the same for every class: attention knows no classes" if target.label else "attention knows no output"
    return Explanation("attention", "where the model attends to", parts=rolled, layers=layers, notes=(note,))


def _share(head: Sequence[Any], name: str, at: int) -> float:
    """A head's share of a part. What lies behind a text is a part only where it has a share."""
    return float(head[at].share) if at < len(head) and head[at].name == name else 0.0


def _shap(opened: Published, rows: Named, target: Target, ask: _Ask) -> Explanation:
    data = opened.need_data("to compare the input with")
    layout = table(opened.task, rows, "shap")
    train = data.train
    usual_rows = np.random.default_rng(opened.spec.seed if opened.spec else 0).permutation(train.rows)
    usual = layout.flat(
        named(inputs_of(train, opened.task.inputs, np.sort(usual_rows[: shapley_values.BACKGROUND])), opened)
    )

    def number(flat: Array) -> Array:
        found: Array = np.asarray(target.of(ask(layout.rows(flat))), np.float64)
        return found

    row = layout.flat(rows)[0]
    shares, usually = shapley_values.shapley(number, row, usual, 0)
    value = float(number(row[None])[0])
    tolerance = shapley_values.TOLERANCE * max(1.0, abs(value), abs(usually))
    shaped = {name: each[0] for name, each in layout.spread(shares).items()}
    return Explanation(
        "shap",
        target.name,
        f"{len(usual)} rows of the training split",
        parts(opened.task, rows, shaped),
        completeness=Completeness(value, usually, float(shares.sum()), tolerance),
    )


def _permutation(opened: Published) -> Explanation:
    data = opened.need_data("to shuffle")
    seed = opened.spec.seed if opened.spec else 0
    chosen = chosen_rows(data.test, seed)
    rows = named(inputs_of(data.test, opened.task.inputs, chosen), opened)
    layout = table(opened.task, rows, "permutation")
    found = permutation(_Ask(opened), layout, rows, data.test.y[chosen], opened.task, seed)
    loss = opened.task.loss.replace("_", " ")
    return Explanation(
        "permutation",
        f"the loss ({loss}) on {len(chosen)} rows of the test split",
        parts=found,
    )


def named(taken: Any, opened: Published) -> Named:
    return taken if isinstance(taken, dict) else {opened.task.inputs[0].name: taken}
