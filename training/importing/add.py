"""`training import`: from a path to a published version."""

from __future__ import annotations

import tempfile
import traceback
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from skylift.artifacts import existing, layout, models
from skylift.artifacts.records import ModelManifest, PublishedModel, now
from skylift.errors import InputError, MachineError, SkyliftError
from skylift.store import open_store
from training.export.compare import ExportError
from training.export.formats import Exported
from training.importing import original as originals
from training.importing.meaning import Meaning, task_of
from training.importing.trial import Trial, signature_of, try_out


@dataclass(frozen=True)
class Added:
    """`notes` says which forms were dropped, and why."""

    model: PublishedModel
    notes: list[str]


def add(path: Path, keep: str, name: str, by: str, meaning: Meaning) -> Added:
    """Publish the model at `path` as the next version of `name`.

    Raises:
        InputError: it cannot be read, does not run, or does not fit its meaning.
        MachineError: what reads it is not installed, or the disk is full.
    """
    layout.check_name("model", name)
    meaning.check()
    kind = existing.kind_of(path)
    store = open_store(keep)
    try:
        with tempfile.TemporaryDirectory(prefix="skylift-import-") as scratch:
            folder = Path(scratch) / "model"
            manifest, notes = _prepare(path, kind, name, by, meaning, folder)
            return Added(models.publish(store, name, folder, manifest), notes)
    except ExportError as error:
        raise InputError(
            f"{path.name}: {error.message}",
            hint="a row must give the same whenever it is asked and whatever rows are beside it: no dropout, no shared state",
        ) from None
    except OSError as error:
        if error.errno not in (28, 122):
            raise InputError(f"{path} cannot be read: {error.strerror or error}", hint="copy the model again") from None
        raise MachineError(
            f"the disk is full: {error.filename or error}", hint="free some space, or point TMPDIR at a larger disk"
        ) from None


def _prepare(
    path: Path, kind: existing.Kind, name: str, by: str, meaning: Meaning, folder: Path
) -> tuple[ModelManifest, list[str]]:
    original = originals.read(kind, path)
    trial = try_out(original, meaning.is_image)
    signature = signature_of(original, trial)
    task = task_of(meaning, signature, trial.expected)
    exported = _store(original, trial, path, folder)
    manifest = ModelManifest(
        name=name,
        created=now(),
        by=by,
        signature=signature,
        task=task,
        formats=exported.formats,
        files=[],
        skylift=version("skylift"),
    )
    return manifest, exported.notes


def _store(original: originals.Original, trial: Trial, path: Path, folder: Path) -> Exported:
    try:
        return original.store(trial.rows, trial.expected, folder)
    except (SkyliftError, OSError):
        raise
    except Exception as error:  # of TensorFlow's writer or of a loader
        traceback.print_exc()
        raise InputError(
            f"{path.name} runs, but cannot be stored: {originals.first_line(error)}",
            hint="export it as a SavedModel or as ONNX where it was made, and add that",
        ) from None
