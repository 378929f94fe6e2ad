"""`skylift permissions` as a person uses it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from skylift import assets
from skylift.client.permissions import PERSONS
from skylift.stack import settings
from tests.cli.conftest import Ended

CLOUDY = [target for target in settings.TARGETS if target != "local"]
FILLED = "Pulumi.lab.yaml"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a project with one stack of a target."""

    def make(target: str) -> Path:
        (tmp_path / "Pulumi.yaml").write_bytes(assets.path("Pulumi.yaml").read_bytes())
        (tmp_path / "stacks").mkdir()
        (tmp_path / "stacks" / FILLED).write_bytes(assets.path(f"stacks/Pulumi.example-{target}.yaml").read_bytes())
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


@pytest.mark.parametrize("target", ["ec2", "gce", "aks"])
def test_files_and_the_commands_that_use_them(
    skylift: Callable[..., Ended], lab: Callable[[str], Path], target: str
) -> None:
    folder = lab(target) / "for the boss"
    said = skylift("permissions", "lab", "--as", "up", "--out", str(folder))
    assert said.code == 0 and said.out.startswith(f"cd '{folder}'\nWHO=")
    there = {path.name for path in folder.iterdir()}
    assert there == set(re.findall(r"[\w-]+\.(?:json|txt)", said.out))
    for path in folder.glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))


def test_what_fits_is_one_document_and_what_does_not_a_list(
    skylift: Callable[..., Ended], lab: Callable[[str], Path]
) -> None:
    lab("ec2")
    assert skylift("permissions", "lab", "--as", "predict").document["Version"] == "2012-10-17"
    said = skylift("permissions", "lab", "--as", "up")
    assert [one["name"] for one in said.document] == ["skylift-lab-up-1", "skylift-lab-up-2", "skylift-lab-up-3"]
    assert "--out FOLDER" in said.err
    found = skylift("permissions", "lab", "--as", "up", "--json").document
    assert found["documents"] == said.document and found["grants"] and found["commands"]


def test_who_needs_nothing_of_the_cloud_is_told_so(skylift: Callable[..., Ended], lab: Callable[[str], Path]) -> None:
    lab("azure-vm")
    assert skylift("permissions", "lab", "--as", "predict").out == (
        "predict on lab: nothing that the cloud would have to allow\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", CLOUDY)
def test_everybody_on_every_target(skylift: Callable[..., Ended], lab: Callable[[str], Path], target: str) -> None:
    lab(target)
    for person in PERSONS:
        found = skylift("permissions", "lab", "--as", person, "--json").document
        assert found["cloud"] == settings.CLOUDS[target] and found["documents"]
        assert person == "up" or found["commands"][0].startswith(f"# Whoever stands in skylift:access.{person}")
