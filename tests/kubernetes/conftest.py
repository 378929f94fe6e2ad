"""The control plane that slow tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes import controller, program
from tests.kubernetes import plane as planes

FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount")
LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """A real control plane with simulated nodes: two for CPU work, one with GPUs, one of another pool."""
    lacking = planes.missing()
    if lacking:
        pytest.skip(lacking)
    folder: Path = tmp_path_factory.mktemp("plane")
    with planes.running(folder) as running:
        client = running.client()
        for made in (
            planes.node("cpu-a", "zone-a", {}),
            planes.node("cpu-b", "zone-b", {}),
            planes.node("t4-a", "zone-a", {"skylift.dev/pool": "t4", "skylift.dev/gpu": "true"}, gpus=4),
            planes.node("h100-a", "zone-a", {"skylift.dev/pool": "h100", "skylift.dev/gpu": "true"}, gpus=8),
        ):
            client.create(made)
        yield running


@pytest.fixture(scope="session")
def objects() -> list[dict[str, Any]]:
    """The workloads, as the API server gets them."""
    return program.manifests(program.workloads())


@pytest.fixture(scope="session")
def cluster(plane: planes.Plane, objects: list[dict[str, Any]]) -> Iterator[planes.Client]:
    """The control plane with the workloads in it and the controller of JobSet beside it."""
    client = plane.client()
    for one in sorted(objects, key=_turn):
        client.apply(one)
    named = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    deployment = named["Deployment", "jobset-controller-manager"]
    with controller.running(plane, deployment, named["ConfigMap", "jobset-manager-config"]):
        yield client


def _turn(manifest: dict[str, Any]) -> int:
    kind = manifest["kind"]
    return FIRST.index(kind) if kind in FIRST else len(FIRST) + (kind in LAST)
