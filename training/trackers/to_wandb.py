"""Runs into Weights & Biases, by its own client: the run's id is ours, so that sending it again goes on with it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from skylift.errors import CredentialsError, InputError, SkyliftError, UnreachableError
from training.trackers.reading import Tracked, needed

KEY = "WANDB_API_KEY"
SECONDS = 30.0
"""How long its server may take to answer before it counts as unreachable."""
EXIT = {"succeeded": 0, "failed": 1, "cancelled": 255}
"""Exit codes that it shows as finished, failed and crashed."""
PROJECT = re.compile(r"(?:[\w.-]+/)?[^/\\#?%:\s]{1,128}")


class Wandb:
    """Its server, or a folder of runs that `wandb sync` sends later.

    Args:
        uri: of a server of one's own; default: $WANDB_BASE_URL, else api.wandb.ai.

    Raises:
        CredentialsError: there is no key in the environment.
        MachineError: wandb is not installed.
    """

    def __init__(self, uri: str | None, folder: Path | None) -> None:
        if folder is None and not os.environ.get(KEY):
            raise CredentialsError(
                f"Weights & Biases wants a key, and {KEY} is not set",
                hint=f"export {KEY}=…, from https://wandb.ai/authorize; --offline FOLDER needs none",
            )
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # nobody else is told of runs
        self._uri, self._offline = uri, folder
        self._scratch = tempfile.TemporaryDirectory(prefix="skylift-track-")
        for kind in ("CACHE", "CONFIG", "DATA"):
            os.environ[f"WANDB_{kind}_DIR"] = str(Path(self._scratch.name) / kind.lower())
        self._wandb = needed("wandb")

    def send(self, run: Tracked, project: str) -> str:
        """Bring the run there up to date; where it can be seen."""
        if not PROJECT.fullmatch(project):
            raise InputError(
                f"Weights & Biases takes no project {project!r}",
                hint="--project NAME or ENTITY/NAME, of 1 to 128 characters without spaces and / \\ # ? % :",
            )
        try:
            return self._send(run, project)
        except SkyliftError:
            raise
        except self._wandb.Error as error:
            raise _refused(error, self._uri) from None

    def close(self) -> None:
        """Stop its helper process, which sends what is still to be sent."""
        self._wandb.teardown()
        self._scratch.cleanup()

    def _send(self, run: Tracked, project: str) -> str:
        entity, _, name = project.rpartition("/")
        if self._offline is not None:
            self._begin_anew(self._offline, run.id)
        opened = self._wandb.init(
            project=name,
            entity=entity or None,
            id=run.id,
            name=run.id,
            group=run.spec.model,
            job_type="train",
            tags=_labels(run),
            config=run.asked | {"skylift": {key.removeprefix("skylift."): value for key, value in run.tags.items()}},
            resume=None if self._offline is not None else "allow",
            settings=self._settings(),
        )
        for step, points in groupby(run.points, key=lambda point: point.step):
            row: dict[str, float] = {}
            for point in points:
                row |= point.metrics | {"_timestamp": point.at.timestamp()}
            opened.log(row, step=step)  # of a run that goes on, steps that are there already are left out
        for metric, value in (run.result.metrics if run.result else {}).items():
            opened.summary[f"test/{metric}"] = value
        self._report(run, opened)
        where = opened.url or str(Path(opened.settings.sync_dir))
        opened.finish(exit_code=EXIT.get(run.state, 0))
        return where

    def _settings(self) -> Any:
        """Nothing of this machine, and no word on our output."""
        place = self._offline if self._offline is not None else Path(self._scratch.name)
        place.mkdir(parents=True, exist_ok=True)
        given: dict[str, Any] = {"base_url": self._uri} if self._uri else {}
        return self._wandb.Settings(
            mode="offline" if self._offline is not None else "online",
            root_dir=str(place),
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
            init_timeout=SECONDS,
            **given,
        )

    def _report(self, run: Tracked, opened: Any) -> None:
        """As an artifact: equal bytes are one version, however often they are sent."""
        if run.report is None:
            return
        path = Path(self._scratch.name) / f"{run.id}.html"
        path.write_bytes(run.report)
        artifact = self._wandb.Artifact(f"report-{run.id}", type="report")
        artifact.add_file(str(path), name="report.html")
        opened.log_artifact(artifact)

    def _begin_anew(self, folder: Path, run_id: str) -> None:
        """Without what an earlier call left there of the same run: `wandb sync` would send both."""
        files = folder.resolve() / "artifacts" / run_id  # copies that `wandb sync` sends, which must outlive us
        for old in (files, *(folder / "wandb").glob(f"offline-run-*-{run_id}")):
            shutil.rmtree(old, ignore_errors=True)
        os.environ["WANDB_DATA_DIR"] = str(files)


def _labels(run: Tracked) -> list[str]:
    """What runs are filtered by: at most 64 characters each."""
    names = ("model", "dataset", "commit", "seed", "recipe")
    found = {name: run.tags.get(f"skylift.{name}", "") for name in names}
    return [f"{name}:{value}"[:64] for name, value in found.items() if value]


def _refused(error: Exception, uri: str | None) -> SkyliftError:
    text = " ".join(str(error).split())[:300]
    server = uri or os.environ.get("WANDB_BASE_URL") or "api.wandb.ai"
    lower = text.lower()
    if any(word in lower for word in ("api key", "api_key", "401", "403", "permission", "unauthorized")):
        return CredentialsError(
            f"Weights & Biases at {server} does not let us in: {text}",
            hint=f"check {KEY}, and that it may write to the project",
        )
    if type(error).__name__ == "UsageError":
        return InputError(f"Weights & Biases refuses it: {text}", hint="look at the reason; --project names another")
    return UnreachableError(
        f"Weights & Biases at {server} does not answer: {text}",
        hint="check the address and the network, then send it again; --offline FOLDER keeps it for `wandb sync`",
    )
