"""Runs into MLflow, by its own client: one experiment a project, one run a run, found again by the tag `skylift.run`."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from skylift.errors import (
    CredentialsError,
    InputError,
    NotFoundError,
    SkyliftError,
    UnreachableError,
)
from training.trackers.reading import Tracked, needed

RUN_TAG = "skylift.run"
STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
BATCH = 1000
"""Metrics that one request of MLflow's holds."""
LONGEST_VALUE = 6000
"""Characters of a parameter's value, MLflow's own limit."""
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nobody else is told of runs
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # its own 7 make one wait four minutes for a server that is not there
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


class Mlflow:
    """A tracking server, or a folder in the form of its file store.

    Args:
        uri: `http(s)://…`, or another that MLflow knows; default: $MLFLOW_TRACKING_URI.

    Raises:
        InputError: no server is named.
        MachineError: mlflow is not installed.
    """

    def __init__(self, uri: str | None, folder: Path | None) -> None:
        self._uri = _uri(uri, folder)
        self._shown = _masked(self._uri)
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        if self._uri.startswith("file:"):
            os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # MLflow asks for that word before it writes files
        self._entities = needed("mlflow.entities")
        self._errors = needed("mlflow.exceptions")
        self._client: Any = self._asked(lambda: needed("mlflow").MlflowClient(tracking_uri=self._uri))

    def send(self, run: Tracked, project: str) -> str:
        """Bring the run there up to date; where it can be seen."""
        return str(self._asked(lambda: self._send(run, project)))

    def close(self) -> None:
        """Nothing waits."""

    def _send(self, run: Tracked, project: str) -> str:
        client, experiment = self._client, self._experiment(project)
        there = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run.id}'", max_results=1)
        found = there[0] if there else self._begin(run, experiment)
        run_id = found.info.run_id
        known = {name: self._history(run_id, name) for name in found.data.metrics}
        metrics = [
            each
            for each in self._metrics(run)
            if (each.step, each.timestamp, each.value) not in known.get(each.key, ())
        ]
        entities = self._entities
        parameters = [
            entities.Param(name, str(value)[:LONGEST_VALUE])
            for name, value in run.asked.items()
            if name not in found.data.params  # they cannot be changed, and ours do not
        ]
        tags = [entities.RunTag(name, value) for name, value in run.tags.items()]
        client.log_batch(run_id, params=parameters, tags=tags)
        for start in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + BATCH])
        self._report(run, run_id)
        self._end(run, run_id)
        if urlsplit(self._uri).scheme.startswith("http"):
            return f"{self._shown}/#/experiments/{experiment}/runs/{run_id}"
        return f"{self._shown}/{experiment}/{run_id}"

    def _experiment(self, project: str) -> str:
        found = self._client.get_experiment_by_name(project)
        if found is None:
            return str(self._client.create_experiment(project))
        if found.lifecycle_stage != "active":
            raise InputError(
                f"MLflow's experiment {project!r} was deleted", hint="restore it there, or name another with --project"
            )
        return str(found.experiment_id)

    def _begin(self, run: Tracked, experiment: str) -> Any:
        tags = {RUN_TAG: run.id, "mlflow.user": run.spec.by, "mlflow.source.name": "skylift"}
        if run.spec.commit:
            tags["mlflow.source.git.commit"] = run.spec.commit
        began = run.result.started if run.result else run.spec.created
        return self._client.create_run(experiment, start_time=_milliseconds(began), tags=tags, run_name=run.id)

    def _history(self, run_id: str, name: str) -> set[tuple[int, int, float]]:
        return {(each.step, each.timestamp, each.value) for each in self._client.get_metric_history(run_id, name)}

    def _metrics(self, run: Tracked) -> Iterable[Any]:
        for point in run.points:
            for name, value in point.metrics.items():
                yield self._entities.Metric(name, value, _milliseconds(point.at), point.step)

    def _report(self, run: Tracked, run_id: str) -> None:
        """The file of that name is replaced where it is there already."""
        if run.report is None:
            return
        with tempfile.TemporaryDirectory(prefix="skylift-track-") as folder:
            path = Path(folder) / "report.html"
            path.write_bytes(run.report)
            self._client.log_artifact(run_id, str(path))

    def _end(self, run: Tracked, run_id: str) -> None:
        if run.result is None:
            self._client.update_run(run_id, status="RUNNING")
        else:
            self._client.set_terminated(run_id, STATUS[run.result.state], _milliseconds(run.result.ended))

    def _asked(self, call: Any) -> Any:
        try:
            return call()
        except SkyliftError:
            raise
        except self._errors.MlflowException as error:
            raise refused(error, self._shown) from None
        except OSError as error:
            raise UnreachableError(f"MLflow at {self._shown} cannot be written: {error}", hint="try again") from None


def refused(error: Any, uri: str) -> SkyliftError:
    """Our error for one of MLflow's: by its code, or by the answer's."""
    text = _masked(" ".join(str(error).split()))[:300]
    status = getattr(error, "get_http_status_code", lambda: 500)()
    code = str(getattr(error, "error_code", ""))
    if status in (401, 403) or code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or "error code 401" in text:
        return CredentialsError(
            f"MLflow at {uri} does not let us in: {text}",
            hint="set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    if status == 404 or code in ("ENDPOINT_NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"):
        return NotFoundError(f"MLflow at {uri} has it not: {text}", hint="is that the address of a tracking server?")
    if code == "INVALID_PARAMETER_VALUE" or status == 400:
        return InputError(f"MLflow at {uri} refuses it: {text}", hint="name another project, or look at the reason")
    return UnreachableError(
        f"MLflow at {uri} does not answer: {text}", hint="check the address and the network, then send it again"
    )


def _uri(uri: str | None, folder: Path | None) -> str:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve().as_uri()
    found = (uri or os.environ.get("MLFLOW_TRACKING_URI", "")).rstrip("/")
    if not found:
        raise InputError(
            "no MLflow server is named", hint="--uri https://…, or set MLFLOW_TRACKING_URI; --offline FOLDER needs none"
        )
    return found


def _masked(text: str) -> str:
    """Addresses in it without name and password, which the variable may hold."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
