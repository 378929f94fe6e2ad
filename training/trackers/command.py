"""`training track …`: the options, and the answer."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from skylift.errors import InputError
from skylift.store import open_store
from training.trackers.reading import Tracked, track

TRACKERS = ("mlflow", "wandb")


class Tracker(Protocol):
    """Where runs go."""

    def send(self, run: Tracked, project: str) -> str: ...

    def close(self) -> None: ...


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="ids of runs")
    parser.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    parser.add_argument("--work", required=True, metavar="URL", help="URL of the work bucket")
    parser.add_argument("--to", required=True, choices=TRACKERS)
    parser.add_argument("--project", help="MLflow's experiment, or [ENTITY/]PROJECT; default: the run's model")
    parser.add_argument("--uri", metavar="URL", help="of the server; default: what the tracker's own variable says")
    parser.add_argument("--offline", type=Path, metavar="FOLDER", help="write there and send nothing")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> str:
    """Send the runs; what to print."""
    with contextlib.redirect_stdout(sys.stderr):  # what libraries say is no part of the answer
        sent = _send(options)
    if options.json:
        return json.dumps({"to": options.to, "runs": sent})
    return "\n".join(f"{each['id']}  {each['where']}" for each in sent)


def _send(options: argparse.Namespace) -> list[dict[str, Any]]:
    keep, work = open_store(options.keep), open_store(options.work)
    found = [track(keep, work, each) for each in options.runs]
    tracker = _opened(options)
    try:
        return [_sent(tracker, each, options.project or each.project) for each in found]
    finally:
        tracker.close()


def _sent(tracker: Tracker, each: Tracked, project: str) -> dict[str, Any]:
    where = tracker.send(each, project)
    return {"id": each.id, "state": each.state, "project": project, "where": where, "points": len(each.points)}


def _opened(options: argparse.Namespace) -> Tracker:
    if options.uri and options.offline is not None:
        raise InputError("--uri and --offline cannot both be", hint="name a server, or a folder")
    _refuse_secrets(options.uri)
    if options.to == "mlflow":
        from training.trackers.to_mlflow import Mlflow

        return Mlflow(options.uri, options.offline)
    from training.trackers.to_wandb import Wandb

    return Wandb(options.uri, options.offline)


def _refuse_secrets(uri: str | None) -> None:
    """A command line is seen by everybody on the machine and kept by shells."""
    if uri and urlsplit(uri).username is not None:
        raise InputError(
            "--uri holds a name or password",
            hint="leave it out; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or WANDB_API_KEY, take it from the environment",
        )
