"""Checkpoints in the work bucket: `checkpoints/<run>/<step>/`, variables first, the manifest last.

A folder without a manifest does not exist; what a killed attempt left in it is removed before the step is saved again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from skylift.artifacts import layout
from skylift.artifacts.records import decode, encode
from skylift.artifacts.transfer import download_folder, hash_folder, upload_folder
from skylift.errors import CredentialsError, MachineError, RecipeError, SkyliftError
from skylift.store import ObjectExistsError, ObjectNotFoundError, Store
from training.loop.learner import Learner
from training.loop.progress import Checkpoint, Progress
from training.loop.saving import Snapshot


class Checkpoints:
    """The checkpoints of one run, of which the `kept` newest stay."""

    def __init__(self, tf: Any, work: Store, run_id: str, scratch: Path, kept: int = 2) -> None:
        self._tf = tf
        self._work = work
        self._run = run_id
        self._scratch = scratch / "checkpoints"
        self._kept = kept

    def save(self, state: Snapshot, progress: Progress, copied: Callable[[], None] = lambda: None) -> None:
        """Store the state of a step, and say when it is on disk; nothing happens where it is stored already.

        Raises:
            MachineError: a disk is full. Checkpoints that were whole before stay whole.
        """
        prefix = layout.checkpoint(self._run, progress.step)
        stored = {stat.key for stat in self._work.names(prefix)}
        if f"{prefix}/{layout.MANIFEST}" in stored:
            return
        self._work.delete(sorted(stored))
        folder = self._scratch / "saving"
        try:
            self._write(state.parts(progress), folder)
            copied()
            files = hash_folder(folder)
            upload_folder(folder, files, self._work, prefix)
            manifest = Checkpoint(run=self._run, step=progress.step, progress=progress, files=files)
            self._work.create(f"{prefix}/{layout.MANIFEST}", encode(manifest))
        except ObjectExistsError:
            return
        except SkyliftError:
            with suppress(
                SkyliftError
            ):  # what there is of it would only take the room that the status and the log need
                self._work.delete([stat.key for stat in self._work.names(prefix)])
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._thin()

    def whole(self, run_id: str) -> Iterator[Checkpoint]:
        """The checkpoints that have a manifest, newest first."""
        for step in sorted(self._work.folders(layout.checkpoints(run_id)), reverse=True):
            found = self._read(run_id, int(step)) if step.isdecimal() else None
            if found is not None:
                yield found

    def restore(self, learner: Learner, run_id: str, step: int, best: list[Any] | None = None) -> None:
        """Set the learner's variables to those of a checkpoint, and `best` to the best weights before it.

        Raises:
            RecipeError: they are of another model.
        """
        found = self._read(run_id, step)
        if found is None:
            raise MachineError(f"checkpoint {step} of run {run_id} is gone", hint="start the run anew as a new one")
        folder = self._scratch / f"restoring-{run_id}-{step}"
        try:
            download_folder(self._work, layout.checkpoint(run_id, step), found.files, folder)
            self._load("weights", learner.weights, folder, found)
            self._load("state", learner.state, folder, found)
            has_best = any(each.path == "best.index" for each in found.files)
            if best is not None:
                self._load("best" if has_best else "weights", best, folder, found)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, parts: Mapping[str, list[Any]], folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            for name, variables in parts.items():
                self._tf.train.Checkpoint(variables=variables).write(str(folder / name))
        except (OSError, self._tf.errors.OpError) as error:
            if "No space left" in str(error) or getattr(error, "errno", None) in (28, 122):
                raise MachineError(
                    f"cannot write a checkpoint to {folder}: the disk is full",
                    hint="free some space, or point TMPDIR at a larger disk, and run the same command again",
                ) from error
            raise

    def _load(self, name: str, variables: list[Any], folder: Path, found: Checkpoint) -> None:
        try:
            status = self._tf.train.Checkpoint(variables=variables).read(str(folder / name))
            status.assert_existing_objects_matched().assert_consumed()
        except (ValueError, AssertionError) as error:
            raise RecipeError(
                f"checkpoint {found.step} of run {found.run} does not fit the model: it was saved from another one",
                hint="resume with the recipe and hyperparameters that it was saved with, or start a new run",
            ) from error

    def _read(self, run_id: str, step: int) -> Checkpoint | None:
        key = f"{layout.checkpoint(run_id, step)}/{layout.MANIFEST}"
        try:
            return decode(self._work.get(key).data, Checkpoint, self._work.where(key))
        except ObjectNotFoundError:
            return None

    def _thin(self) -> None:
        """Remove what nobody will resume from: manifest first, so that what is half removed counts as gone."""
        steps = sorted(self._work.folders(layout.checkpoints(self._run)), reverse=True)
        try:
            for step in steps[self._kept :]:
                prefix = f"{layout.checkpoints(self._run)}/{step}"
                keys = [stat.key for stat in self._work.names(prefix)]
                self._work.delete(sorted(keys, key=lambda key: not key.endswith(layout.MANIFEST)))
        except CredentialsError:
            return  # an identity that may only write: the bucket's own expiry removes them
