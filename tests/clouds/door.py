"""Skylift as people use it, its command line in this process, upon a simulated cloud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from skylift import assets
from skylift.cli import _errors, cli
from skylift.engine import Engine
from skylift.stack.project import Project
from skylift.stack.settings import CLOUDS
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.conftest import Clouds
from tests.clouds.engine import ROOT

REGIONS: Final = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All of it on one line."""
        return " ".join(f"{self.out} {self.err}".split())


class Door:
    """A project in a folder of its own, and the commands that are typed in it."""

    def __init__(self, clouds: Clouds, capsys: pytest.CaptureFixture[str], root: Path) -> None:
        self.clouds = clouds
        self.root = root
        self._capsys = capsys
        (root / "stacks").mkdir(parents=True)
        for file in ("Pulumi.yaml", "__main__.py"):
            (root / file).write_bytes(assets.path(file).read_bytes())

    @property
    def cloud(self) -> SimulatedCloud:
        return self.clouds.cloud

    def write(self, name: str, target: str, **settings: Any) -> None:
        """A stack's file: target, region and account, and what is given; None leaves one of them out."""
        least = {"target": target, "region": REGIONS[CLOUDS[target]], "account": account(self.cloud, target)}
        chosen = {f"skylift:{key}": value for key, value in {**least, **settings}.items() if value is not None}
        path = self.root / "stacks" / f"Pulumi.{name}.yaml"
        known = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(yaml.safe_dump({**known, "config": chosen}), encoding="utf-8")

    def run(self, *arguments: str) -> Said:
        """Type `skylift …` in the project's folder."""
        code = _errors.run(cli, arguments)
        out, err = self._capsys.readouterr()
        return Said(code, out, err)

    def kept(self, name: str) -> list[tuple[str, str]]:
        """Kind and name of what is in a stack's state."""
        found = Engine(Project(self.root), name).resources()
        return [(kind.rpartition(":")[2], one) for kind, one in found]


def account(cloud: SimulatedCloud, target: str) -> str:
    """The simulated account that a target works in."""
    world = cloud.world
    return {"aws": world.account, "gcp": world.project, "azure": world.subscription}[CLOUDS[target]]


@contextmanager
def opened(clouds: Clouds, capsys: pytest.CaptureFixture[str], root: Path) -> Iterator[Door]:
    """A door, with this process's environment as a user's would be, and its providers simulated."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PULUMI_BACKEND_URL", "PULUMI_STACK", "PULUMI_CONFIG_PASSPHRASE_FILE", "SKYLIFT_STACK"):
            patch.delenv(name, raising=False)
        chosen = {
            "PULUMI_HOME": str(root / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "simulated",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_PROVIDERS": clouds.providers,
            "PYTHONPATH": str(ROOT),
            **clouds.variables,
        }
        for name, value in chosen.items():
            patch.setenv(name, value)
        door = Door(clouds, capsys, root / "project")
        patch.chdir(door.root)
        yield door
