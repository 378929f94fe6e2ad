"""Where everything lies in the two buckets. Pure functions from names to keys; nothing here touches a bucket.

Two buckets because they live differently: **keep** is versioned and protected, **work** expires by leading prefix.
docs/architecture.md draws the whole tree.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, date, datetime, timedelta

from skylift.errors import InputError

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
"""Datasets, models and endpoints: lower case, safe as a path segment, a URL segment and a label on every cloud."""

MANIFEST = "manifest.json"
SAMPLES = "samples.json"
"""A model's file with a few rows to try it with."""

# keep


def dataset(name: str, digest: str) -> str:
    return f"datasets/{name}/{digest}"


def code(digest: str) -> str:
    return f"code/{digest}.tar"


def run(run_id: str) -> str:
    return f"runs/{run_id}"


def run_spec(run_id: str) -> str:
    return f"runs/{run_id}/run.json"


def run_result(run_id: str) -> str:
    return f"runs/{run_id}/result.json"


def run_report(run_id: str) -> str:
    return f"runs/{run_id}/report.html"


STUDIES = "studies"
RUNS = "runs"
RUNS_INDEX = "runs-index"
MODELS = "models"
ENDPOINTS = "endpoints"
DATASETS = "datasets"
CODE = "code"


def study(study_id: str) -> str:
    return f"studies/{study_id}"


def study_spec(study_id: str) -> str:
    return f"studies/{study_id}/study.json"


def study_trials(study_id: str) -> str:
    return f"studies/{study_id}/trials"


def study_trial(study_id: str, number: int) -> str:
    """How a trial ended."""
    return f"studies/{study_id}/trials/{number}.json"


def study_begun(study_id: str) -> str:
    return f"studies/{study_id}/begun"


def study_attempt(study_id: str, name: str, attempt: int) -> str:
    """Create-only: which run does a trial's attempt (`name` is its number), so that two commands never begin the same."""
    return f"studies/{study_id}/begun/{name}.{attempt:03d}.json"


def runs_index_page(page: int) -> str:
    return f"runs-index/{page:08d}.json"


def model(name: str, digest: str) -> str:
    return f"models/{name}/{digest}"


def model_manifest(name: str, digest: str) -> str:
    return f"models/{name}/{digest}/{MANIFEST}"


def model_versions(name: str) -> str:
    return f"models/{name}/versions"


def model_version(name: str, version: int) -> str:
    return f"models/{name}/versions/{version}.json"


def endpoint(name: str) -> str:
    return f"endpoints/{name}"


def deployments(name: str) -> str:
    return f"endpoints/{name}/deployments"


def deployment(name: str, number: int) -> str:
    return f"endpoints/{name}/deployments/{number}.json"


def approvals(name: str) -> str:
    return f"endpoints/{name}/approvals"


def approval(name: str, number: int) -> str:
    return f"endpoints/{name}/approvals/{number}.json"


def vetoes(name: str) -> str:
    return f"endpoints/{name}/vetoes"


def veto(name: str, number: int) -> str:
    return f"endpoints/{name}/vetoes/{number}.json"


def current(name: str) -> str:
    return f"endpoints/{name}/current.json"


# work


def live_status(run_id: str) -> str:
    return f"live/{run_id}/status.json"


def live_cancel(run_id: str) -> str:
    return f"live/{run_id}/cancel.json"


def live_attempts(run_id: str) -> str:
    return f"live/{run_id}/attempts"


def live_attempt(run_id: str, attempt: int) -> str:
    """Create-only: who does this attempt, so that two never do."""
    return f"live/{run_id}/attempts/{attempt:06d}.json"


def events(run_id: str) -> str:
    return f"events/{run_id}"


def live_members(run_id: str, attempt: int) -> str:
    return f"live/{run_id}/members/{attempt:06d}"


def live_member(run_id: str, attempt: int, index: int) -> str:
    """Where a member of a group says its address, in that attempt."""
    return f"{live_members(run_id, attempt)}/{index:04d}.json"


def live_leaving(run_id: str, attempt: int, index: int | None = None) -> str:
    """Where a parameter server says that it has to leave, or the folder of all that do."""
    folder = f"live/{run_id}/leaving/{attempt:06d}"
    return folder if index is None else f"{folder}/{index:04d}.json"


def live_failures(run_id: str, attempt: int) -> str:
    return f"live/{run_id}/failures/{attempt:06d}"


def live_failure(run_id: str, attempt: int, index: int) -> str:
    """Where a member of a group says why it cannot go on."""
    return f"{live_failures(run_id, attempt)}/{index:04d}.json"


def logs(run_id: str, worker: int = 0) -> str:
    """The output of a run; of a group, that of its chief or of another member."""
    return f"logs/{run_id}.{worker}" if worker else f"logs/{run_id}"


def checkpoints(run_id: str) -> str:
    return f"checkpoints/{run_id}"


def checkpoint(run_id: str, step: int) -> str:
    return f"checkpoints/{run_id}/{step:012d}"


def replicas(endpoint_name: str) -> str:
    return f"replicas/{endpoint_name}"


def replica(endpoint_name: str, replica_id: str) -> str:
    return f"replicas/{endpoint_name}/{replica_id}.json"


def samples(endpoint_name: str) -> str:
    return f"samples/{endpoint_name}"


def sample_chunk(endpoint_name: str, day: date, replica_id: str, worker: int, seq: int) -> str:
    """Some requests as JSON lines. `seq` sorts those that one worker wrote on a day."""
    return f"samples/{endpoint_name}/{day.isoformat()}/{replica_id}-{worker}-{seq:08d}.jsonl"


# names and ids


def check_name(what: str, name: str) -> str:
    """Return `name`, or raise InputError that says which characters a name may have."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{what} name {name!r} is not allowed",
            hint="use 1 to 63 of a-z 0-9 . _ - and begin and end with a letter or digit",
            details={"what": what, "name": name},
        )
    return name


_RUN_TIME = "%Y%m%dt%H%M%S"
RUN_ID = re.compile(r"\d{8}t\d{6}-[0-9a-f]{6}")


def new_run_id(now: datetime, *, after: str = "") -> str:
    """A run id that sorts by time: `20261122t234501-3f9a0c`.

    Args:
        now: the store's clock.
        after: the last indexed run id; the new id sorts behind it even when the clock has jumped back, because a listing
            looks behind the last index page only.
    """
    moment = now.astimezone(UTC)
    if after and RUN_ID.fullmatch(after):
        last = datetime.strptime(after[:15], _RUN_TIME).replace(tzinfo=UTC)
        moment = max(moment, last + timedelta(seconds=1))
    return f"{moment.strftime(_RUN_TIME)}-{secrets.token_hex(3)}"


def run_time(run_id: str) -> datetime:
    """When a run was asked for, from its id."""
    if not RUN_ID.fullmatch(run_id):
        raise InputError(f"{run_id!r} is not a run id", hint="`skylift runs` lists them")
    return datetime.strptime(run_id[:15], _RUN_TIME).replace(tzinfo=UTC)
