"""A variant as a new version of its model, with what was done to it in the manifest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import version

import msgspec

from skylift.artifacts import layout, models
from skylift.artifacts.optimized import Form, Optimized
from skylift.artifacts.records import FormatName, Optimization, PublishedModel, now
from skylift.store import Store
from training.contract import Array
from training.optimize.bench import Bench, Variant
from training.report.measures import measures

SERVED: tuple[FormatName, ...] = ("onnx", "saved_model")


def publish(
    keep: Store,
    wanted: str,
    by: str,
    bench: Bench,
    variants: Mapping[str, Variant],
    outputs: Mapping[str, Array | None],
    result: Optimized,
) -> None:
    """Publish what `wanted` names, if it may be; `result` says what became of it."""
    method = result.choice.method if wanted == "best" else wanted
    if wanted == "none":
        return
    if method is None:
        result.failure = f"nothing is published: {result.choice.text}"
        return
    row = next((each for each in result.rows if each.method == method and each.format != "tflite"), None)
    if row is None or row.verdict != "accepted":
        result.failure = f"{method} is not published: {_why(method, row, result)}"
        return
    forms = _accepted(variants[method], result.rows)
    result.published = _published(keep, by, bench, variants[method], forms, outputs[method], row, result)
    result.published_method = method


def _why(method: str, row: Form | None, result: Optimized) -> str:
    if row is not None and row.verdict == "refused":
        return f"it loses {row.loss:.4g} of {result.metric}, more than --max-loss {result.max_loss:g}"
    if row is not None:
        return "without data its loss cannot be measured"
    skipped = next((each.why for each in result.skipped if each.method == method), "")
    return skipped or "it has no form that an endpoint can serve"


def _accepted(variant: Variant, rows: list[Form]) -> list[FormatName]:
    """The forms whose loss is small enough; SavedModel and .keras hold the very numbers of the ONNX form beside them."""
    refused = {row.format for row in rows if row.method == variant.method and row.verdict != "accepted"}
    return [form for form in variant.forms if form not in refused]


def _published(
    keep: Store,
    by: str,
    bench: Bench,
    variant: Variant,
    forms: list[FormatName],
    outputs: Array | None,
    row: Form,
    result: Optimized,
) -> PublishedModel:
    opened = bench.opened
    data = opened.need_data("to measure its loss on")
    assert outputs is not None and row.value is not None and row.loss is not None
    for form, stored in variant.forms.items():
        if form not in forms:
            (variant.folder / stored.path).unlink()
    samples = opened.folder / layout.SAMPLES
    if samples.exists():
        shutil.copy(samples, variant.folder / layout.SAMPLES)
    metrics = {result.metric: row.value} | measures(data.test.y, outputs, bench.task)
    manifest = msgspec.structs.replace(
        opened.manifest,
        created=now(),
        by=by,
        metrics={name: round(value, 6) for name, value in metrics.items()},
        formats={form: variant.forms[form] for form in forms},
        files=[],
        skylift=version("skylift"),
        optimized=Optimization(
            method=variant.method,
            of=opened.ref,
            settings={**variant.details, "seed": bench.asked.seed},
            metric=result.metric,
            loss=row.loss,
            max_loss=result.max_loss,
        ),
    )
    return models.publish(keep, opened.ref.name, variant.folder, manifest)
