"""The `local` target: folders as buckets, supervised processes as endpoints."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pulumi

import skylift
from infra.local.endpoint import Endpoint
from infra.local.storage import Buckets
from skylift.stack import outputs as contract
from skylift.stack.local import LocalFolders
from skylift.stack.settings import Settings

SETTLED = 60.0
"""A new version is asked for twice a second; what takes time is to load TensorFlow [s]."""


def provision(settings: Settings, stack: str, root: Path) -> pulumi.Output[contract.Outputs]:
    """Declare everything that a local stack has."""
    folders = LocalFolders(root, stack)
    buckets = Buckets("buckets", settings=settings.buckets, folders=folders, delete_data=settings.disposable)
    endpoints = {
        name: Endpoint(
            name, settings=wanted, folders=folders, keep=buckets.keep, work=buckets.work, release=skylift.__version__
        )
        for name, wanted in sorted(settings.endpoints.items())
    }
    urls = pulumi.Output.all(**{name: endpoint.url for name, endpoint in endpoints.items()})
    return pulumi.Output.all(keep=buckets.keep, work=buckets.work, urls=urls).apply(
        lambda known: contract.Outputs(
            contract=contract.CONTRACT,
            target="local",
            buckets=contract.Buckets(keep=known["keep"], work=known["work"]),
            endpoints={
                name: contract.EndpointOutput(url=url, settled=SETTLED) for name, url in sorted(known["urls"].items())
            },
            pools={"default": this_machine()},
        )
    )


def this_machine() -> contract.PoolOutput:
    """The one pool: the CPUs that this process may use, and the memory that is built in."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return contract.PoolOutput(accelerator="cpu", cpus=cpus, memory=round(psutil.virtual_memory().total / 2**30, 1))
