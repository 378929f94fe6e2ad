"""What every method works with: the opened model, its data, and places for what is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts.records import Format, FormatName
from skylift.errors import InputError
from training.contract import Data, Split, Task
from training.export import formats
from training.export.compare import ExportError, Named, Runner, compare
from training.export.one import make, rows_for, serve_of
from training.export.running import function_runner, load_keras
from training.published import Published

CALIBRATION_ROWS = 256

ROUNDED = 1.0
"""Tolerance of forms that compute in whole numbers of 8 bits: as large as the outputs. They are judged by what they get right."""

Progress = Callable[[int, int, str], None]


class UnfitError(InputError):
    """A method that does nothing for this model, or cannot be had for it."""

    kind = "unfit"


@dataclass(frozen=True)
class Asked:
    """Of all methods. `sparsity` is None for each method's own: 0.8 of the weights, half of the channels."""

    epochs: int = 2
    sparsity: float | None = None
    seed: int = 0


@dataclass
class Variant:
    """What one method has made: forms below `folder`, and what is to be known of them."""

    method: str
    folder: Path
    forms: dict[FormatName, Format]
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class Bench:
    """A published model on the bench. `say` is told what a method is doing."""

    opened: Published
    scratch: Path
    asked: Asked
    say: Callable[[str], None] = lambda text: None
    _forms: dict[str, Path | UnfitError] = field(default_factory=dict, init=False)

    @property
    def tf(self) -> Any:
        return self.opened.tf

    @property
    def keras(self) -> Any:
        return self.opened.keras

    @property
    def task(self) -> Task:
        return self.opened.task

    def data(self, what: str) -> Data:
        return self.opened.need_data(what)

    def folder(self, method: str) -> Path:
        made = self.scratch / method
        made.mkdir(parents=True)
        return made

    def fresh(self) -> Any:
        """The model anew, with what it has learned: to be changed."""
        if self.opened.rebuild is None:
            return load_keras(self.keras, self.opened.folder / self.opened.manifest.formats["keras"].path)
        model = self.opened.rebuild()
        for variable, value in zip(model.variables, self.opened.model.variables, strict=True):
            variable.assign(value)
        return model

    def form(self, form: FormatName) -> Path:
        """The original in some form; one that the version has not is made.

        Raises:
            UnfitError: it has no such form.
        """
        if form not in self._forms:
            self._forms[form] = self._made(form)
        known = self._forms[form]
        if isinstance(known, UnfitError):
            raise known
        return known

    def _made(self, form: FormatName) -> Path | UnfitError:
        stored = self.opened.manifest.formats.get(form)
        if stored is not None:
            return self.opened.folder / stored.path
        folder = self.scratch / f"original-{form}"
        try:
            return folder / make(self.opened, form, folder).path
        except ExportError as error:
            return UnfitError(error.message, hint=error.hint)

    def calibration(self) -> Split:
        """Rows of the training split, spread over it."""
        train = self.data("to calibrate with").train
        chosen = np.random.default_rng(self.asked.seed).permutation(train.rows)[:CALIBRATION_ROWS]
        x = {name: each[chosen] for name, each in train.x.items()} if isinstance(train.x, dict) else train.x[chosen]  # type: ignore[index]
        return Split(x, train.y[chosen])

    def single_rows(self) -> Iterator[Named]:
        """The calibration rows one by one, each `[1, …]`."""
        rows = formats.rows_of(self.task, self.calibration(), CALIBRATION_ROWS)
        for at in range(len(next(iter(rows.values())))):
            yield {name: array[at : at + 1] for name, array in rows.items()}

    def checked(self, path: Path, run: Runner, least: float) -> Format:
        """A form of the same model, compared with the original on real rows, or made-up ones where there are no data."""
        rows = rows_for(self.opened)
        serve = serve_of(self.opened, self.opened.model)
        return Format(
            path=path.name, parity=compare(path.name, run, rows, function_runner(self.tf, serve)(rows), least)
        )

    def exported(self, method: str, model: Any, **details: Any) -> Variant:
        """A changed model as a version of its own: SavedModel, ONNX and .keras, compared with it."""
        folder = self.scratch / method
        made = formats.export_all(self.tf, model, self.task, self.data("to compare it on").test, folder)
        return Variant(method, folder, made.formats, details, made.notes)
