"""A published model as its recipe built it: the Keras model with what it learned, its task, and the data it was judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts import datasets, layout, models, runs, transfer
from skylift.artifacts.records import ModelManifest, ModelRef, RunSpec
from skylift.errors import InputError, NotFoundError
from skylift.store import Store
from training.contract import Data, Input, Task
from training.data.fitting import fitted
from training.export import formats, running
from training.export.compare import ExportError, Named, compare
from training.export.signature import serving_function
from training.loop import backend
from training.loop.batches import inputs_of
from training.loop.checks import check_data
from training.recipes.hyperparameters import fill
from training.recipes.loading import LoadedRecipe, bundled, from_code
from training.run.code import unpack

CHECKED_ROWS = 32


@dataclass
class Published:
    """A version, opened again.

    Args:
        folder: all files of the version, their digests checked.
        data: what it was trained and tested on; None for a model that was made elsewhere.
        rebuild: the same model anew with other weights, to be trained or cut; None for a model that was made elsewhere.
    """

    tf: Any
    keras: Any
    ref: ModelRef
    manifest: ModelManifest
    folder: Path
    model: Any
    task: Task
    data: Data | None = None
    spec: RunSpec | None = None
    rebuild: Callable[[], Any] | None = None

    @property
    def name(self) -> str:
        return f"{self.ref.name}:{self.ref.version}"

    def need_data(self, what: str) -> Data:
        """The data.

        Raises:
            InputError: the model was made elsewhere, so nothing is known of its data. `what` says what they are for.
        """
        if self.data is None:
            raise InputError(
                f"{self.name} was made elsewhere: there is no data {what}",
                hint="train it here by a recipe (docs/recipes.md)",
            )
        return self.data


def open_published(keep: Store, name: str, scratch: Path) -> Published:
    """Open the version that `name` means (`digits`, `digits:3`), below the folder `scratch`.

    A model of a run is built by the run's recipe and takes the variables of its SavedModel; one that was made elsewhere comes from
    its .keras file.

    Raises:
        NotFoundError: no such model, or its run's record or code is gone.
        InputError: the recipe does not build this model any more, or there is no Keras model to open.
        DamagedError: a file of the version was changed.
    """
    ref = models.resolve(keep, name)
    manifest = models.read_manifest(keep, ref)
    folder = scratch / "version"
    folder.mkdir(parents=True, exist_ok=True)
    transfer.download_folder(keep, layout.model(ref.name, ref.digest), manifest.files, folder)
    spec = _spec_of(keep, ref, manifest)
    if spec is None:
        return _made_elsewhere(ref, manifest, folder)
    return _of_run(keep, spec, ref, manifest, folder, scratch)


def _spec_of(keep: Store, ref: ModelRef, manifest: ModelManifest) -> RunSpec | None:
    if manifest.run is None:
        return None
    try:
        return runs.read_spec(keep, manifest.run)
    except NotFoundError:
        raise NotFoundError(
            f"run {manifest.run}, which made {ref.name}:{ref.version}, is gone",
            hint="train the model again: `skylift train`",
        ) from None


def _of_run(
    keep: Store, spec: RunSpec, ref: ModelRef, manifest: ModelManifest, folder: Path, scratch: Path
) -> Published:
    recipe = _recipe(keep, spec, scratch)
    hp, _, _ = fill(recipe.name, recipe.hyperparameters, spec.hyperparameters)
    task = recipe.task(hp)
    backend.prepare(spec.seed)
    source = None
    if spec.dataset is not None:
        source = scratch / "dataset"
        datasets.fetch(keep, spec.dataset, source)
    data = recipe.load(hp, source)
    task = fitted(task, data)
    check_data(recipe.name, data, task)
    tf, keras = backend.start(spec.seed)
    model = recipe.build(hp, data)
    opened = Published(
        tf, keras, ref, manifest, folder, model, task, data, spec, rebuild=lambda: recipe.build(hp, data)
    )
    if manifest.optimized is None:
        _take_variables(opened)
    else:
        _take_optimized(opened)
    return opened


def _recipe(keep: Store, spec: RunSpec, scratch: Path) -> LoadedRecipe:
    if spec.code is None:
        return bundled(spec.recipe)
    return from_code(unpack(keep, spec.code, scratch / "recipe"), spec.recipe)


def _take_variables(opened: Published) -> None:
    """Give the rebuilt model what the SavedModel holds, and prove on rows of the test split that it is the same model."""
    tf, model = opened.tf, opened.model
    loaded = tf.saved_model.load(str(opened.folder / formats.SAVED_MODEL))
    states = list(getattr(loaded, "states", ()))
    if [tuple(each.shape) for each in states] != [tuple(each.shape) for each in model.variables]:
        raise _other_model(opened, f"{len(states)} variables were published, it has {len(model.variables)}")
    for variable, state in zip(model.variables, states, strict=True):
        variable.assign(state)
    rows = some_rows(opened, CHECKED_ROWS)
    run = running.function_runner(tf, serving_function(tf, model, opened.task))
    expected = running.signature_runner(tf, loaded.signatures[running.SIGNATURE])(rows)
    try:
        compare("the rebuilt model", run, rows, expected)
    except ExportError as error:
        raise _other_model(opened, error.message) from None


def _take_optimized(opened: Published) -> None:
    """Take the model from the .keras form: the recipe builds the original, of other layers or other numbers."""
    form, of = opened.manifest.formats.get("keras"), opened.manifest.optimized
    assert of is not None
    if form is None:
        raise InputError(
            f"{opened.name} was made by {of.method} and has no Keras model, only {', '.join(opened.manifest.formats)}",
            hint=f"take the version that it comes from: {of.of.name}:{of.of.version}",
        )
    path = opened.folder / form.path
    opened.model = running.load_keras(opened.keras, path)
    opened.rebuild = lambda: running.load_keras(opened.keras, path)


def _other_model(opened: Published, why: str) -> InputError:
    recipe = opened.manifest.recipe
    return InputError(
        f"recipe {recipe} does not build {opened.name} any more: {why}",
        hint=f"it was published by skylift {opened.manifest.skylift}: train it again, or use that version",
    )


def some_rows(opened: Published, most: int) -> Named:
    """Up to `most` raw rows of the test split by input name, `[rows, …]`."""
    data = opened.need_data("to try it with")
    taken = inputs_of(data.test, opened.task.inputs, np.arange(min(data.test.rows, most)))
    return taken if isinstance(taken, dict) else {opened.task.inputs[0].name: taken}


def _made_elsewhere(ref: ModelRef, manifest: ModelManifest, folder: Path) -> Published:
    form = manifest.formats.get("keras")
    if form is None:
        raise InputError(
            f"{ref.name}:{ref.version} was made elsewhere and has no Keras model, only {', '.join(manifest.formats)}",
            hint="add its .keras file: `skylift models add NAME model.keras`",
        )
    backend.prepare(0)
    tf, keras = backend.start(0)
    model = running.load_keras(keras, folder / form.path)
    return Published(tf, keras, ref, manifest, folder, model, _task_of(manifest))


def _task_of(manifest: ModelManifest) -> Task:
    """As far as a model that was made elsewhere says what it means."""
    info, signature = manifest.task, manifest.signature
    losses = {"classification": "sparse_categorical_crossentropy", "binary": "binary_crossentropy"}
    return Task(
        kind="regression" if info.kind == "generic" else info.kind,
        loss=losses.get(info.kind, "mean_squared_error"),
        inputs=tuple(Input(tuple(each.shape[1:]), each.dtype, each.name) for each in signature.inputs),
        labels=tuple(info.labels),
        unit=info.unit,
        input_kind=info.input_kind,
        input_names=tuple(info.input_names),
        dark_background=info.dark_background,
    )
