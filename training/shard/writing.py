"""Parts as files: each form of each part compared, then the chain of each form, with the manifests that serving reads."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from skylift.artifacts.records import ModelManifest, TaskInfo, now
from skylift.artifacts.records import Part as PartOf
from training.export.compare import ExportError, Named
from training.export.formats import Exported, add_keras, export_function
from training.published import Published
from training.shard.build import Part
from training.shard.chain import FORMS, Chain, chain_of, keras_runner
from training.shard.exact import check_chain
from training.shard.report import ChainParity
from training.shard.whole import Whole, references

Written = list[tuple[Path, ModelManifest]]


def part_name(name: str, number: int, count: int) -> str:
    return f"{name}-part{number}of{count}"


def chain_name(name: str, count: int) -> str:
    return f"{name}-in{count}"


def write_part(opened: Published, part: Part, known: Named, folder: Path) -> Exported:
    """Write the forms of one part, compared on what really reaches it; what it gives joins `known`.

    Raises:
        ExportError: its SavedModel fails or differs. Another form that does is dropped with a note.
    """
    from training.export.running import function_runner

    tf, serve = opened.tf, part.serving(opened.tf)
    rows = {spec.name: known[spec.name] for spec in part.signature.inputs}
    expected = function_runner(tf, serve)(rows)
    exported = export_function(tf, part.model, serve, rows, expected, folder)
    add_keras(part.model, lambda read: keras_runner(tf, read, part.signature), rows, expected, folder, exported)
    known.update(expected)
    return exported


def manifest_of(
    opened: Published, part: Part, exported: Exported, name: str, place: tuple[int, int], by: str
) -> ModelManifest:
    """What is to be known of a part. Its ends keep the meaning that the model has there: images go in, labels come out."""
    index, count = place
    task = opened.manifest.task
    if index < count:
        task = TaskInfo()
    if index == 1:
        own = opened.manifest.task
        task = TaskInfo(input_kind=own.input_kind, input_names=own.input_names, dark_background=own.dark_background)
    elif index == count:
        task = msgspec.structs.replace(task, input_kind="tensor", input_names=[], dark_background=None)
    return ModelManifest(
        name=part_name(name, index, count),
        created=now(),
        by=by,
        recipe=opened.manifest.recipe,
        dataset=opened.manifest.dataset,
        signature=part.signature,
        task=task,
        formats=exported.formats,
        files=[],
        skylift=version("skylift"),
        part=PartOf(of=opened.ref, index=index, count=count, inputs=part.sources),
    )


def check_chains(
    opened: Published, whole: Whole, written: Written, notes: list[str]
) -> tuple[list[ChainParity], Written]:
    """Compare the chain of each form with the uncut model; the parities, and the parts with the forms that hold.

    Raises:
        ExportError: the chain of SavedModels differs. Another one that does is dropped with a note.
    """
    uncut = references(opened, whole)
    outputs = [spec.name for spec in whole.signature.outputs]
    found: list[ChainParity] = []
    for form in FORMS:
        if any(form not in manifest.formats for _, manifest in written):
            continue
        try:
            chain: Chain = chain_of(written, outputs, form)
            found += check_chain(chain, form, whole.rows, uncut)
        except ExportError as error:
            if form == "saved_model":
                raise
            notes.append(f"no {form} form of the parts: {error.message}")
            written = _without(written, form)
    return found, written


def _without(written: Sequence[tuple[Path, ModelManifest]], form: str) -> Written:
    kept: Written = []
    for folder, manifest in written:
        stored = manifest.formats.get(form)  # type: ignore[call-overload]
        if stored is not None:
            (folder / stored.path).unlink(missing_ok=True)
        formats = {name: each for name, each in manifest.formats.items() if name != form}
        kept.append((folder, msgspec.structs.replace(manifest, formats=formats)))
    return kept
