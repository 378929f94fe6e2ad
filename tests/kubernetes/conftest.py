"""The control plane that slow tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import plane as planes


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """A real control plane with fake nodes: two for CPU work, one with GPUs, one of another pool."""
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
