"""Reads from a machine's surroundings which member of a run it is: each service says it in its own way.

What each sets: SageMaker, https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html;
Vertex AI, https://cloud.google.com/vertex-ai/docs/training/distributed-training; Azure ML,
https://learn.microsoft.com/azure/machine-learning/how-to-train-distributed-gpu; Kubernetes, indexed Jobs,
https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode. A run group of machines is told by its launcher.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skylift.errors import InputError
from training.cluster.description import read_tf_config

INDEX = "SKYLIFT_MEMBER_INDEX"
COUNT = "SKYLIFT_MEMBERS"
"""What our own launchers tell a member."""

LOCAL = "SKYLIFT_MEMBERS_LOCAL"
"""Set where all members are processes of one machine."""

PORT = 2222
SAGEMAKER = Path("/opt/ml/input/config/resourceconfig.json")


@dataclass(frozen=True)
class Surroundings:
    """This member's number, how many there are, and their addresses where the service tells them (else they meet in the bucket)."""

    source: str
    index: int = 0
    count: int = 1
    addresses: tuple[str, ...] = ()


ALONE = Surroundings("this machine")


def look(environ: Mapping[str, str], workers: int, sagemaker: Path = SAGEMAKER) -> Surroundings:
    """Where this process stands. The first that says anything counts: our launcher, TF_CONFIG, then each service's own way.

    Args:
        workers: as many as the run asks for; an indexed Job does not tell.

    Raises:
        InputError: what is said cannot be read, contradicts itself or the run.
    """
    readers: tuple[Callable[[], Surroundings | None], ...] = (
        lambda: _launcher(environ),
        lambda: _tf_config(environ),
        lambda: _vertex(environ),
        lambda: _sagemaker(sagemaker),
        lambda: _azureml(environ),
        lambda: _kubernetes(environ, workers),
    )
    found = next((each for each in (read() for read in readers) if each is not None), ALONE)
    if not 0 <= found.index < found.count:
        raise InputError(
            f"{found.source} says that this is member {found.index} of {found.count}",
            hint="members are numbered from 0",
        )
    if found.count > 1 and found.count != workers:
        raise InputError(
            f"the run asks for {workers} workers, {found.source} has {found.count} members",
            hint=f"start {workers} members, or a run with `--workers {found.count}`",
        )
    return found


def _launcher(environ: Mapping[str, str]) -> Surroundings | None:
    if COUNT not in environ:
        return None
    return Surroundings("the launcher", _number(environ, INDEX), _number(environ, COUNT))


def _tf_config(environ: Mapping[str, str]) -> Surroundings | None:
    if not environ.get("TF_CONFIG"):
        return None
    cluster = read_tf_config(environ["TF_CONFIG"])
    if cluster is None:
        return None
    return Surroundings("TF_CONFIG", cluster.index, len(cluster.workers), cluster.workers)


def _vertex(environ: Mapping[str, str]) -> Surroundings | None:
    """CLUSTER_SPEC: worker pool 0 is the chief, pool 1 has the others."""
    if not environ.get("CLUSTER_SPEC"):
        return None
    given = _json(environ["CLUSTER_SPEC"], "CLUSTER_SPEC")
    pools, own = given.get("cluster", {}), given.get("task", {})
    others = sorted(set(pools) - {"workerpool0", "workerpool1"})
    if others:
        raise InputError(f"CLUSTER_SPEC has {', '.join(others)}", hint="give the job two worker pools at the most")
    first, rest = list(pools.get("workerpool0", [])), list(pools.get("workerpool1", []))
    index = int(own.get("index", 0)) + (len(first) if own.get("type") == "workerpool1" else 0)
    return _of_hosts("Vertex AI's CLUSTER_SPEC", index, [*first, *rest])


def _sagemaker(path: Path) -> Surroundings | None:
    if not path.is_file():
        return None
    given = _json(path.read_text(), str(path))
    hosts, own = sorted(given.get("hosts", [])), given.get("current_host")
    if own not in hosts:
        raise InputError(
            f"{path} does not list its own host {own!r} among {', '.join(hosts) or 'none'}",
            hint="the file is SageMaker's: look whether something else wrote it",
        )
    return _of_hosts("SageMaker's resourceconfig.json", hosts.index(own), hosts)


def _azureml(environ: Mapping[str, str]) -> Surroundings | None:
    """Azure ML tells how many nodes there are and which this is; TF_CONFIG only for jobs of its TensorFlow kind."""
    if "AZUREML_NODE_COUNT" not in environ:
        return None
    index = next(
        (name for name in ("NODE_RANK", "AZ_BATCHAI_TASK_INDEX", "OMPI_COMM_WORLD_RANK") if name in environ), None
    )
    count = _number(environ, "AZUREML_NODE_COUNT")
    if index is None and count > 1:
        raise InputError(
            f"Azure ML has {count} nodes and does not say which this is",
            hint="give the job a `distribution`, which sets NODE_RANK or TF_CONFIG",
        )
    return Surroundings("Azure ML", _number(environ, index) if index else 0, count)


def _kubernetes(environ: Mapping[str, str], workers: int) -> Surroundings | None:
    if "JOB_COMPLETION_INDEX" not in environ:
        return None
    return Surroundings("the indexed Job", _number(environ, "JOB_COMPLETION_INDEX"), workers)


def _of_hosts(source: str, index: int, hosts: list[str]) -> Surroundings:
    addresses = tuple(each if ":" in each else f"{each}:{PORT}" for each in hosts)
    return Surroundings(source, index, len(hosts), addresses if len(hosts) > 1 else ())


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{where} is no JSON: {error}", hint="the service sets it: look whether something else did"
        ) from None
    if not isinstance(given, dict):
        raise InputError(f"{where} is no JSON object", hint="the service sets it: look whether something else did")
    return given


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    if not text.isdecimal():
        raise InputError(f"{name} is {text!r}, not a number", hint=f"set {name}, or none of its kind")
    return int(text)
