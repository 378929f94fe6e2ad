"""Data outlives changed settings and `down`, as typed, on simulated clouds; for one shape of each cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skylift.engine import Engine
from skylift.errors import ConflictError
from skylift.stack.project import Project
from skylift.stack.settings import CLOUDS
from tests.clouds.conftest import Clouds
from tests.clouds.door import Door, opened
from tests.clouds.test_lifecycle import KEPT

pytestmark = pytest.mark.slow

NAME = "kept"
DIGEST = "sha256:" + "a1" * 32

DATA = {
    "aws": {"Secret", "Repository", "LifecyclePolicy"},
    "gcp": {"Bucket", "Repository", "Secret", "Service"},
    "azure": {"ResourceGroup", "StorageAccount", "BlobContainer", "BlobServiceProperties", "ManagementPolicy"}
    | {"Registry", "Vault", "Secret"},
}
"""What holds data, or says how it is kept; on AWS also everything of a bucket. A Google project's services stay on, at no price."""

NEEDED = {"azure": {"VirtualNetwork", "Subnet", "NetworkSecurityGroup"}}
"""What data needs, at no price: the firewalls of Azure's storage accounts and vaults name the subnet of the machines."""

BILLED = {"NatGateway", "PublicIPAddress", "PrivateEndpoint", "LoadBalancer", "BastionHost", "ManagedCluster"}
"""By the hour, whether anybody uses it or not."""


@pytest.fixture
def door(clouds: Clouds, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Door]:
    with opened(clouds, capsys, tmp_path / "typed") as door:
        yield door


def settings(door: Door, target: str) -> dict[str, Any]:
    world = door.cloud.world
    registry = {
        "aws": f"{world.account}.dkr.ecr.us-east-1.amazonaws.com/skylift-{NAME}",
        "gcp": f"us-central1-docker.pkg.dev/{world.project}/ours",
        "azure": "ours.azurecr.io",
    }[CLOUDS[target]]
    images = {kind: f"{registry}/{kind}@{DIGEST}" for kind in ("training", "serving")}
    return {"images": images, "secrets": ["token"]}


def there(door: Door) -> set[tuple[str, str]]:
    return {(one.kind, one.name) for one in door.cloud.own()}


def data(door: Door, cloud: str) -> set[tuple[str, str]]:
    """What must outlive the machines; not the resource group of runs, and nothing inside of clusters."""
    package = {"aws": "aws", "gcp": "gcp", "azure": "azure-native"}[cloud]
    return {
        (one.kind, one.name)
        for one in door.cloud.own()
        if one.token.startswith(f"{package}:")
        and one.name != "runs"
        and (one.kind in DATA[cloud] or (cloud == "aws" and one.kind.startswith("Bucket")))
    }


@pytest.mark.parametrize("target", ["ec2", "gke", "azure-vm"])
def test_data_goes_only_when_the_settings_say_so(door: Door, target: str) -> None:
    cloud, chosen = CLOUDS[target], settings(door, target)
    door.write(NAME, target, **chosen)
    assert door.run("up", NAME, "--yes").code == 0
    whole, kept, log = there(door), data(door, cloud), list(door.cloud.log)
    promised = Engine(Project(door.root), NAME).outputs()

    # A changed beginning of all names would make buckets anew.
    door.write(NAME, target, **{**chosen, "images": {}}, name_prefix="another")
    refused = door.run("up", NAME, "--yes")
    assert refused.code == ConflictError.exit_code, refused.text
    assert "a changed setting would replace" in refused.text and "would be lost" in refused.text
    assert "`skylift:disposable: true` in stacks/Pulumi.kept.yaml" in refused.text and "Traceback" not in refused.text

    door.write(NAME, target, **chosen)
    protected = door.run("down", NAME, "--yes")
    assert protected.code == ConflictError.exit_code, protected.text
    assert "protected" in protected.text and "skylift down kept --compute" in protected.text
    assert door.cloud.log == log, "what was refused has changed nothing"

    ended = door.run("down", NAME, "--compute", "--yes")
    assert ended.code == 0, ended.text
    assert kept <= there(door)
    assert {one for one in door.kept(NAME) if one[0] not in NEEDED.get(cloud, ())} == kept

    assert not {one[0] for one in there(door)} & BILLED
    assert Engine(Project(door.root), NAME).outputs() == promised, "what is kept is found by them"

    again = door.run("up", NAME, "--yes")
    assert again.code == 0, again.text
    assert there(door) == whole

    door.write(NAME, target, **chosen, disposable=True)
    assert door.run("up", NAME, "--yes").code == 0
    gone = door.run("down", NAME, "--yes")
    assert gone.code == 0, gone.text
    assert {one for one in there(door) if one[0] not in KEPT} == set()


def test_what_data_holds_on_to_is_let_go_in_production_too(door: Door) -> None:
    """With a key of the stack's own and private endpoints, whose firewalls and links all name the network; twice, for it may be typed
    again."""
    chosen = {**settings(door, "azure-vm"), "stage": "prod"}
    door.write(NAME, "azure-vm", **chosen)
    up = door.run("up", NAME, "--yes")
    assert up.code == 0, up.text
    whole = there(door)
    assert {one[0] for one in whole} >= {"NatGateway", "PrivateEndpoint"}
    for _ in range(2):
        ended = door.run("down", NAME, "--compute", "--yes")
        assert ended.code == 0, ended.text
        assert not {one[0] for one in there(door)} & BILLED
    assert door.run("up", NAME, "--yes").code == 0
    assert there(door) == whole
