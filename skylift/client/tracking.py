"""Runs in MLflow and Weights & Biases, sent by the training program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from skylift.artifacts import runs
from skylift.client.stack import Stack
from skylift.launch.asking import ask_training


def send(
    stack: Stack,
    names: Sequence[str],
    to: Literal["mlflow", "wandb"],
    *,
    project: str | None = None,
    uri: str | None = None,
    offline: Path | None = None,
) -> list[dict[str, Any]]:
    """Bring runs in a tracker up to date, those that are at work too: of each `id`, `state`, `project`, `where` and `points`.

    Keys and passwords are taken from the environment by the trackers' own clients, and written nowhere.

    Args:
        names: ids, or beginnings or endings that only one run has, or `last`.
        project: MLflow's experiment, or `[entity/]project`; default: the run's model.
        uri: of the server; default: MLFLOW_TRACKING_URI, or WANDB_BASE_URL.
        offline: a folder to write to in place of sending.

    Raises:
        NotFoundError: there is no such run.
        MachineError: the extra `trackers` is not installed.
        CredentialsError: no key, or one that does not open.
        InputError: the project's name, or what was asked, is wrong.
        UnreachableError: the server does not answer.
    """
    ids = [runs.find_run(stack.keep, name) for name in names]
    arguments = ["track", *ids, "--keep", stack.keep.url, "--work", stack.work.url, f"--to={to}"]
    arguments += [f"--project={project}"] if project else []
    arguments += [f"--uri={uri}"] if uri else []
    arguments += [f"--offline={offline}"] if offline is not None else []
    sent: list[dict[str, Any]] = ask_training(arguments)["runs"]
    return sent
