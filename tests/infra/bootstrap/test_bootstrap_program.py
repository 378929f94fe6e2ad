"""What `skylift bootstrap` declares, against simulated clouds."""

from __future__ import annotations

import importlib
import socket
from typing import Any

import pytest

from infra.context import Context
from skylift.stack.settings import CLOUDS, check
from tests.clouds.mocks import Recorded, provision

PLACES: dict[str, dict[str, str]] = {
    "aws": {"target": "ec2", "region": "us-east-1", "account": "123456789012"},
    "gcp": {"target": "gke", "region": "us-central1", "account": "my-project-123456"},
    "azure": {"target": "aks", "region": "eastus", "account": "00000000-0000-0000-0000-000000000000"},
}
TAGGED = "aws:resourcegroupstaggingapi/getResources:getResources"
NOBODY: dict[str, dict[str, Any]] = {
    "aws": {TAGGED: {"id": "x", "resourceTagMappingLists": []}},
    "gcp": {
        "gcp:storage/getBuckets:getBuckets": {"id": "x", "project": "p", "prefix": "s", "buckets": []},
        "gcp:kms/getKeyRings:getKeyRings": {"id": "x", "location": "l", "keyRings": []},
    },
    "azure": {},
}
STATE_BUCKETS = {
    "aws": "s3://skylift-state-123456789012-us-east-1?region=us-east-1&awssdk=v2",
    "gcp": "gs://skylift-state-my-project-123456",
    "azure": "azblob://state?storage_account=skyliftstate",
}


def run(cloud: str, *, made_here: bool = False, answers: dict[str, Any] | None = None, **settings: Any) -> Recorded:
    context = Context(settings=check({**PLACES[cloud], **settings}, "bootstrap"), stack="bootstrap")
    room = importlib.import_module(f"infra.{cloud}.bootstrap")
    return provision(lambda: vars(room.provision(context, made_here=made_here)), answers=answers or NOBODY[cloud])


@pytest.mark.parametrize("cloud", PLACES)
def test_the_urls_are_what_pulumi_takes(cloud: str) -> None:
    made = run(cloud, made_here=True).result
    assert made["backend"].startswith(STATE_BUCKETS[cloud])
    schemes = {
        "aws": "awskms://alias/skylift-state?region=us-east-1&awssdk=v2",
        "gcp": "gcpkms://projects/",
        "azure": "azurekeyvault://",
    }
    assert made["secrets_provider"].startswith(schemes[cloud])


@pytest.mark.parametrize("cloud", PLACES)
def test_what_is_made_outlives_everything(cloud: str) -> None:
    seen = run(cloud, made_here=True)
    lasting = [
        one
        for one in seen.resources
        if one.type.rpartition(":")[2] in ("Bucket", "Key", "KeyRing", "CryptoKey", "Vault", "StorageAccount")
    ]
    assert len(lasting) >= 2
    assert all(one.protect and one.retain_on_delete for one in lasting)
    assert all(one.parent for one in seen.resources if one.is_custom and not one.type.startswith("pulumi:providers:"))


def test_the_bucket_on_aws_is_closed_versioned_and_encrypted_by_the_key() -> None:
    seen = run("aws", made_here=True)
    assert seen.one("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    closed = seen.one("BucketPublicAccessBlock").inputs
    assert [
        closed[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ] == [True] * 4
    (rule,) = seen.one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == seen.one("aws:kms/key:Key").outputs["arn"]
    assert '"aws:SecureTransport": "false"' in seen.one("BucketPolicy").inputs["policy"]
    assert seen.one("aws:kms/key:Key").inputs["enableKeyRotation"] is True
    provider = seen.one("pulumi:providers:aws").inputs
    assert "123456789012" in str(provider["allowedAccountIds"])


def test_the_bucket_on_google_is_closed_and_versioned() -> None:
    bucket = run("gcp", made_here=True).one("gcp:storage/bucket:Bucket").inputs
    assert (bucket["uniformBucketLevelAccess"], bucket["publicAccessPrevention"]) == (True, "enforced")
    assert bucket["versioning"] == {"enabled": True}
    assert run("gcp", made_here=True).one("CryptoKey").inputs["rotationPeriod"] == "7776000s"


def test_the_account_on_azure_knows_no_shared_keys_and_grants_exactly_two_rights() -> None:
    seen = run("azure", made_here=True)
    account = seen.one("StorageAccount").inputs
    assert (account["allowSharedKeyAccess"], account["allowBlobPublicAccess"], account["minimumTlsVersion"]) == (
        False,
        False,
        "TLS1_2",
    )
    assert 3 <= len(account["accountName"]) <= 24 and account["accountName"].isalnum()
    assert len(seen.one("azure-native:keyvault:Vault").inputs["vaultName"]) <= 24
    scopes = [one.inputs["scope"] for one in seen.of("RoleAssignment")]
    assert len(scopes) == 2 and all("/containers/state" in one or one.endswith("/keys/state") for one in scopes)


def test_what_another_machine_made_is_left_as_it_is_on_aws() -> None:
    listed = [
        {"resourceArn": arn}
        for arn in ("arn:aws:s3:::skylift-state-123456789012-us-east-1", "arn:aws:kms:us-east-1:1:key/k")
    ]
    both = [{**one, "tags": {}, "complianceDetails": []} for one in listed]
    seen = run("aws", answers={TAGGED: {"id": "x", "resourceTagMappingLists": both}})
    assert seen.result["found"] == ("bucket", "key") or seen.result["found"] == ["bucket", "key"]
    assert {one.type for one in seen.resources} == {"pulumi:providers:aws"}
    half = run("aws", answers={TAGGED: {"id": "x", "resourceTagMappingLists": both[1:]}})
    assert list(half.result["found"]) == ["key"] and half.of("aws:s3/bucket:Bucket") and not half.of("aws:kms/key:Key")


def test_what_another_machine_made_is_left_as_it_is_on_google() -> None:
    answers = {
        "gcp:storage/getBuckets:getBuckets": {
            "id": "x", "project": "p", "prefix": "s",
            "buckets": [{"name": "skylift-state-my-project-123456", "labels": {}, "location": "l", "selfLink": "s", "storageClass": "c"}],
        },
        "gcp:kms/getKeyRings:getKeyRings": {
            "id": "x", "location": "l", "keyRings": [{"id": "i", "name": "projects/p/locations/l/keyRings/skylift-state"}],
        },
    }  # fmt: skip
    seen = run("gcp", answers=answers)
    assert list(seen.result["found"]) == ["bucket", "key"]
    assert {one.type for one in seen.resources} == {"pulumi:providers:gcp"}


def test_what_another_machine_made_is_left_as_it_is_on_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[str] = []

    def resolve(name: str, _port: int) -> list[str]:
        if not name.endswith(tuple(there)):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [name]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert list(run("azure").result["found"]) == []
    there.append("vault.azure.net")
    half = run("azure")
    assert list(half.result["found"]) == ["key"]
    assert half.of("StorageAccount") and not half.of("azure-native:keyvault:Vault") and not half.of("ResourceGroup")
    there.append("blob.core.windows.net")
    assert {one.type for one in run("azure").resources} == {"pulumi:providers:azure-native"}


@pytest.mark.parametrize("cloud", PLACES)
def test_a_long_prefix_still_makes_names_that_the_cloud_takes(cloud: str) -> None:
    seen = run(cloud, made_here=True, name_prefix="a-long-prefix-16")
    for one in seen.resources:
        name = one.inputs.get("bucket") or one.inputs.get("accountName") or one.inputs.get("name") or "x"
        assert len(str(name)) <= 63
    assert CLOUDS[PLACES[cloud]["target"]] == cloud
