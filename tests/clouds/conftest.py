"""Simulated clouds for tests that drive the real engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from skylift.engine import Tool, find_pulumi, official
from skylift.errors import UnreachableError
from tests.clouds import arm, server, vertex
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.engine import Stack, project_of


@dataclass(frozen=True)
class Clouds:
    """A running simulation: the account to look at, and what the engine needs to find it."""

    cloud: SimulatedCloud
    providers: str
    tool: Tool
    folder: Path
    vertex: vertex.Vertex
    arm: arm.Arm
    variables: dict[str, str]
    """Leads stacks to the simulated services that they call themselves."""

    def program(self, text: str, name: str = "test") -> Stack:
        """A stack of a program of its own."""
        return project_of(self.folder / name, name, self.tool, self.providers, text)


@pytest.fixture(scope="session")
def tool() -> Tool:
    """The engine on PATH, in the cache, or built (which takes minutes once)."""

    def unreachable() -> None:
        raise UnreachableError("tests do not leave this machine")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "require_reachable", unreachable)
        return find_pulumi()


@pytest.fixture
def clouds(tool: Tool, tmp_path: Path) -> Iterator[Clouds]:
    """A simulated cloud of one's own, gone after the test."""
    cloud = SimulatedCloud()
    with (
        server.serve(cloud) as providers,
        vertex.serve(cloud) as (service, variables),
        arm.serve(cloud) as (manager, more),
    ):
        yield Clouds(cloud, providers, tool, tmp_path, service, manager, variables | more)


@pytest.fixture
def stack(clouds: Clouds) -> Callable[[str], Stack]:
    return clouds.program
