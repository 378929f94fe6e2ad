"""`skylift bootstrap` by the real engine on simulated clouds: made once, found elsewhere, completed when it broke off."""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skylift.cli import cli
from skylift.cli._errors import run
from skylift.client import projects
from skylift.client.bootstrap import Bootstrap, Place, known
from skylift.engine import find_pulumi
from skylift.errors import SkyliftError
from skylift.stack.project import Project
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.server import serve

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PLACES = {
    "aws": Place(target="ec2", region="us-east-1", account="123456789012"),
    "gcp": Place(target="gke", region="us-central1", account="example-project"),
    "azure": Place(target="aks", region="eastus", account="00000000-1111-2222-3333-444444444444"),
}
BUCKETS = {"aws": "BucketVersioning", "gcp": "gcp:storage/bucket:Bucket", "azure": "BlobContainer"}


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    simulated = SimulatedCloud()
    simulated.answers.update(_lists(simulated))
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL", "PULUMI_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    tool = find_pulumi()
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, tool.path_entries), os.environ["PATH"]]))
    with serve(simulated) as providers:
        monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", providers)
        yield simulated


def _lists(cloud: SimulatedCloud) -> dict[str, Any]:
    """What the clouds list: what is there, whoever made it."""

    def tagged(_: dict[str, Any]) -> dict[str, Any]:
        there = [*cloud.of("aws:s3/bucket:Bucket"), *cloud.of("aws:kms/key:Key")]
        listed = [{"resourceArn": one.outputs["arn"], "tags": {}, "complianceDetails": []} for one in there]
        return {"id": "x", "resourceTagMappingLists": listed}

    def buckets(_: dict[str, Any]) -> dict[str, Any]:
        there = cloud.of("gcp:storage/bucket:Bucket")
        common = {"labels": {}, "location": "l", "selfLink": "s", "storageClass": "c"}
        return {"id": "x", "project": "p", "buckets": [{"name": one.inputs["name"], **common} for one in there]}

    def rings(_: dict[str, Any]) -> dict[str, Any]:
        there = cloud.of("KeyRing")
        return {"id": "x", "location": "l", "keyRings": [{"id": one.id, "name": one.id} for one in there]}

    return {
        "aws:resourcegroupstaggingapi/getResources:getResources": tagged,
        "gcp:storage/getBuckets:getBuckets": buckets,
        "gcp:kms/getKeyRings:getKeyRings": rings,
    }


@pytest.mark.parametrize("name", PLACES)
def test_it_is_made_once_and_nothing_of_it_is_made_again(name: str, cloud: SimulatedCloud, tmp_path: Path) -> None:
    place = PLACES[name]
    first = Bootstrap(tmp_path / "here", place).up()
    made = cloud.happened("create")
    assert made and first.found == ()
    again = Bootstrap(tmp_path / "here", place)
    assert again.up() == first
    assert cloud.happened("create") == made and cloud.happened("update", "delete", "replace") == []
    assert known(tmp_path / "here", place.cloud, place.account, place.region) == first
    wish = projects.Wish(name="lab", target=place.target, region=place.region, account=place.account)
    filled = projects.with_bootstrapped(tmp_path / "here", wish)
    assert (filled.backend, filled.secrets_provider) == (first.backend, first.secrets_provider)


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_on_another_machine_it_is_found(name: str, cloud: SimulatedCloud, tmp_path: Path) -> None:
    first = Bootstrap(tmp_path / "here", PLACES[name]).up()
    made = cloud.happened("create")
    elsewhere = Bootstrap(tmp_path / "there", PLACES[name]).up()
    assert elsewhere.found == ("bucket", "key")
    assert (elsewhere.backend, elsewhere.secrets_provider) == (first.backend, first.secrets_provider)
    assert cloud.happened("create") == made


@pytest.mark.parametrize("name", PLACES)
def test_what_broke_off_is_completed(name: str, cloud: SimulatedCloud, tmp_path: Path) -> None:
    cloud.fail(BUCKETS[name], error="denied")
    with pytest.raises(SkyliftError):
        Bootstrap(tmp_path, PLACES[name]).up()
    made = Bootstrap(tmp_path, PLACES[name]).up()
    assert made.backend and cloud.of(BUCKETS[name])
    created = cloud.happened("create")
    assert len(created) == len(set(created)), "nothing was made twice"


def test_dns_of_the_simulated_azure_names_does_not_resolve() -> None:
    """Or the tests above would find what nobody made."""
    with pytest.raises(OSError):
        socket.getaddrinfo("skyliftstate00000000.blob.core.windows.net", 443)


def test_as_typed_it_prints_the_init_that_uses_what_it_made(
    cloud: SimulatedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    place = ("--target", "ec2", "--region", "us-east-1", "--account", "123456789012")
    assert run(cli, ("bootstrap", *place, "--yes", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["backend"].startswith("s3://skylift-state-123456789012-us-east-1")
    assert told["backend"] in told["init"] and told["secrets_provider"] in told["init"]
    assert run(cli, [*shlex.split(told["init"].replace("NAME", "lab"))[1:], "--yes"]) == 0
    stack = Project.find(tmp_path)
    assert stack.settings("lab").backend == told["backend"]
    assert stack.secrets_provider("lab") == told["secrets_provider"]
    capsys.readouterr()
    assert run(cli, ("bootstrap", *place, "--yes")) == 0
    assert "skylift init NAME" in capsys.readouterr().out
    cloud.credentials = "expired"
    assert run(cli, ("bootstrap", *place, "--yes")) == 7
