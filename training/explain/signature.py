"""The signature `explain` of a SavedModel: integrated gradients of the predicted class, for as many raw rows as are asked.

It takes what `serving_default` takes and gives, a row each: the prediction under its usual name; `explained`, the index of the class
(0 for a regression); `attributions` (of several inputs `attributions_NAME`) in the shape of the input; `baseline`, the explained
number for the baseline; `gap`, how far the sum of the shares is from the difference that they explain.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts.records import OtherSignature, Parity, TensorSpec
from training.contract import Data, Task
from training.explain.baselines import Baselines, baseline
from training.explain.inlets import Inlets
from training.explain.integrated_gradients import Integrator, along, at_once, gradient_of, middles
from training.explain.target import Target, class_target, labels_of
from training.export import formats, running
from training.export.compare import TOLERANCE, ExportError, Named, compare
from training.export.signature import output_name, serving_function

NAME = "explain"
STEPS = 128
MOST_AT_ONCE = 16
"""Points of the path that are computed at once, for each row, where memory allows."""
CHECKED_ROWS = 4


def add_signature(tf: Any, model: Any, task: Task, data: Data, folder: Path) -> OtherSignature:
    """Write the SavedModel of `folder` again with the signature, once its numbers are those of the Python implementation.

    Raises:
        ExportError: they are not; the SavedModel is as it was.
        InputError: the model has no gradient to explain it by.
    """
    rows = formats.rows_of(task, data.test, CHECKED_ROWS)
    inlets = Inlets(tf, model, task)
    first = {name: array[:1] for name, array in rows.items()}
    start, _ = baseline(Baselines(tf, task, data.train), inlets, first)
    serve = serving_function(tf, model, task)
    expected = _expected(tf, inlets, task, rows, start, running.function_runner(tf, serve)(rows))
    fresh, settled = folder / "saved_model.new", folder / formats.SAVED_MODEL
    more = {NAME: explain_function(tf, inlets, task, start)}
    try:
        usual = formats.write_saved_model(tf, model, serve, fresh, more)
        compare("the SavedModel with its signature explain", usual, rows, running.function_runner(tf, serve)(rows))
        parity = _parity(tf, fresh, rows, expected)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(settled)
    fresh.rename(settled)
    return _recorded(task, expected, parity)


def refuse_impossible(tf: Any, model: Any, task: Task) -> None:
    """Look whether the model can be explained so, before it has learned anything.

    Raises:
        InputError: it has no gradient to explain it by.
    """
    Inlets(tf, model, task)


def _parity(tf: Any, folder: Path, rows: Named, expected: Named) -> Parity:
    """The gap is a small difference of what may be large: it is held against those."""
    loaded = tf.saved_model.load(str(folder))
    whole = running.signature_runner(tf, loaded.signatures[NAME])

    def run(given: Named) -> Named:
        return {name: array for name, array in whole(given).items() if name != "gap"}

    parity = compare(
        "the signature explain", run, rows, {name: array for name, array in expected.items() if name != "gap"}
    )
    size = max(1.0, float(np.abs(expected["baseline"]).max()), float(np.abs(next(iter(expected.values()))).max()))
    off = float(np.abs(whole(rows)["gap"] - expected["gap"]).max())
    if not off <= TOLERANCE * size:
        raise ExportError(f"the gap of the signature explain differs from the model's by {off:.2g}")
    return parity


def explain_function(tf: Any, inlets: Inlets, task: Task, start: dict[str, Any]) -> Any:
    """The signature's function; `start` is the baseline at each inlet."""
    names = [each.name for each in task.inputs]
    specs = [tf.TensorSpec([None, *each.shape], each.dtype, name=each.name) for each in task.inputs]

    @tf.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def explain(*tensors: Any) -> dict[str, Any]:
        rows = dict(zip(names, tensors, strict=True))
        end = inlets.values(rows)
        begin = {name: tf.broadcast_to(start[name], tf.shape(end[name])) for name in end}
        outputs = inlets.outputs(rows, end)
        index, weights = _predicted(tf, task, outputs)
        mean = _mean_gradient(tf, inlets, rows, begin, end, weights, at_once(start, MOST_AT_ONCE))
        shares = {
            each.given.name: each.collapsed(tf, (end[each.given.name] - begin[each.given.name]) * mean[each.given.name])
            for each in inlets.each
        }
        flips = tf.cast(tf.reduce_sum(weights, axis=1) < 0, tf.float32)  # 1 - p in place of p
        value, begun = (
            flips + tf.reduce_sum(each * weights, axis=1) for each in (outputs, inlets.outputs(rows, begin))
        )
        total = sum(tf.reduce_sum(tf.reshape(each, [tf.shape(each)[0], -1]), axis=1) for each in shares.values())
        named = {_attributions(task, name): each for name, each in shares.items()}
        found = {"explained": index, "baseline": begun, "gap": tf.abs(total - (value - begun))}
        return {output_name(task): outputs, **named, **found}

    return explain


def _predicted(tf: Any, task: Task, outputs: Any) -> tuple[Any, Any]:
    """The explained class of each row `[rows] int32`, and its number as weights of the outputs `[rows, n]`."""
    if task.kind == "classification":
        index = tf.argmax(outputs, axis=1, output_type=tf.int32)
        return index, tf.one_hot(index, tf.shape(outputs)[1])
    if task.kind == "binary":
        index = tf.cast(outputs[:, 0] >= 0.5, tf.int32)
        return index, tf.cast(2 * index - 1, tf.float32)[:, None]
    index = tf.zeros_like(outputs[:, 0], tf.int32)
    return index, tf.one_hot(index, tf.shape(outputs)[1])


def _mean_gradient(
    tf: Any, inlets: Inlets, rows: Any, begin: Any, end: Any, weights: Any, points_at_once: int
) -> dict[str, Any]:
    """Over the middles of the steps, some at once: each row stands there as often as there are points."""
    chunks = tf.constant(middles(STEPS).reshape(-1, points_at_once))
    names = list(end)
    many_rows, many_begin, many_end = (
        {name: tf.repeat(each[name], points_at_once, axis=0) for name in each} for each in (rows, begin, end)
    )
    many_weights = tf.repeat(weights, points_at_once, axis=0)
    count = tf.shape(weights)[0]

    def chunk(number: Any, *totals: Any) -> Any:
        points = tf.tile(chunks[number], [count])
        values = {name: along(tf, many_begin[name], many_end[name], points) for name in names}
        found = gradient_of(
            tf, inlets, many_rows, values, lambda outputs: tf.reduce_sum(outputs * many_weights, axis=1)
        )
        sums = [
            tf.reduce_sum(
                tf.reshape(found[name], tf.concat([[count, points_at_once], tf.shape(end[name])[1:]], 0)), axis=1
            )
            for name in names
        ]
        return (
            number + 1,
            *(total + tf.ensure_shape(each, total.shape) for total, each in zip(totals, sums, strict=True)),
        )

    zeros = [tf.zeros_like(end[name]) for name in names]
    _, *totals = tf.while_loop(lambda number, *_: number < STEPS // points_at_once, chunk, (tf.constant(0), *zeros))
    return {name: total / STEPS for name, total in zip(names, totals, strict=True)}


def _expected(tf: Any, inlets: Inlets, task: Task, rows: Named, start: dict[str, Any], predicted: Named) -> Named:
    """What the Python implementation gives with as many steps."""
    outputs = predicted[output_name(task)]
    outputs = outputs.reshape(len(outputs), -1)
    python = Integrator(tf, inlets)
    targets = [_target(task, one) for one in outputs]
    found = [
        python.shares(
            {name: array[at : at + 1] for name, array in rows.items()}, start, target, first=STEPS, most=STEPS
        )
        for at, target in enumerate(targets)
    ]
    named = {_attributions(task, name): np.stack([each.of[name] for each in found]) for name in rows}
    done = [each.completeness for each in found]
    return {
        output_name(task): outputs,
        **named,
        "explained": np.array([target.index for target in targets], np.int32),
        "baseline": np.array([each.baseline_value for each in done], np.float32),
        "gap": np.array([each.gap for each in done], np.float32),
    }


def _target(task: Task, outputs: Any) -> Target:
    labels = labels_of(task, len(outputs))
    if not labels:
        return Target(0, "the value")
    return class_target(task, labels, int(outputs[0] >= 0.5) if task.kind == "binary" else int(outputs.argmax()))


def _attributions(task: Task, name: str) -> str:
    return "attributions" if len(task.inputs) == 1 else f"attributions_{name}"


def _recorded(task: Task, expected: Named, parity: Parity) -> OtherSignature:
    inputs = [TensorSpec(name=each.name, dtype=each.dtype, shape=[None, *each.shape]) for each in task.inputs]
    outputs = [
        TensorSpec(name=name, dtype=array.dtype.name, shape=[None, *array.shape[1:]])
        for name, array in expected.items()
    ]
    return OtherSignature(inputs=inputs, outputs=outputs, parity=parity)
