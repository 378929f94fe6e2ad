"""One more form of a published version, for whoever needs its file."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from skylift.artifacts import layout, models, transfer
from skylift.artifacts.records import Format, FormatName, ModelManifest, ModelRef
from skylift.errors import InputError, MachineError, SkyliftError
from skylift.store import Store, open_store
from training.export import formats
from training.export.causes import explained
from training.export.compare import ExportError, Named, Runner
from training.export.running import function_runner
from training.export.signature import serving_function
from training.importing.keras_file import output_names
from training.importing.original import named_function
from training.importing.trial import Reach, make_rows
from training.published import Published, open_published, some_rows

MADE_UP = Reach(8, 2)
"""Of rows for a model whose data nobody knows."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """`is_new` says whether the version had no such form, so that it was made and compared now."""

    model: str
    format: FormatName
    path: str
    bytes: int
    is_new: bool
    form: Format


def export(keep: str, name: str, form: FormatName, out: Path) -> Made:
    """Write a form of the version that `name` means to `out`: a file, or a folder for a SavedModel. Nothing is left of one that fails.

    Raises:
        ExportError: the model has no such form, or one that does not compute what the model computes.
        InputError: something lies at `out`, or its folder is not there.
    """
    if out.exists():
        raise InputError(f"{out} exists already", hint="name another path, or remove it first")
    if not out.parent.is_dir():
        raise InputError(f"there is no folder {out.parent}", hint=f"make it: `mkdir -p {out.parent}`")
    store = open_store(keep)
    ref = models.resolve(store, name)
    manifest = models.read_manifest(store, ref)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            folder = Path(scratch) / "new"
            stored = manifest.formats.get(form)
            if stored is not None:
                _fetch(store, ref, manifest, stored, folder)
            made = stored or make(open_published(store, f"{ref.name}@{ref.digest}", Path(scratch)), form, folder)
            source = folder / made.path
            size = sum(each.stat().st_size for each in [source, *source.rglob("*")] if each.is_file())
            source.rename(out)
    except OSError as error:
        raise MachineError(
            f"{out} cannot be written: {error.strerror or error}", hint="name a path elsewhere, or free some space"
        ) from None
    return Made(
        model=f"{ref.name}:{ref.version}", format=form, path=str(out), bytes=size, is_new=stored is None, form=made
    )


def _fetch(keep: Store, ref: ModelRef, manifest: ModelManifest, form: Format, folder: Path) -> None:
    files = [each for each in manifest.files if each.path == form.path or each.path.startswith(f"{form.path}/")]
    folder.mkdir()
    transfer.download_folder(keep, layout.model(ref.name, ref.digest), files, folder)


def make(opened: Published, form: FormatName, folder: Path) -> Format:
    """Write one form below the new folder `folder` and compare it with the model on rows of the test split.

    A model whose data nobody knows is compared on rows that are made up from its signature.

    Raises:
        ExportError: why it cannot be, and what to change in the model.
    """
    serve = serve_of(opened, opened.model)
    rows = rows_for(opened)
    expected = function_runner(opened.tf, serve)(rows)
    try:
        exported = formats.export_function(opened.tf, opened.model, serve, rows, expected, folder, [form])
        _add(opened, form, rows, expected, folder, exported)
    except OSError:
        raise
    except Exception as error:
        if isinstance(error, SkyliftError) and not isinstance(error, ExportError):
            raise
        raise _named(opened, form, explained(formats.SPOKEN[form], error)) from None
    for why in exported.failed.values():
        raise _named(opened, form, why)
    if form != "saved_model":
        shutil.rmtree(folder / formats.SAVED_MODEL)
    return exported.formats[form]


def serve_of(opened: Published, model: Any) -> Any:
    """`model`, of the same inputs and outputs as the opened one, as a function with the version's own signature."""
    if opened.spec is not None:
        return serving_function(opened.tf, model, opened.task)
    tree, names = opened.keras.tree, output_names(opened.keras, model)
    structure = getattr(model, "input", model.inputs[0])  # a Sequential has none, and takes its one tensor

    def call(named: Named) -> dict[str, Any]:
        packed = tree.pack_sequence_as(structure, [named[each.name] for each in model.inputs])
        return dict(zip(names, tree.flatten(model(packed, training=False)), strict=True))

    return named_function(opened.tf, opened.manifest.signature.inputs, call)


def rows_for(opened: Published) -> Named:
    """Rows of the test split, else made up."""
    if opened.data is not None:
        return some_rows(opened, formats.ROWS)
    return make_rows(opened.manifest.signature.inputs, MADE_UP, opened.task.input_kind == "image")


def _add(
    opened: Published, form: FormatName, rows: Named, expected: Named, folder: Path, exported: formats.Exported
) -> None:
    def runner(read: Any) -> Runner:
        return function_runner(opened.tf, serve_of(opened, read))

    if form == "keras":
        formats.add_keras(opened.model, runner, rows, expected, folder, exported)
    if form == "h5":
        exported.formats["h5"] = formats.write_h5(opened.model, runner, rows, expected, folder)
    if form == "tflite":
        exported.formats["tflite"] = formats.write_tflite(opened.tf, rows, expected, folder)


def _named(opened: Published, form: FormatName, why: ExportError) -> ExportError:
    return ExportError(f"{opened.name} has no {formats.SPOKEN[form]} form: {why.message}", hint=why.hint)
