"""Why a model says what it says, as the training program finds it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skylift.artifacts import layout, models, objects
from skylift.artifacts.records import ModelRef, Samples
from skylift.client import inputs
from skylift.errors import InputError, NotFoundError
from skylift.launch.asking import ask_training

if TYPE_CHECKING:
    from skylift.client.stack import Stack

Method = Literal["auto", "integrated-gradients", "grad-cam", "attention", "permutation", "shap"]
Baseline = Literal["auto", "zero", "mean"]


@dataclass(frozen=True)
class Wanted:
    """How to explain.

    Args:
        methods: one or more; `auto` is integrated gradients of an input, permutation importance of the model as a whole.
        label: the class; default: the predicted one.
        baseline: what integrated gradients compare with.
        html, png: where to write a page and a picture.
        top: how many parts these name.
    """

    methods: Sequence[Method] = ("auto",)
    label: str | None = None
    baseline: Baseline = "auto"
    html: Path | None = None
    png: Path | None = None
    top: int = 15

    def arguments(self) -> list[str]:
        found = [f"--method={method}" for method in self.methods]
        found += [f"--baseline={self.baseline}", f"--top={self.top}"]
        found += [f"--class={self.label}"] if self.label is not None else []
        found += [f"--html={self.html.absolute()}"] if self.html is not None else []
        return found + ([f"--png={self.png.absolute()}"] if self.png is not None else [])


@dataclass(frozen=True)
class Answer:
    """What the training program found, and what was done to make the input fit."""

    found: dict[str, Any]
    notes: tuple[str, ...] = field(default=())


def explain(
    stack: Stack,
    model: str,
    source: Any = None,
    *,
    sample: int | None = None,
    wanted: Wanted = Wanted(),
    invert: bool = False,
) -> Answer:
    """Explain what a published model says of one input; without one, what it relies on as a whole.

    Args:
        model: its name, or `name:version`.
        source: as of `predict`: a file's path, an array, nested lists or a text in a list; it must be one row.
        sample: in its place the number of a row that goes with the model, from 1.

    Raises:
        NotFoundError: no such model, or it came without samples.
        InputError: the input does not fit, is several rows, or a method does not fit the model.
        MachineError: a package that the method takes is not installed.
    """
    ref = models.resolve(stack.keep, model)
    name = f"{ref.name}:{ref.version}"
    arguments = ["explain", name, "--keep", stack.keep.url, *wanted.arguments()]
    if source is None and sample is None:
        return Answer(ask_training(arguments))
    truth = None
    if sample is not None:
        source, truth = _sample(stack, ref, sample)
    manifest = models.read_manifest(stack.keep, ref)
    given = inputs.read(source, manifest.signature.inputs, manifest.task, invert=invert)
    if len(given) != 1:
        raise InputError(f"{len(given)} rows are given, and one is explained at a time", hint="give one row")
    rows = given.rows if isinstance(given.rows, list) else np.asarray(given.rows).tolist()
    with tempfile.TemporaryDirectory(prefix="skylift-explain-") as scratch:
        row = Path(scratch) / "row.json"
        row.write_text(json.dumps({"instances": rows}), encoding="utf-8")
        arguments += [f"--rows={row}"] + ([f"--truth={_shown(truth)}"] if truth is not None else [])
        return Answer(ask_training(arguments), given.notes)


def _sample(stack: Stack, ref: ModelRef, number: int) -> tuple[Any, Any]:
    found = objects.find(stack.keep, f"{layout.model(ref.name, ref.digest)}/{layout.SAMPLES}", Samples)
    if found is None:
        raise NotFoundError(f"{ref.name}:{ref.version} came without samples", hint="give a file in place of --sample")
    kept = found.record
    if not 1 <= number <= len(kept.instances):
        raise InputError(
            f"{ref.name}:{ref.version} came with {len(kept.instances)} samples; {number} is none of them",
            hint=f"give --sample 1 to {len(kept.instances)}",
        )
    return kept.instances[number - 1], kept.expected[number - 1]


def _shown(truth: Any) -> str:
    return f"{truth:.6g}" if isinstance(truth, float) else str(truth)
