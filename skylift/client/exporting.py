"""One form of a published model as a file on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.artifacts import models
from skylift.artifacts.records import Format, FormatName
from skylift.launch import asking, recipes

if TYPE_CHECKING:
    from skylift.client.stack import Stack


class Exported(msgspec.Struct, frozen=True):
    """`is_new` says whether the version had no such form, so that it was made and compared now."""

    model: str
    format: FormatName
    path: str
    bytes: int
    is_new: bool
    form: Format


def export(stack: Stack, model: str, form: FormatName, out: Path | str) -> Exported:
    """Write a form of a version to `out`: a file, or a folder for a SavedModel.

    Raises:
        NotFoundError: no such version.
        InputError: something lies at `out` already.
        RunFailedError: the model has no such form that computes what it computes; the hint says what to change in it.
        MachineError: TensorFlow is not installed, which makes a form that the version has not.
    """
    ref = models.resolve(stack.keep, model)
    if form not in models.read_manifest(stack.keep, ref).formats:
        recipes.require_training()
    arguments = [f"--keep={stack.keep.url}", f"--format={form}", f"--out={Path(out).absolute()}"]
    return msgspec.convert(asking.ask_training(["export", f"{ref.name}@{ref.digest}", *arguments]), Exported)
