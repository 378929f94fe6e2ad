"""Who may do what on Azure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from infra.azure import grants, names, roles
from infra.grants import Who
from tests.infra.azure.azure_stacks import FULL, GROUP, PERSON, context, declared

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


def bundle(who: Who, scope: str, kind: str = "azure-vm") -> roles.Bundle:
    found = [one for one in roles.bundles(grants.grants(context(kind))) if one.who == who and one.scope.endswith(scope)]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("who", "paths"),
    [
        ("launcher", {"datasets/*", "code/*", "runs/*", "runs-index/*", "studies/*"}),
        ("training", {"models/*", "runs/*"}),
        ("approver", {"endpoints/*/approvals/*"}),
        ("serving", {"endpoints/*/vetoes/*"}),
    ],
)
def test_keep_is_create_only_but_for_the_pointer(who: Who, paths: set[str]) -> None:
    """`add` makes a blob and never replaces one."""
    found = dict(bundle(who, "/containers/keep").paths)
    assert set(found[f"{BLOBS}/add/action"]) == paths
    assert f"{BLOBS}/delete" not in bundle(who, "/containers/keep").data_actions


def allows(condition: str | None, action: str, path: str) -> bool:
    """What Azure makes of a condition, for what is no listing: https://learn.microsoft.com/azure/role-based-access-control/conditions-format"""
    if condition is None:
        return True
    text = re.sub(r"SubOperationMatches\{'Blob\.List'\}", "False", condition)
    text = re.sub(r"ActionMatches\{'([^']+)'\}", lambda found: str(found[1] == f"{BLOBS}/{action}"), text)
    text = re.sub(r"@Request\[[^]]+\] StringLike '[^']+'", "False", text)
    text = re.sub(
        r"@Resource\[[^]]+\] String(Not)?Like '([^']+)'",
        lambda found: str(fnmatchcase(path, found[2]) != bool(found[1])),
        text,
    )
    text = text.replace(" AND ", " and ").replace(" OR ", " or ").replace("!", " not ")
    assert re.fullmatch(r"(True|False|and|or|not|[() ])+", text), text
    return bool(eval(text))  # nothing but the words above


@pytest.mark.parametrize(
    ("who", "files", "kept"),
    [
        ("launcher", ["datasets/digits/ab12/train.npz", "code/ab12.tar"], ["datasets/digits/ab12/manifest.json"]),
        ("training", ["models/digits/ab12/weights.h5"], ["models/digits/ab12/manifest.json", "models/digits/versions/1.json"]),
    ],
)  # fmt: skip
def test_files_go_up_in_parts_and_records_stay_as_they_were_written(
    who: Who, files: list[str], kept: list[str]
) -> None:
    """Put Block asks for `write`, which also replaces; a record must never be open to it."""
    found = bundle(who, "/containers/keep")
    assert f"{BLOBS}/write" in found.data_actions
    assert all(allows(found.condition, "write", path) for path in files)
    assert all(allows(found.condition, "add/action", path) for path in (*files, *kept))
    others = (
        "runs/1/run.json",
        "runs/1/result.json",
        "runs-index/1.json",
        "studies/s/study.json",
        "endpoints/*/current.json",
    )
    others += ("endpoints/default/deployments/1.json", "endpoints/default/approvals/1.json")
    assert not any(allows(found.condition, "write", path) for path in (*kept, *others))


@pytest.mark.parametrize("who", ["approver", "serving", "custodian"])
def test_nobody_else_writes_over_anything_in_keep(who: Who) -> None:
    assert f"{BLOBS}/write" not in bundle(who, "/containers/keep").data_actions


def test_the_releaser_replaces_the_pointer_and_nothing_else() -> None:
    found = dict(bundle("releaser", "/containers/keep").paths)
    assert found[f"{BLOBS}/write"] == ("endpoints/*/current.json",)
    assert set(found[f"{BLOBS}/add/action"]) == {"endpoints/*/deployments/*", "endpoints/*/current.json"}


def test_only_the_custodian_deletes_in_keep() -> None:
    for one in roles.bundles(grants.grants(context("azure-vm"))):
        if one.scope.endswith("/containers/keep") and one.who != "custodian":
            assert not [action for action in one.data_actions if "delete" in action], one.who


def test_a_condition_narrows_each_action_to_its_paths() -> None:
    condition = bundle("host", "/containers/work").condition
    assert condition is not None and condition.count("(") == condition.count(")")
    assert f"!(ActionMatches{{'{BLOBS}/write'}})" in condition
    assert "StringLike 'live/*'" in condition and "StringLike 'logs/*'" in condition
    # A listing has a prefix, and no path.
    assert f"ActionMatches{{'{BLOBS}/read'}} AND SubOperationMatches{{'Blob.List'}}" in condition
    assert "blobs:prefix] StringLike 'live/*'" in condition


def test_reading_a_whole_bucket_is_not_narrowed_by_other_grants_on_it() -> None:
    assert f"{BLOBS}/read" not in dict(bundle("training", "/containers/keep").paths)
    assert "Blob.List" not in (bundle("training", "/containers/keep").condition or "")


def test_conditions_are_as_long_as_azure_takes() -> None:
    """8 KB: https://learn.microsoft.com/azure/role-based-access-control/conditions-troubleshoot"""
    many: dict[str, Any] = {f"endpoint-{at}": {} for at in range(8)}
    for one in roles.bundles(grants.grants(context("azure-vm", endpoints=many))):
        assert len(one.condition or "") < 8192, one.who


def test_machines_remove_what_is_of_runs_and_not_what_serves() -> None:
    for who in ("host", "reaper"):
        found = [one for one in grants.grants(context("azure-vm")) if one.who == who and "delete" in str(one.actions)]
        assert {on.rpartition("/")[2] for one in found for on in one.on} == {"skylift-lab-runs"}
    seen = declared("azure-vm")
    assert "skylift-lab-runs" in {one.inputs["resourceGroupName"] for one in seen.of("ResourceGroup")}


@pytest.mark.parametrize("kind", ["azure-vm", "azureml"])
def test_up_may_make_every_type_that_a_stack_declares(kind: str) -> None:
    asked = context(kind, stage="prod", **FULL)
    may = {action.lower() for one in grants.grants(asked) if one.who == "up" for action in one.actions}
    for one in declared(kind, stage="prod", **FULL).resources:
        if one.type.startswith("azure-native:"):
            assert f"{arm_type(one.outputs['type'], one.type)}/write".lower() in may, one.name


def arm_type(told: str, token: str) -> str:
    """Azure's own name of a resource's type; the simulated cloud guesses those that it does not know."""
    known = {
        "azure-native:resources:ResourceGroup": "Microsoft.Resources/subscriptions/resourceGroups",
        "azure-native:storage:BlobServiceProperties": "Microsoft.Storage/storageAccounts/blobServices",
        "azure-native:storage:ManagementPolicy": "Microsoft.Storage/storageAccounts/managementPolicies",
        "azure-native:authorization:RoleDefinition": "Microsoft.Authorization/roleDefinitions",
        "azure-native:authorization:RoleAssignment": "Microsoft.Authorization/roleAssignments",
        "azure-native:monitor:DiagnosticSetting": "Microsoft.Insights/diagnosticSettings",
        "azure-native:consumption:Budget": "Microsoft.Consumption/budgets",
        "azure-native:containerregistry:Task": "Microsoft.ContainerRegistry/registries/tasks",
        "azure-native:keyvault:Secret": "Microsoft.KeyVault/vaults/secrets",
        "azure-native:resources:Deployment": "Microsoft.Resources/deployments",
        "azure-native:machinelearningservices:ManagedNetworkSettingsRule": (
            "Microsoft.MachineLearningServices/workspaces/outboundRules"
        ),
        "azure-native:monitor:DataCollectionRule": "Microsoft.Insights/dataCollectionRules",
        "azure-native:monitor:DataCollectionRuleAssociation": "Microsoft.Insights/dataCollectionRuleAssociations",
    }
    return known.get(token, told)


def test_up_needs_no_right_over_roles_where_everybody_is_named_already() -> None:
    given = {who: f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/{who}" for who in names.RUNTIME["vm"]}
    may = {a for g in grants.grants(context("azure-vm", identities=given)) if g.who == "up" for a in g.actions}
    assert not [action for action in may if action.startswith("Microsoft.Authorization/")]
    may = {a for g in grants.grants(context("azure-vm")) if g.who == "up" for a in g.actions}
    assert "Microsoft.Authorization/roleAssignments/write" in may


def test_persons_get_their_role_with_their_kind_of_principal() -> None:
    seen = declared("azure-vm", stage="prod", **FULL)
    people = [one.inputs for one in seen.of("RoleAssignment") if one.parent == "people"]
    assert {one["principalType"] for one in people} == {"Group", "ServicePrincipal", "User"}
    assert all(one["principalId"] == PERSON for one in people)
    assert len({one["roleAssignmentName"] for one in people}) == len(people)
    runtime = [one.inputs for one in seen.of("RoleAssignment") if one.parent == "access"]
    assert {one["principalType"] for one in runtime} == {"ServicePrincipal"}
    assert {one.get("conditionVersion") for one in runtime if one.get("condition")} == {"2.0"}


def test_roles_have_exact_actions_and_are_assignable_in_their_own_group_only() -> None:
    for role in declared("azureml", stage="prod", **FULL).of("RoleDefinition"):
        (permission,) = role.inputs["permissions"]
        for action in (*permission.get("actions", ()), *permission.get("dataActions", ())):
            assert re.fullmatch(r"[A-Za-z.]+(/[A-Za-z]+)+", action), action
        assert role.inputs["assignableScopes"] == [role.inputs["scope"]]
        assert "/resourceGroups/" in role.inputs["scope"]


def test_a_role_keeps_its_id_when_what_it_allows_changes() -> None:
    one = bundle("host", "/containers/work")
    asked = names.Names(context("azure-vm"))
    before = roles.roles(asked, [one])[one]
    changed = roles.Bundle(**{**one.__dict__, "data_actions": (f"{BLOBS}/read",), "paths": ()})
    assert roles.roles(asked, [changed])[changed].id == before.id


def test_scopes_where_one_may_do_the_same_share_a_role() -> None:
    many = {f"endpoint-{at}": {} for at in range(6)}
    seen = declared("azureml", endpoints=many, access={"predict": [PERSON]})
    calls = [one for one in seen.of("RoleAssignment") if one.parent == "people"]
    assert len(calls) == 6 and len({one.inputs["roleDefinitionId"] for one in calls}) == 1


def test_roles_of_both_resource_groups_of_a_stack_are_told_apart() -> None:
    """The host acts in that of the runs, and looks at one thing in the stack's own."""
    made = declared("azure-vm", **FULL).of("RoleDefinition")
    assert len({one.urn for one in made}) == len(made)
    scopes = {one.inputs["scope"] for one in made if one.name.startswith("access-host-resourcegroups")}
    assert len(scopes) == 2
