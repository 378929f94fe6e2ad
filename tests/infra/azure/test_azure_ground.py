"""What every stack on Azure has, as its components declare it to the strict mocks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clouds import wheels
from tests.clouds.mocks import Recorded, Resource
from tests.infra.azure.azure_stacks import (
    ACCOUNT,
    FULL,
    GROUP,
    NETWORK,
    context,
    declared,
    identity,
    theirs,
)

SHAPES = ("azure-vm", "azureml")
PROVIDER = "pulumi:providers:azure-native"


def own(seen: Recorded) -> list[Resource]:
    return [one for one in seen.resources if one.is_custom and one.type != PROVIDER]


@pytest.mark.parametrize(("stage", "preview"), [("dev", True), ("prod", False)])
@pytest.mark.parametrize("kind", SHAPES)
def test_everything_is_in_a_component_with_its_name_by_the_stacks_provider(
    kind: str, stage: str, preview: bool
) -> None:
    seen = declared(kind, stage=stage, preview=preview, **FULL)
    assert seen.one(PROVIDER).inputs["subscriptionId"] == ACCOUNT
    for one in own(seen):
        assert "::azure::" in one.provider, f"{one.name} is left to the default provider"
        if one.type != "azure-native:resources:ResourceGroup":
            assert one.name.startswith(f"{one.parent}-"), f"{one.name} in {one.parent}"


@pytest.mark.parametrize(("stage", "preview"), [("dev", True), ("prod", False)])
@pytest.mark.parametrize("kind", SHAPES)
def test_everything_that_takes_tags_has_the_stacks(kind: str, stage: str, preview: bool) -> None:
    seen = declared(kind, stage=stage, preview=preview, **FULL)
    wanted = context(kind, stage=stage, **FULL).tags
    taggable = [one for one in own(seen) if "tags" in (wheels.inputs(one.type) or {})]
    assert len(taggable) > 10
    for one in taggable:
        assert wanted.items() <= (one.inputs.get("tags") or {}).items(), one.name


@pytest.mark.parametrize("kind", SHAPES)
def test_names_of_buckets_and_registry_are_known_in_a_preview_and_the_same_later(kind: str) -> None:
    planned, made = declared(kind, preview=True), declared(kind)
    for token in ("StorageAccount", "BlobContainer", "Registry", "RoleDefinition", "RoleAssignment"):
        assert planned.of(token)
        assert {one.name for one in planned.of(token)} == {one.name for one in made.of(token)}
    names = {one.inputs["accountName"] for one in planned.of("StorageAccount")}
    assert names == {one.inputs["accountName"] for one in made.of("StorageAccount")}
    assert made.result.buckets.keep in {f"az://{name}/keep" for name in names}


def test_accounts_are_private_encrypted_and_without_keys() -> None:
    seen = declared("azure-vm", network={"allowed_ranges": ["203.0.113.0/24", "198.51.100.7/32"]})
    for account in seen.of("StorageAccount"):
        given = account.inputs
        assert (given["kind"], given["minimumTlsVersion"]) == ("StorageV2", "TLS1_2")
        assert given["enableHttpsTrafficOnly"] is True
        assert (given["allowBlobPublicAccess"], given["allowSharedKeyAccess"]) == (False, False)
        assert given["encryption"]["requireInfrastructureEncryption"] is True
        rules = given["networkRuleSet"]
        assert rules["defaultAction"] == "Deny"
        assert [one["iPAddressOrRange"] for one in rules["ipRules"]] == ["203.0.113.0/24", "198.51.100.7"]
        (subnet,) = rules["virtualNetworkRules"]
        assert subnet["virtualNetworkResourceId"].endswith("/subnets/machines")


def test_keep_has_versions_and_work_expires_by_prefix() -> None:
    seen = declared("azure-vm", retention={"work_days": 9, "versions_days": 11})
    assert seen.one("BlobServiceProperties", "storage-keep-blobs").inputs["isVersioningEnabled"] is True
    assert seen.one("BlobServiceProperties", "storage-work-blobs").inputs["isVersioningEnabled"] is False
    (old,) = seen.one("ManagementPolicy", "storage-keep-expiry").inputs["policy"]["rules"]
    assert old["definition"]["actions"] == {"version": {"delete": {"daysAfterCreationGreaterThan": 11}}}
    (gone,) = seen.one("ManagementPolicy", "storage-work-expiry").inputs["policy"]["rules"]
    assert gone["definition"]["actions"] == {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": 9}}}
    assert "work/checkpoints/" in gone["definition"]["filters"]["prefixMatch"]
    audit = seen.one("DiagnosticSetting", "storage-keep-audit").inputs
    assert [one["category"] for one in audit["logs"]] == ["StorageWrite", "StorageDelete"]


def test_data_outlives_the_stack_unless_it_is_disposable() -> None:
    lasting = (
        "StorageAccount",
        "BlobContainer",
        "azure-native:containerregistry:Registry",
        "azure-native:keyvault:Vault",
    )
    for disposable in (False, True):
        seen = declared("azureml", disposable=disposable)
        groups = [one for one in seen.of("ResourceGroup") if one.name == "group"]
        for one in [*groups, *(found for token in lasting for found in seen.of(token))]:
            assert (one.protect, one.retain_on_delete) == (not disposable, not disposable), one.name


def test_the_stacks_own_key_encrypts_in_prod() -> None:
    seen = declared("azure-vm", stage="prod")
    key = seen.one("azure-native:keyvault:Key")
    assert key.protect and key.inputs["properties"]["rotationPolicy"]["lifetimeActions"]
    assert seen.one("azure-native:keyvault:Vault").inputs["properties"]["enablePurgeProtection"] is True
    for account in seen.of("StorageAccount"):
        encryption = account.inputs["encryption"]
        assert encryption["keySource"] == "Microsoft.Keyvault"
        assert encryption["keyVaultProperties"]["keyName"] == key.inputs["keyName"]
        assert "key-use" in account.depends_on, "the account is made before it may use its key"
    assert "encryption" in seen.one("Registry", "registry-registry").inputs


def test_a_key_of_the_users_is_used_and_granted_and_not_made() -> None:
    given = f"{GROUP}/Microsoft.KeyVault/vaults/theirs/keys/data"
    seen = declared("azure-vm", answers=theirs(), encryption_key=given)
    assert not seen.of("azure-native:keyvault:Key") and not seen.of("Vault")
    assert seen.one("RoleAssignment", "key-use").inputs["scope"] == given
    properties = seen.of("StorageAccount")[0].inputs["encryption"]["keyVaultProperties"]
    assert properties == {"keyName": "data", "keyVaultUri": "https://theirs.vault.azure.net/"}


def test_nothing_comes_in_from_the_internet() -> None:
    seen = declared("azure-vm", stage="prod", **FULL)
    rules = [rule for group in seen.of("NetworkSecurityGroup") for rule in group.inputs["securityRules"]]
    inbound = [rule for rule in rules if rule["direction"] == "Inbound" and rule["access"] == "Allow"]
    assert inbound == []
    assert all(one.inputs["defaultOutboundAccess"] is False for one in seen.of("Subnet"))


def test_one_nat_in_dev_and_private_endpoints_in_prod() -> None:
    dev, prod = declared("azure-vm"), declared("azure-vm", stage="prod")
    assert len(dev.of("NatGateway")) == 1 and not dev.of("PrivateEndpoint")
    assert {one.name for one in prod.of("PrivateEndpoint")} == {
        "links-keep",
        "links-work",
        "links-registry",
        "links-vault",
    }
    assert {one.inputs["publicNetworkAccess"] for one in prod.of("StorageAccount")} == {"Disabled"}
    assert prod.one("Registry", "registry-registry").inputs["sku"] == {"name": "Premium"}
    assert dev.one("Registry", "registry-registry").inputs["sku"] == {"name": "Standard"}
    out = prod.one("NetworkSecurityGroup", "network-machines-rules").inputs["securityRules"]
    assert {rule["destinationAddressPrefix"] for rule in out if rule["direction"] == "Outbound"} == {
        "AzureResourceManager",
        "AzureMonitor",
        "Internet",
    }


def test_the_registry_takes_no_passwords() -> None:
    for stage in ("dev", "prod"):
        given = declared("azure-vm", stage=stage).one("Registry", "registry-registry").inputs
        assert (given["adminUserEnabled"], given["anonymousPullEnabled"]) == (False, False)


def test_bastion_is_opt_in_and_tunnels() -> None:
    assert not declared("azure-vm").of("BastionHost")
    host = declared("azure-vm", network={"bastion": True}).one("BastionHost").inputs
    assert (host["sku"], host["enableTunneling"], host["enableShareableLink"]) == ({"name": "Standard"}, True, False)


def test_what_is_referenced_is_not_made() -> None:
    seen = declared(
        "azure-vm",
        answers=theirs(),
        network={"id": NETWORK, "subnets": [f"{NETWORK}/subnets/machines"]},
        registry=f"{GROUP}/Microsoft.ContainerRegistry/registries/theirs",
        buckets={"keep": "az://theirs/models", "work": "az://theirs/work"},
        identities={who: identity(who) for who in ("training", "serving", "host", "reaper")},
    )
    made = {one.type.rpartition(":")[2] for one in own(seen)}
    assert not made & {"StorageAccount", "BlobContainer", "Registry", "VirtualNetwork", "Subnet", "NatGateway"}
    assert not made & {"UserAssignedIdentity", "RoleDefinition", "RoleAssignment"}, "up must need no IAM rights"
    promised = seen.result
    assert (promised.buckets.keep, promised.registry) == ("az://theirs/models", "theirs.azurecr.io")
    assert promised.identities["training"] == identity("training")
    assert promised.place["subnets"] == f"{NETWORK}/subnets/machines"
    assert promised.place["training_client_id"] == "client-of-training"


def test_secrets_are_named_and_empty_and_left_alone() -> None:
    seen = declared("azure-vm", secrets=["wandb"], endpoints={"default": {"api_keys": True}})
    entries = {one.inputs["secretName"]: one for one in seen.of("azure-native:keyvault:Secret")}
    assert set(entries) == {"wandb", "api-keys-default"}
    for one in entries.values():
        assert one.inputs["properties"]["attributes"] == {"enabled": False}
        assert one.ignore_changes == ("properties",)
    assert seen.result.secrets["wandb"].endswith("/secrets/wandb")
    reads = {
        one.inputs["scope"].rpartition("/")[2]
        for one in seen.of("RoleAssignment")
        if "/secrets/" in one.inputs["scope"]
    }
    assert reads == {"wandb", "api-keys-default"}


def test_the_budget_begins_this_month_and_stays() -> None:
    budget = declared("azureml", budget={"monthly": 50.0}, alerts={"emails": ["a@example.com"]}).one("Budget")
    assert budget.ignore_changes == ("timePeriod",)
    assert budget.inputs["timePeriod"]["startDate"].endswith("-01T00:00:00Z")
    assert {note["threshold"] for note in budget.inputs["notifications"].values()} == {50, 80, 100}
    assert "forecasted-100" in budget.inputs["notifications"]


@pytest.mark.parametrize("kind", SHAPES)
def test_outputs_are_the_contract_and_hold_no_secret(kind: str) -> None:
    seen = declared(kind, stage="prod", **FULL)
    assert (seen.result.target, seen.result.account, seen.result.region) == (kind, ACCOUNT, "eastus")
    assert set(seen.result.endpoints) == {"default", "fast"} and set(seen.result.pools) == {"default", "gpu"}
    assert seen.result.endpoints["default"].url.startswith("http")
    assert all(not one.secrets for one in seen.resources)


@pytest.mark.parametrize(
    ("more", "days", "protected"),
    [({}, 90, True), ({"disposable": True}, 7, None), ({"disposable": True, "encryption_key": "stack"}, 7, True)],
)
def test_a_vaults_name_is_held_no_longer_than_its_data_are_worth(
    more: dict[str, Any], days: int, protected: bool | None
) -> None:
    vault = declared("azure-vm", secrets=["wandb"], **more).one("azure-native:keyvault:Vault")
    properties = vault.inputs["properties"]
    assert (properties["softDeleteRetentionInDays"], properties.get("enablePurgeProtection")) == (days, protected)
    assert vault.ignore_changes == ("properties.softDeleteRetentionInDays",), "Azure refuses to change it"
