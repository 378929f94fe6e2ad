"""Bad input, as typed: one error that names setting, value and what would work, before anything is made on the simulated clouds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skylift.errors import CredentialsError, QuotaError, SettingsError
from skylift.stack.settings import CLOUDS, KINDS
from tests.clouds.conftest import Clouds
from tests.clouds.door import Door, Said, opened

pytestmark = pytest.mark.slow

TARGETS = ("ec2", "eks", "sagemaker", "gce", "gke", "vertex", "azure-vm", "aks", "azureml")
ONE_EACH = ("ec2", "gce", "azure-vm")
DIGEST = "sha256:" + "a1" * 32


@pytest.fixture
def door(clouds: Clouds, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Door]:
    with opened(clouds, capsys, tmp_path / "typed") as door:
        yield door


def refused(door: Door, name: str, kind: type[Any], *says: str) -> Said:
    """`up` of a stack ends with the exit code of its kind, says all of this and no traceback, and nothing happened on the cloud."""
    said = door.run("up", name, "--yes")
    assert said.code == kind.exit_code, said.text
    missing = [one for one in says if one not in said.text]
    assert not missing, said.text
    assert said.err.startswith("Error: ") and "\n  Fix: " in said.err
    assert "Traceback" not in said.text
    assert door.cloud.log == []
    return said


# What the settings tell by themselves

REGION: dict[str, tuple[str, str, str, str]] = {
    "aws": ("eu-south-2", "A10G", "has no A10G in eu-south-2", "eu-central-1"),
    "gcp": ("us-west4", "A100-80GB", "has no A100-80GB in us-west4", "us-central1"),
    "azure": ("eastsu", "T4", "no region 'eastsu'", "did you mean 'eastus'"),
}
"""Region, accelerator, what is said of them, what would work. Which region of Azure sells what the catalog does not know."""

MACHINE = {
    "aws": ("g4dn.xlagre", "g4dn.xlarge"),
    "gcp": ("n1-standrad-4", "n1-standard-4"),
    "azure": ("Standard_NC4as_T4_v33", "Standard_NC4as_T4_v3"),
}
"""A machine type mistyped, and the right one."""


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_file_tells_by_itself_is_refused_without_asking_anybody(door: Door, target: str) -> None:
    cloud = CLOUDS[target]
    region, accelerator, lacks, instead = REGION[cloud]
    door.write("place", target, region=region, pools={"big": {"accelerator": accelerator, "count": 1}})
    refused(door, "place", SettingsError, "skylift:region", f"'{region}'", lacks, instead)

    wrong, right = MACHINE[cloud]
    door.write("machine", target, pools={"gpu": {"accelerator": "T4", "machines": [wrong]}})
    refused(door, "machine", SettingsError, "skylift:pools.gpu.machines", wrong, right)

    door.write("spot", target, pools={"gpu": {"accelerator": "T4", "spot": True, "checkpoint_minutes": 0}})
    refused(door, "spot", SettingsError, "skylift:pools.gpu.checkpoint_minutes = 0", "give minutes, or spot: false")

    door.write("ranges", target, network={"cidr": "10.8.0.0/16", "allowed_ranges": ["10.8.3.0/24"]})
    says = ("skylift:network.allowed_ranges", "'10.8.3.0/24'", "10.8.0.0/16", "name ranges outside")
    refused(door, "ranges", SettingsError, *says)

    door.write("open", target, endpoints={"web": {"exposure": "public"}})
    fix = (
        "iam or private" if KINDS[target] == "managed" else "give endpoints.web.certificate and endpoints.web.hostname"
    )
    refused(door, "open", SettingsError, "skylift:endpoints.web.exposure = 'public'", fix)
    assert door.cloud.asked == []


# What only the cloud tells

OTHERS = {"ec2": "999999999999", "gce": "another-project", "azure-vm": "00000000-1111-2222-3333-999999999999"}


@pytest.mark.parametrize("target", ONE_EACH)
def test_another_account_is_not_touched(door: Door, target: str) -> None:
    other = OTHERS[target]
    door.write("guarded", target, account=other)
    fixes = {"ec2": "AWS_PROFILE", "gce": "gcloud projects list", "azure-vm": "az account list"}
    refused(door, "guarded", SettingsError, "skylift:account", other, fixes[target])


@pytest.mark.parametrize("target", ONE_EACH)
def test_who_is_not_signed_in_or_no_longer_is_told_the_command(door: Door, target: str) -> None:
    commands = {"ec2": "aws sso login", "gce": "gcloud auth application-default login", "azure-vm": "az login"}
    door.write("signed", target)
    door.cloud.credentials = "missing"
    first = refused(door, "signed", CredentialsError)
    assert "signed in" in first.text or "az login" in first.text
    door.cloud.credentials = "expired"
    second = refused(door, "signed", CredentialsError, "expired", commands[target])
    assert first.text != second.text


@pytest.mark.parametrize("target", ONE_EACH)
def test_a_name_that_is_too_long_names_what_to_shorten(door: Door, target: str) -> None:
    name = "a-stack-whose-name-nobody-would-want-to-type-twice-in-a-day"
    door.write(name, target, name_prefix="department-of-ml")
    refused(door, name, SettingsError, "shorten skylift:name_prefix ('department-of-ml'), the stack's name", name)


GROUP = "/subscriptions/{}/resourceGroups/ours/providers"
THEIRS = GROUP.format("00000000-1111-2222-3333-444444444444")
NETWORK = f"{THEIRS}/Microsoft.Network/virtualNetworks/none"
KEY = "projects/example-project/locations/us-central1/keyRings/none/cryptoKeys/none"
ABSENT: dict[str, dict[str, Any]] = {
    "ec2": {
        "network": {"id": "vpc-0123456789abcdef0", "subnets": ["subnet-0123456789abcdef0"]},
        "buckets": {"keep": "s3://nobody-has-this"},
    },
    "gce": {"buckets": {"keep": "gs://nobody-has-this"}, "encryption_key": KEY},
    "azure-vm": {
        "network": {"id": NETWORK, "subnets": [f"{NETWORK}/subnets/a"]},
        "registry": f"{THEIRS}/Microsoft.ContainerRegistry/registries/none",
    },
}
"""References to what does not exist."""


@pytest.mark.parametrize("target", ONE_EACH)
def test_what_is_not_there_is_named_with_its_setting_all_at_once(door: Door, target: str) -> None:
    door.write("absent", target, **ABSENT[target])
    said = {
        "ec2": ("skylift:network.id", "vpc-0123456789abcdef0", "is not a VPC of account 123456789012 in us-east-1",
                "skylift:network.subnets", "skylift:buckets.keep", "s3://nobody-has-this", "does not exist"),
        "gce": ("skylift:buckets.keep", "gs://nobody-has-this", "is not there", "skylift:encryption_key", "keyRings/none"),
        "azure-vm": ("skylift:network.id", "virtualNetworks/none", "give a virtual network, or leave it out",
                     "skylift:registry", "registries/none", "give a container registry, or leave it out"),
    }  # fmt: skip
    refused(door, "absent", SettingsError, *said[target])


FOREIGN: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "ec2": (
        {"identities": {"training": "arn:aws:iam::999999999999:role/trainer"}},
        ("skylift:identities.training", "arn:aws:iam::999999999999:role/trainer", "account 123456789012"),
    ),
    "gce": (
        {"identities": {"training": "trainer@another-project.iam.gserviceaccount.com"}},
        ("skylift:identities.training", "belongs to project another-project, not to example-project"),
    ),
    "azure-vm": (
        {"identities": {"training": f"{GROUP.format(OTHERS['azure-vm'])}/Microsoft.ManagedIdentity/userAssignedIdentities/t"}},
        ("skylift:identities.training", "belongs to subscription 00000000-1111-2222-3333-999999999999"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("target", ONE_EACH)
def test_what_belongs_to_another_account_is_not_used(door: Door, target: str) -> None:
    given, says = FOREIGN[target]
    door.write("foreign", target, **given)
    refused(door, "foreign", SettingsError, *says)


def no_quota(door: Door) -> None:
    """No accelerator may be had on any cloud."""
    door.cloud.quota |= dict.fromkeys(("L-DB2E81BA", "L-3819A6DF", "Standard NCASv3_T4 Family"), 0.0)
    door.cloud.answers["gcp:cloudquota/getSQuotaInfo:getSQuotaInfo"] = lambda asked: {
        "id": "quota",
        **{key: asked[key] for key in ("parent", "service", "quotaId")},
        "dimensions": ["region"],
        "dimensionsInfos": [
            {
                "applicableLocations": ["us-central1"],
                "dimensions": {"region": "us-central1"},
                "details": [{"value": "0"}],
            }
        ],
    }


@pytest.mark.parametrize("target", ["ec2", "gce", "azure-vm", "azureml"])
def test_a_quota_of_zero_offers_the_cpu(door: Door, target: str) -> None:
    no_quota(door)
    door.write("quota", target, pools={"gpu": {"accelerator": "T4"}})
    says = ("skylift:pools.gpu.accelerator", "quota", "is 0", "ask for more", "cpu")
    refused(door, "quota", SettingsError, *says)


def test_a_quota_that_is_used_up_is_told_when_machines_are_made(door: Door) -> None:
    """Only a limit of zero is seen before; `up` then goes on."""
    image = f"ours.azurecr.io/skylift/serving@{DIGEST}"
    door.write("quota", "azure-vm", endpoints={"web": {"accelerator": "T4"}}, images={"serving": image}, disposable=True)  # fmt: skip
    door.cloud.fail("VirtualMachineScaleSet", error="quota")
    said = door.run("up", "quota", "--yes")
    assert said.code == QuotaError.exit_code, said.text
    assert "standardNCASv3_T4Family Cores quota" in said.text and "`accelerator: cpu`" in said.text
    assert "Traceback" not in said.text
    assert door.run("up", "quota", "--yes").code == 0
    assert door.cloud.of("VirtualMachineScaleSet")
