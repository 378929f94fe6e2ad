"""Group sizes belong to launchers and autoscalers: with a run at work and replicas scaled, `refresh` and `up` leave both alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skylift.engine import Engine
from skylift.errors import ConflictError
from skylift.stack.outputs import Template
from skylift.stack.project import Project
from skylift.stack.settings import CLOUDS
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.conftest import Clouds
from tests.clouds.door import opened
from tests.clouds.relations import Stored

pytestmark = pytest.mark.slow

NAME = "sizes"
MARKS = {"skylift-stack": NAME, "skylift-run": "20260102t030405z-abcd", "skylift-end": "20260103t030405z"}
"""By these the reaper knows a run group: docs/boot.md."""


def aws_group(cloud: SimulatedCloud, template: Template) -> Stored:
    name = f"skylift-{NAME}-run-abcd"
    tags = [{"key": key, "value": value, "propagateAtLaunch": True} for key, value in MARKS.items()]
    sizes = {"minSize": 0, "maxSize": 2, "desiredCapacity": 2}
    launch = {"launchTemplate": {"id": template.id, "version": "1"}}
    return cloud.existing("aws:autoscaling/group:Group", name, {"name": name, **sizes, **launch, "tags": tags})


def google_group(cloud: SimulatedCloud, template: Template) -> Stored:
    name = f"skylift-{NAME}-run-abcd"
    path = f"projects/{cloud.world.project}/regions/{cloud.world.google_region}/instanceGroupManagers/{name}"
    versions = [{"instanceTemplate": template.id}]
    inputs = {"name": name, "versions": versions, "targetSize": 2, "allInstancesConfig": {"labels": MARKS}}
    return cloud.existing("gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager", path, inputs)


def azure_group(cloud: SimulatedCloud, template: Template) -> Stored:
    runs = cloud.one("ResourceGroup", "runs").id
    body = copy.deepcopy(template.body)
    body["sku"]["capacity"] = 2
    body["tags"] |= MARKS
    path = f"{runs}/providers/Microsoft.Compute/virtualMachineScaleSets/run-abcd"
    return cloud.existing("azure-native:compute:VirtualMachineScaleSet", path, body)


def job_set(cloud: SimulatedCloud, template: Template) -> Stored:
    spec = {
        "replicatedJobs": [{"name": "run", "replicas": 1, "template": {"spec": {"template": {"spec": template.body}}}}]
    }
    metadata = {"name": "run-abcd", "namespace": "skylift", "labels": MARKS}
    token = "kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"
    return cloud.existing(token, "skylift/run-abcd", {"metadata": metadata, "spec": spec})


@dataclass(frozen=True)
class Case:
    """One target: its accelerator, how a launcher makes a run group, and which sizes autoscalers change: kind, name, path."""

    target: str
    launched: Callable[[SimulatedCloud, Template], Stored]
    sizes: tuple[tuple[str, str, str], ...]
    accelerator: str = "L4"


REPLICAS = ("Deployment", "cluster-workloads-default-deployment", "spec.replicas")

CASES = [
    Case("ec2", aws_group, (("Group", "machines-default-group", "desiredCapacity"),)),
    Case("gce", google_group, (("RegionInstanceGroupManager", "vm-serve-default-group", "targetSize"),)),
    Case("azure-vm", azure_group, (("VirtualMachineScaleSet", "machines-default-set", "sku.capacity"),), "T4"),
    Case("aks", job_set, (("AgentPool", "cluster-pool-gpu-0-nodes", "count"), REPLICAS), "T4"),
]


def settings_of(case: Case, clouds: Clouds) -> dict[str, Any]:
    world = clouds.cloud.world
    registry = {
        "aws": f"{world.account}.dkr.ecr.us-east-1.amazonaws.com/skylift-{NAME}",
        "gcp": f"us-central1-docker.pkg.dev/{world.project}/ours",
        "azure": "ours.azurecr.io",
    }[CLOUDS[case.target]]
    return {
        "disposable": True,
        "pools": {"gpu": {"accelerator": case.accelerator, "max_machines": 2}},
        "images": {kind: f"{registry}/{kind}@sha256:{'a1' * 32}" for kind in ("training", "serving")},
    }


def sizes(case: Case, cloud: SimulatedCloud) -> list[object]:
    found = []
    for kind, name, path in case.sizes:
        at: Any = cloud.one(kind, name).inputs
        for step in path.split("."):
            at = at.get(step)
        found.append(at)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.target)
def test_with_a_run_at_work_and_replicas_scaled_nothing_is_taken_back(
    case: Case, clouds: Clouds, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cloud = clouds.cloud
    with opened(clouds, capsys, tmp_path / "typed") as door:
        door.write(NAME, case.target, **settings_of(case, clouds))
        assert door.run("up", NAME, "--yes").code == 0
        template = Engine(Project(door.root), NAME).outputs().pools["gpu"].templates[0]
        run = case.launched(cloud, template)
        was = copy.deepcopy(run)
        for kind, name, path in case.sizes:
            cloud.drift(kind, path, 3, name)
        log = list(cloud.log)

        looked = door.run("refresh", NAME, "--expect-no-changes")
        assert looked.code == 0 and "no drift" in looked.out, looked.text
        assert door.run("preview", NAME, "--expect-no-changes").code == 0
        assert cloud.log == log and sizes(case, cloud) == [3] * len(case.sizes)

        # A changed setting reaches the groups themselves, and still not their sizes.
        door.write(NAME, case.target, **settings_of(case, clouds), owner="another")
        changed = door.run("up", NAME, "--yes")
        # Labels are a template's, and Google keeps a template that a group is made from.
        assert changed.code == (ConflictError.exit_code if case.target == "gce" else 0), changed.text
        assert sizes(case, cloud) == [3] * len(case.sizes)
        assert run == was and run.id not in {one.id for one in cloud.log}

        if case.target == "gce":
            assert "still in use" in changed.err and "skylift up sizes" in changed.err
            del cloud.resources[run.token, run.id]
            assert door.run("up", NAME, "--yes").code == 0
            assert door.run("preview", NAME, "--expect-no-changes").code == 0
