"""`skylift optimize`: every method in turn, then all forms measured side by side, judged, and the chosen one published."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skylift.artifacts.optimized import Form, Optimized, Skipped
from skylift.artifacts.records import FormatName
from skylift.errors import InputError, MachineError, SkyliftError, nearest
from skylift.store import Store
from training.contract import Array
from training.export.one import rows_for, serve_of
from training.export.running import function_runner
from training.loop.backend import describe_devices
from training.optimize import judging, timing
from training.optimize.bench import Asked, Bench, Progress, UnfitError, Variant
from training.optimize.publishing import publish
from training.optimize.table import ORIGINAL, RUNTIMES, choose
from training.published import open_published

JUDGED: tuple[FormatName, ...] = ("onnx", "tflite")
"""The forms that are measured; of a variant without them, its SavedModel."""


def methods() -> dict[str, Callable[[Bench], Variant]]:
    """By the name that people give."""
    from training.optimize import channels, fake_quant, keras_weights, magnitude, posttraining

    return {
        "int8": posttraining.int8,
        "float16": posttraining.float16,
        "weights-int8": keras_weights.weights_int8,
        "prune": magnitude.prune,
        "channels": channels.cut,
        "qat": fake_quant.aware,
    }


@dataclass
class Order:
    """What is asked: `methods` is empty for all that fit; `publish` names a method, `best` or `none`."""

    model: str
    by: str
    methods: Sequence[str] = ()
    max_loss: float = 0.01
    publish: str = "none"
    asked: Asked = field(default_factory=Asked)


@dataclass
class _Tried:
    """A form, where it lies, and what it says of every row of the test split; None where there are no data."""

    row: Form
    path: Path
    outputs: Array | None


def optimize(keep: Store, order: Order, scratch: Path, tell: Progress) -> Optimized:
    """Do it.

    Raises:
        NotFoundError: no such model.
        InputError: an unknown method or a setting out of range; or no method that was asked for fits the model.
    """
    chosen = _check(order)
    in_all = len(chosen) + 2
    tell(0, in_all, f"opening {order.model}")
    opened = open_published(keep, order.model, scratch)
    bench = Bench(opened, scratch, order.asked)
    variants, skipped = _made(bench, order, chosen, tell)
    tell(len(chosen) + 1, in_all, "measuring")
    tried = _original(bench) + [each for variant in variants for each in _tried(bench, variant)]
    _judge(bench, tried, order.max_loss)
    _time(bench, tried)
    rows = [each.row for each in tried]
    metric = judging.metric_of(opened.task)
    result = Optimized(
        model=opened.name,
        metric=metric,
        max_loss=order.max_loss,
        test_rows=opened.data.test.rows if opened.data is not None else 0,
        rows=rows,
        skipped=skipped,
        notes=[f"{variant.method}: {note}" for variant in variants for note in variant.notes],
        choice=choose(rows, metric),
        machine=f"{platform.machine()}, {describe_devices(opened.tf)}, each form on one thread",
    )
    outputs = {each.row.method: each.outputs for each in tried if each.row.format != "tflite"}
    publish(keep, order.publish, order.by, bench, {each.method: each for each in variants}, outputs, result)
    return result


def _check(order: Order) -> list[str]:
    known = methods()
    for name in order.methods:
        if name not in known:
            near = nearest(name, known)
            raise InputError(
                f"there is no method {name!r} to optimise by",
                hint=f"did you mean {near!r}?" if near else f"there is {', '.join(known)}",
            )
    if order.publish not in (*known, "best", "none"):
        raise InputError(f"--publish {order.publish!r} is no method", hint=f"take {', '.join(known)}, best or none")
    chosen = list(dict.fromkeys(order.methods)) or list(known)
    if order.publish in known and order.publish not in chosen:
        raise InputError(f"{order.publish!r} is to be published, but not tried", hint=f"add --method {order.publish}")
    asked = order.asked
    if asked.sparsity is not None and not 0 < asked.sparsity < 1:
        raise InputError(
            f"sparsity {asked.sparsity} is not between 0 and 1", hint="0.8 makes four of five weights zero"
        )
    if asked.epochs < 1:
        raise InputError(f"{asked.epochs} epochs are none", hint="take 1 or more")
    if not 0 <= order.max_loss < float("inf"):
        raise InputError(f"max-loss {order.max_loss} is no loss", hint="0.01 lets a form lose one point of accuracy")
    return chosen


def _made(bench: Bench, order: Order, chosen: Sequence[str], tell: Progress) -> tuple[list[Variant], list[Skipped]]:
    known = methods()
    variants: list[Variant] = []
    skipped: list[Skipped] = []
    for number, name in enumerate(chosen):
        tell(number, len(chosen) + 2, name)
        bench.say = lambda text, name=name, number=number: tell(number, len(chosen) + 2, f"{name}: {text}")  # type: ignore[misc]
        try:
            variants.append(known[name](bench))
        except MachineError:
            raise
        except SkyliftError as error:
            skipped.append(Skipped(method=name, why=error.message, hint=error.hint))
            shutil.rmtree(bench.scratch / name, ignore_errors=True)
    if not variants:
        raise UnfitError(
            "; ".join(f"{each.method}: {each.why}" for each in skipped), hint=skipped[0].hint or "take another method"
        )
    return variants, skipped


def _original(bench: Bench) -> list[_Tried]:
    """The original in every form that is measured."""
    found: list[_Tried] = []
    for form in (*JUDGED, "saved_model"):
        if form == "saved_model" and any(each.row.format == "onnx" for each in found):
            break
        try:
            path = bench.form(form)
        except UnfitError:
            continue
        found.append(_tried_form(bench, ORIGINAL, form, path, {}))
    return found


def _tried(bench: Bench, variant: Variant) -> list[_Tried]:
    forms = [form for form in JUDGED if form in variant.forms] or ["saved_model"]
    return [
        _tried_form(bench, variant.method, form, variant.folder / variant.forms[form].path, _details(variant, form))
        for form in forms
    ]


def _details(variant: Variant, form: FormatName) -> dict[str, object]:
    """What is true of this form; of the ONNX form alone are those that begin with its name."""
    return {name: value for name, value in variant.details.items() if form == "onnx" or not name.startswith("onnx_")}


def _tried_form(bench: Bench, method: str, form: FormatName, path: Path, details: dict[str, object]) -> _Tried:
    plain, packed = judging.sizes(path)
    data = bench.opened.data
    outputs = judging.outputs_of(judging.runner_of(form, path), data, bench.task) if data is not None else None
    row = Form(
        method=method, runtime=RUNTIMES[form], format=form, bytes=plain, gzip_bytes=packed, details=dict(details)
    )
    return _Tried(row, path, outputs)


def _judge(bench: Bench, tried: list[_Tried], max_loss: float) -> None:
    data, task = bench.opened.data, bench.task
    for each in tried:
        if data is None or each.outputs is None:
            each.row.verdict = "original" if each.row.method == ORIGINAL else "unjudged"
            continue
        each.row.value = judging.value_of(each.outputs, data, task)
    if data is None:
        return
    run = function_runner(bench.tf, serve_of(bench.opened, bench.opened.model))
    original = judging.value_of(judging.outputs_of(run, data, task), data, task)
    for each in tried:
        assert each.row.value is not None
        each.row.loss = round(judging.loss_of(task, original, each.row.value), 9)
        is_original = each.row.method == ORIGINAL
        # Not `> max_loss`: an error of NaN is no small one.
        each.row.verdict = "original" if is_original else "accepted" if each.row.loss <= max_loss else "refused"


def _time(bench: Bench, tried: list[_Tried]) -> None:
    rows = {name: np.asarray(each) for name, each in rows_for(bench.opened).items()}
    calls = {
        (number, batch): timing.call_of(each.row.format, each.path, rows, batch)
        for number, each in enumerate(tried)
        for batch in timing.BATCHES
    }
    taken = timing.medians(calls)
    for number, each in enumerate(tried):
        each.row.ms_batch_1, each.row.ms_batch_32 = (round(taken[number, batch], 4) for batch in timing.BATCHES)
