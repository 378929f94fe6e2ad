"""Every right that a stack gives to anybody stands in docs/permissions.md: what the programs declare is compared with the grants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra import grants
from infra.azure.roles import BUILT_IN
from infra.context import Context
from infra.grants import Grant
from skylift.stack import settings
from tests import targets_page
from tests.clouds.mocks import Resource

pytestmark = pytest.mark.slow
STAGES = pytest.mark.parametrize("stage", targets_page.STAGES)


def listed(target: str, stage: str) -> tuple[Grant, ...]:
    context = Context(settings=settings.check(targets_page.config(target, stage), target), stack="lab")
    return grants.room(settings.CLOUDS[target]).grants(context)


def declared(target: str, stage: str, word: str) -> list[Resource]:
    return [one for one in targets_page.declared(target, stage).resources if word in one.type]


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@STAGES
@pytest.mark.parametrize("target", ["gce", "gke", "vertex"])
def test_on_google(target: str, stage: str) -> None:
    found = listed(target, stage)
    roles = {one.inputs["roleId"]: set(one.inputs["permissions"]) for one in declared(target, stage, "IAMCustomRole")}
    members = declared(target, stage, "IAMMember") + declared(target, stage, "IamMember")
    assert members
    for one in members:
        role = str(one.inputs["role"])
        held = roles.get(role.rpartition("/")[2], {role})
        who = _google_who(str(one.inputs["member"]), target)
        mine = [grant for grant in found if grant.who == who]
        assert any(held <= set(grant.actions) for grant in mine), (
            f"{who} is given {role} by {one.name}, and no grant says so"
        )


def _google_who(member: str, target: str) -> str:
    if member.startswith("principal://"):
        return member.rpartition("/")[2]
    email = member.partition(":")[2]
    if email.startswith("service-"):
        return "encryption"
    return email.partition("@")[0].removeprefix("skylift-lab-")


@STAGES
@pytest.mark.parametrize("target", ["azure-vm", "aks", "azureml"])
def test_on_azure(target: str, stage: str) -> None:
    found = listed(target, stage)
    built_in = {number: set(actions) for actions, number in BUILT_IN.items()}
    custom = {one.inputs["roleDefinitionId"]: _rights(one) for one in declared(target, stage, ":RoleDefinition")}
    assignments = declared(target, stage, ":RoleAssignment")
    assert assignments
    for one in assignments:
        role = str(one.inputs["roleDefinitionId"]).rpartition("/")[2]
        held = built_in[role] if role in built_in else custom[role]
        scope = str(one.inputs["scope"])
        there = [grant for grant in found if any(_within(on, scope) for on in grant.on)]
        assert held <= {action for grant in there for action in grant.actions}, f"{one.name} gives what no grant says"
        if one.name.startswith("access-"):
            mine = {action for grant in there if grant.who == one.name.split("-")[1] for action in grant.actions}
            assert held <= mine, f"{one.name} gives what no grant of its identity says"


def _rights(role: Resource) -> set[str]:
    return {a for one in role.inputs["permissions"] for key in ("actions", "dataActions") for a in one.get(key) or ()}


def _within(on: str, scope: str) -> bool:
    return f"{on}/".lower().startswith(f"{scope}/".lower())


@STAGES
@pytest.mark.parametrize("target", ["ec2", "eks", "sagemaker"])
def test_on_aws(target: str, stage: str) -> None:
    found = listed(target, stage)
    for one in declared(target, stage, "iam/rolePolicy:"):
        who = one.name.split("-")[1]
        mine = {(a, on) for grant in found if grant.who == who for a in grant.actions for on in grant.on}
        assert _allowed(one.inputs["policy"]) <= mine, f"{one.name} allows what no grant says"
    for one in declared(target, stage, "iam/rolePolicyAttachment:"):
        who = one.name.split("-")[1]
        assert [grant for grant in found if grant.who == who and one.inputs["policyArn"] in grant.actions], one.name
    services = {
        (action, service)
        for grant in found
        if grant.who == "services"
        for action in grant.actions
        for service in grant.condition["Principal"]["Service"]
    }
    assert set(_services(target, stage)) <= services


def _allowed(policy: str) -> set[tuple[str, str]]:
    return {
        (action, on)
        for one in json.loads(policy)["Statement"]
        if one["Effect"] == "Allow"
        for action in many(one["Action"])
        for on in many(one["Resource"])
    }


def _services(target: str, stage: str) -> Iterator[tuple[str, str]]:
    """Whom policies of things name beside roles; the account's own root decides by IAM."""
    for one in targets_page.declared(target, stage).resources:
        if one.type == "aws:lambda/permission:Permission":
            yield one.inputs["action"], one.inputs["principal"]
        policy = one.inputs.get("policy")
        if (
            not one.type.startswith(("aws:s3/", "aws:kms/", "aws:sns/", "aws:sqs/", "aws:ecr/repositoryPolicy"))
            or not policy
        ):
            continue
        for statement in json.loads(policy)["Statement"]:
            if statement["Effect"] == "Allow" and "Service" in statement["Principal"]:
                for action in many(statement["Action"]):
                    yield action, statement["Principal"]["Service"]
