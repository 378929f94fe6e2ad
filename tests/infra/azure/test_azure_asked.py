"""What Azure's resource manager is asked before anything is made: quotas, and where an address leads. The manager is simulated."""

from __future__ import annotations

from typing import Any

import pytest

from infra.azure import roles
from infra.azure.asking import Answers
from infra.azure.grants import grants
from skylift.errors import SettingsError
from tests.clouds import arm
from tests.clouds.cloud import SimulatedCloud
from tests.infra.azure.azure_stacks import GROUP, REGISTRY, account, context, declared, theirs

T4 = "Standard NCASv3_T4 Family"
STORAGE = f"{GROUP}/Microsoft.Storage/storageAccounts/theirs/blobServices/default/containers"


def refused(cloud: SimulatedCloud, kind: str = "azure-vm", **more: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        declared(kind, cloud=cloud, **more)
    return raised.value.message


def without(code: str) -> SimulatedCloud:
    cloud = account()
    cloud.quota[code] = 0
    return cloud


@pytest.mark.parametrize("kind", ["azure-vm", "aks", "azureml"])
def test_a_quota_of_zero_is_told_before_anything_is_made(kind: str) -> None:
    said = refused(without(T4), kind, pools={"gpu": {"accelerator": "T4"}})
    assert "skylift:pools.gpu.accelerator = 'T4'" in said and f"{T4} vCPUs" in said and "in eastus is 0" in said
    assert "set `accelerator: cpu`" in said


def test_interruptible_machines_count_against_their_own_quota() -> None:
    pools = {"gpu": {"accelerator": "T4", "spot": True}}
    assert "Total Regional Low-priority vCPUs" in refused(without("lowPriorityCores"), pools=pools)
    assert declared("azure-vm", cloud=without(T4), pools=pools).of("ResourceGroup")


def test_an_endpoint_has_the_same_limit() -> None:
    said = refused(without(T4), endpoints={"web": {"accelerator": "T4"}})
    assert "skylift:endpoints.web.accelerator = 'T4'" in said


def test_what_wants_no_accelerator_asks_for_no_quota() -> None:
    declared("azure-vm", cloud=without(T4))


@pytest.mark.parametrize(
    ("row", "limit"),
    [
        ({"name": {"value": "standardNCASv3_T4Family", "localizedValue": "Standard NCASv3_T4 Family vCPUs"}}, 0),
        ({"name": {"value": "x", "localizedValue": "Standard NCASv3_T4 Family Cluster Dedicated vCPUs"}}, 0),
        ({"name": {"value": T4}, "type": "Microsoft.MachineLearningServices/workspaces/usages"}, None),
        ({"name": {"value": T4}, "limit": -1}, -1),
        ({"name": {"value": "standardNCFamily"}}, None),
    ],
)
def test_a_family_is_known_by_any_of_its_names(
    monkeypatch: pytest.MonkeyPatch, row: dict[str, Any], limit: int | None
) -> None:
    """Rows of single workspaces are of nobody else, and -1 means without limit."""
    monkeypatch.setattr(Answers, "listed", lambda *_: [{"limit": 0, **row}])
    if limit == 0:
        assert "is 0" in refused(account(), pools={"gpu": {"accelerator": "T4"}})
    else:
        declared("azure-vm", cloud=account(), pools={"gpu": {"accelerator": "T4"}})


def test_who_may_not_ask_goes_on_with_a_note(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(arm.Arm, "answer", lambda *_: (403, {"error": {"message": "no right to look"}}))
    more: dict[str, Any] = {"pools": {"gpu": {"accelerator": "T4"}}, "registry": REGISTRY}
    seen = declared("azure-vm", cloud=without(T4), **more)
    assert "not looked at before anything is made: the quotas of accelerators (not allowed: no right" in caplog.text
    assert "skylift:registry: Azure did not tell where that is" in caplog.text
    assert not [one for one in seen.of("RoleAssignment") if "registries" in one.inputs["scope"]]


def test_the_token_is_nowhere_in_what_is_made_or_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    seen = declared("azure-vm", cloud=account(), registry=REGISTRY, pools={"gpu": {"accelerator": "T4"}})
    assert arm.TOKEN not in repr(seen) and arm.TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"buckets": {"keep": "az://nobodys/models"}}, "skylift:buckets.keep = 'az://nobodys/models': subscription"),
        ({"buckets": {"work": "az://theirs/none"}}, "account 'theirs' has no container 'none'; make it"),
        ({"encryption_key": "https://nobodys.vault.azure.net/keys/data"}, "has no key vault 'nobodys'"),
        ({"registry": "nobodys.azurecr.io/path"}, "has no registry 'nobodys.azurecr.io'"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_in_a_preview(more: dict[str, Any], said: str) -> None:
    assert said in refused(account(), preview=True, **more)


def test_an_account_of_another_region_is_refused() -> None:
    cloud = account()
    cloud.of(arm.ACCOUNT)[0].outputs["location"] = "West Europe"
    said = refused(cloud, buckets={"keep": "az://theirs/models"})
    assert "is in West Europe, and skylift:region is eastus" in said


def test_what_an_address_leads_to_is_granted_like_what_has_an_id() -> None:
    seen = declared(
        "azure-vm", buckets={"keep": "az://theirs/models", "work": "az://theirs/work"}, registry=f"{REGISTRY}/team"
    )
    scopes = {one.inputs["scope"] for one in seen.of("RoleAssignment")}
    assert {f"{STORAGE}/models", f"{STORAGE}/work", f"{GROUP}/Microsoft.ContainerRegistry/registries/ours"} <= scopes
    training = [one.inputs for one in seen.of("RoleAssignment") if one.inputs["scope"] == f"{STORAGE}/models"]
    assert any("StringLike 'models/*'" in one.get("condition", "") for one in training)
    assert seen.result.buckets.keep == "az://theirs/models" and seen.result.registry == f"{REGISTRY}/team"


def test_paths_below_an_address_move_with_it() -> None:
    found = grants(context("azure-vm", buckets={"keep": "az://theirs/models"}))
    moved = roles.bundles(roles.located(found, {"az://theirs/models": f"{STORAGE}/models"}))
    assert not [one for one in moved if one.scope.startswith("az://")]
    assert [one for one in moved if one.scope == f"{STORAGE}/models" and one.who == "serving" and one.is_ours]


@pytest.mark.parametrize(
    "given",
    [
        "https://theirs.vault.azure.net/keys/data",
        "https://theirs.vault.azure.net/keys/data/0a1b2c",
        f"{GROUP}/Microsoft.KeyVault/vaults/theirs/keys/data",
    ],
)
def test_a_key_is_named_by_its_url_or_by_its_id(given: str) -> None:
    """Without a version the newest is used, whichever the URL names."""
    seen = declared("azure-vm", answers=theirs(), encryption_key=given)
    used = seen.one("RoleAssignment", "key-use").inputs
    assert used["scope"] == f"{GROUP}/Microsoft.KeyVault/vaults/theirs/keys/data"
    properties = seen.one("StorageAccount", "storage-keep").inputs["encryption"]["keyVaultProperties"]
    assert properties == {"keyName": "data", "keyVaultUri": "https://theirs.vault.azure.net/"}


def test_a_key_that_cannot_be_looked_up_asks_for_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm.Arm, "answer", lambda *_: (403, {"error": {"message": "no right to look"}}))
    said = refused(account(), encryption_key="https://theirs.vault.azure.net/keys/data")
    assert "give the key's resource id" in said
