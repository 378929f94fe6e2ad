"""The workloads under the real engine, against a simulated cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.engine import find_pulumi
from tests.clouds import server
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.engine import Stack, project_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

PROGRAM = """
from infra import lazy

lazy.install()

import pulumi

from infra.kubernetes.workloads import Workloads
from tests.kubernetes import program

changes = {changes}
made = Workloads("workloads", program.arguments(**changes))
for name, url in made.urls.items():
    pulumi.export(name, url)
"""
DEPLOYMENT = "kubernetes:apps/v1:Deployment"


@pytest.fixture
def cluster() -> SimulatedCloud:
    return SimulatedCloud()


@pytest.fixture
def stack(cluster: SimulatedCloud, tmp_path: Path) -> Iterator[Stack]:
    with server.serve(cluster) as providers:
        yield project_of(tmp_path / "stack", "test", find_pulumi(), providers, PROGRAM.format(changes="{}"))


def rewrite(stack: Stack, changes: str) -> None:
    (stack.root / "__main__.py").write_text(PROGRAM.format(changes=changes), encoding="utf-8")


def test_they_come_change_in_place_and_go(stack: Stack, cluster: SimulatedCloud) -> None:
    assert {step.op for step in stack.preview().changes} == {"create"}
    made = stack.up()
    assert {step.op for step in made.changes} == {"create"}
    assert stack.outputs()["tabular"] == "http://tabular.team-vision.svc"
    assert stack.outputs()["digits"].startswith("https://")
    assert stack.up().changes == []

    # The autoscaler is at work: no drift that `up` would undo.
    cluster.drift(DEPLOYMENT, "spec.replicas", 5, "workloads-tabular-deployment")
    stack.refresh()
    assert stack.up().changes == []

    rewrite(stack, "{'serving_image': program.IMAGE.replace('a' * 64, 'b' * 64)}")
    assert sorted(stack.up().ops()) == [
        "update Deployment workloads-digits-deployment",
        "update Deployment workloads-tabular-deployment",
    ]

    rewrite(stack, "{'serving_image': None}")
    gone = stack.up().changes
    assert {step.op for step in gone} == {"delete"}
    assert all(step.name.startswith(("workloads-tabular", "workloads-digits")) for step in gone)

    stack.destroy()
    assert cluster.own() == []


def test_a_failure_halfway_is_completed_by_the_next_up(stack: Stack, cluster: SimulatedCloud) -> None:
    cluster.fail(DEPLOYMENT, error="halfway", name="workloads-digits-deployment")
    assert stack.up(check=False).code != 0
    assert {step.op for step in stack.up().changes} <= {"create", "update"}
    assert stack.up().changes == []
    stack.destroy()
    assert cluster.own() == []
