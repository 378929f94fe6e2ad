"""Reads from a machine's surroundings which member of a run it is: each service says it in its own way.

What each sets: SageMaker, https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html;
Vertex AI, https://cloud.google.com/vertex-ai/docs/training/distributed-training; Azure ML,
https://learn.microsoft.com/azure/machine-learning/how-to-train-distributed-gpu; Kubernetes, indexed Jobs,
https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode. A run group of machines is told by its launcher.
"""

from __future__ import annotations

import dataclasses
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
_POOLS = ("workerpool0", "workerpool1", "workerpool2")
SAGEMAKER = Path("/opt/ml/input/config/resourceconfig.json")


@dataclass(frozen=True)
class Surroundings:
    """This member's number, how many there are, and their addresses where the service tells them (else they meet in the bucket).

    Numbers go by role: the chief, the workers, the parameter servers. `ps` is how many of these there are, None where the service
    knows no roles: then the run says it.
    """

    source: str
    index: int = 0
    count: int = 1
    addresses: tuple[str, ...] = ()
    ps: int | None = None


ALONE = Surroundings("this machine")


def look(environ: Mapping[str, str], members: int, sagemaker: Path = SAGEMAKER, *, ps: int = 0) -> Surroundings:
    """Where this process stands. The first that says anything counts: our launcher, TF_CONFIG, then each service's own way.

    Args:
        members: as many as the run asks for, with its chief and parameter servers; an indexed Job does not tell.
        ps: parameter servers among them.

    Raises:
        InputError: what is said cannot be read, contradicts itself or the run.
    """
    readers: tuple[Callable[[], Surroundings | None], ...] = (
        lambda: _launcher(environ),
        lambda: _tf_config(environ),
        lambda: _vertex(environ),
        lambda: _sagemaker(sagemaker),
        lambda: _azureml(environ),
        lambda: _kubernetes(environ, members),
    )
    found = next((each for each in (read() for read in readers) if each is not None), ALONE)
    if not 0 <= found.index < found.count:
        raise InputError(
            f"{found.source} says that this is member {found.index} of {found.count}",
            hint="members are numbered from 0",
        )
    if found.count > 1 and found.count != members:
        asked = f"{members - ps - 1} workers, {ps} parameter servers and a chief" if ps else f"{members} workers"
        raise InputError(
            f"the run asks for {asked}, {found.source} has {found.count} members",
            hint=f"start {members} members" + ("" if ps else f", or a run with `--workers {found.count}`"),
        )
    if found.ps is not None and found.count > 1 and found.ps != ps:
        raise InputError(
            f"the run asks for {ps} parameter servers, {found.source} has {found.ps}",
            hint=f"start the run with `--ps {found.ps}`" if found.ps else "give the job the role of parameter servers",
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
    return Surroundings("TF_CONFIG", cluster.index, len(cluster.members), cluster.members, cluster.ps)


def _vertex(environ: Mapping[str, str]) -> Surroundings | None:
    """CLUSTER_SPEC: worker pool 0 is the chief, pool 1 has the workers, pool 2 the parameter servers; pool 3 would evaluate."""
    if not environ.get("CLUSTER_SPEC"):
        return None
    given = _json(environ["CLUSTER_SPEC"], "CLUSTER_SPEC")
    pools, own = given.get("cluster", {}), given.get("task", {})
    others = sorted(set(pools) - set(_POOLS))
    if others:
        raise InputError(f"CLUSTER_SPEC has {', '.join(others)}", hint="give the job three worker pools at the most")
    hosts = [list(pools.get(name, [])) for name in _POOLS]
    place = _POOLS.index(own.get("type", _POOLS[0]))
    index = int(own.get("index", 0)) + sum(map(len, hosts[:place]))
    found = _of_hosts("Vertex AI's CLUSTER_SPEC", index, [each for pool in hosts for each in pool])
    return dataclasses.replace(found, ps=len(hosts[2]))


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


def _kubernetes(environ: Mapping[str, str], members: int) -> Surroundings | None:
    if "JOB_COMPLETION_INDEX" not in environ:
        return None
    return Surroundings("the indexed Job", _number(environ, "JOB_COMPLETION_INDEX"), members)


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
