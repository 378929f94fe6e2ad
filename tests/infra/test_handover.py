"""What is handed over fits what its cloud takes, for every target and everybody, in full stacks with many endpoints."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, get_args

import pytest

from infra import grants, handover
from infra.aws import foreseen
from infra.context import Context
from infra.grants import Who
from skylift.errors import SettingsError
from skylift.stack import settings
from tests import permissions_page

TARGETS = [target for target in settings.TARGETS if target != "local"]
MANY = 30


def full(target: str, many: int = MANY, **more: Any) -> Context:
    """The stack of docs/permissions.md in stage prod, with many endpoints, pools and secrets."""
    config = permissions_page.config(target)
    endpoint = config["endpoints"]["default"]
    config["endpoints"] = {f"endpoint-{at:02}": endpoint for at in range(many)}
    config |= {"target": target, "stage": "prod", "secrets": [f"token-{at:02}" for at in range(many)]}
    config["alerts"] = {"emails": ["team@example.com"]}
    return Context(settings=settings.check(config | more, target), stack="lab")


def handed(target: str, who: Who) -> handover.Handover:
    context, cloud = full(target), settings.CLOUDS[target]
    return handover.handover(cloud, context.account, f"x-{who}", grants.room(cloud).document(context, who))


@pytest.mark.parametrize("target", ["ec2", "eks", "sagemaker"])
@pytest.mark.parametrize("who", get_args(Who))
def test_policies_fit_into_aws_and_allow_what_the_whole_allows(target: str, who: Who) -> None:
    """6,144 characters a managed policy and ten of them, 10,240 inline."""
    parts = handed(target, who).documents
    assert all(handover.length(part) <= 6144 for part in parts.values()) and len(parts) <= 10
    document = grants.room("aws").document(full(target), who)
    assert who == "up" or handover.length(document) <= 10_240, "identity.py puts it inline"
    assert rights(document) == Counter(one for part in parts.values() for one in rights(part).elements())
    sids = [one["Sid"] for part in parts.values() for one in part["Statement"]]
    assert len(sids) == len(set(sids))


def rights(document: dict[str, Any]) -> Counter[str]:
    """Each action with what it is on and what it asks for."""
    return Counter(
        json.dumps([one["Effect"], action, resource, one.get("Condition")], sort_keys=True)
        for one in document["Statement"]
        for action in listed(one["Action"])
        for resource in listed(one["Resource"])
    )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_statement_that_is_too_long_alone_is_cut_by_actions_and_resources() -> None:
    statement = {
        "Sid": "Long",
        "Effect": "Allow",
        "Action": [f"s3:Get{at:040}" for at in range(90)],
        "Resource": [f"arn:aws:s3:::{at:060}" for at in range(90)],
    }
    whole = {"Version": "2012-10-17", "Statement": [statement]}
    parts = handover.split(whole)
    assert all(handover.length(part) <= 6144 for part in parts)
    assert sum((rights(part) for part in parts), Counter()) == rights(whole)


def test_a_role_whose_rights_do_not_fit_inline_is_refused_before_anything_is_made() -> None:
    with pytest.raises(SettingsError, match=r"rights of \w+ take \d+ characters") as raised:
        foreseen.check(full("sagemaker", secrets=[f"token-{at:02}-{'of-whom-it-is' * 4}" for at in range(50)]))
    assert "skylift:secrets" in raised.value.hint


@pytest.mark.parametrize("target", ["gce", "gke", "vertex"])
@pytest.mark.parametrize("who", get_args(Who))
def test_roles_and_conditions_fit_into_google(target: str, who: Who) -> None:
    """https://cloud.google.com/iam/quotas"""
    (document,) = handed(target, who).documents.values()
    for role in document["roles"]:
        assert len(role["includedPermissions"]) <= 3000
        assert len(json.dumps(role)) <= 64 * 1024
        assert len(role["name"].rpartition("/")[2]) <= 64
    for binding in document["bindings"]:
        condition = binding.get("condition", {"title": "", "expression": ""})
        assert len(re.findall(r"&&|\|\||!(?!=)", condition["expression"])) <= 12, "logical operators of one condition"
        for roles in re.findall(r"hasOnly\(\[(.*?)\]\)", condition["expression"]):
            assert roles.count(",") < 10
        assert len(condition["title"]) <= 100
    same = Counter((one["resource"], one["role"]) for one in document["bindings"])
    assert max(same.values(), default=0) <= 20, "bindings of one role to one principal that differ in their condition"


@pytest.mark.parametrize("target", ["azure-vm", "aks", "azureml"])
@pytest.mark.parametrize("who", get_args(Who))
def test_roles_and_conditions_fit_into_azure(target: str, who: Who) -> None:
    """https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits#azure-rbac-limits and
    https://learn.microsoft.com/azure/role-based-access-control/custom-roles#custom-role-properties"""
    (document,) = handed(target, who).documents.values()
    for role in document["roles"]:
        assert len(role["Name"]) <= 512 and len(role["Description"]) <= 2048
        assert len(role.get("Condition", "").encode()) <= 8 * 1024
        assert len(role["AssignableScopes"]) <= 2000


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("who", ["up", "launcher", "caller", "custodian"])
def test_commands_use_every_file_and_no_other(target: str, who: Who) -> None:
    found = handed(target, who)
    used = set(re.findall(r"[\w-]+\.(?:json|txt)", "\n".join(found.commands)))
    assert used == set(found.files)
    for line in found.commands[1:]:
        assert line.startswith(("aws ", "gcloud ", "az ", "#")), line
    given = [line for line in found.commands if "$WHO" in line]
    assert given or not found.files or (target, who) == ("vertex", "caller"), (
        "`up` alone grants on endpoints of Vertex AI"
    )


def test_google_policies_are_added_to_where_the_thing_is() -> None:
    commands = "\n".join(handed("gce", "up").commands)
    assert "gcloud iam service-accounts add-iam-policy-binding skylift-lab-host@" in commands
    before, _, after = commands.partition("# These take rights only once they are there")
    assert "gcloud projects" in before and "service-accounts" not in before and "actAs" not in after
