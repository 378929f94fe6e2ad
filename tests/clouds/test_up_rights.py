"""Who runs `up` may make everything that a stack declares."""

from __future__ import annotations

import re

import pytest

from infra.aws import rights
from infra.aws.names import Names
from infra.context import Context
from infra.gcp import declared, grants
from infra.gcp import rights_table as google_table
from infra.grants import Grant
from skylift.stack import settings
from tests import targets_page
from tests.clouds.mocks import Resource
from tests.infra.gcp.stacks import GIVEN

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", targets_page.STAGES)
@pytest.mark.parametrize("target", ["ec2", "eks", "sagemaker"])
def test_every_type_that_a_stack_on_aws_declares_is_among_the_rights(target: str, stage: str) -> None:
    context = Context(settings=settings.check(targets_page.config(target, stage), target), stack="lab")
    declared = {one.type for one in targets_page.own(targets_page.declared(target, stage))}
    known = {f"aws:{token}" for token in rights.types(Names(context))}
    lacking = {one for one in declared - known if one.startswith("aws:")}
    assert not lacking, f"infra/aws/rights.py: no rights for {sorted(lacking)}"


GOOGLE = ["gce", "gke", "vertex"]


def google(target: str, stage: str, **more: object) -> tuple[Context, tuple[Grant, ...]]:
    """A stack of the page, and what it grants to others than who runs `up`."""
    config = targets_page.config(target, stage) | more
    context = Context(settings=settings.check(config, target), stack="lab")
    return context, tuple(one for one in grants.grants(context) if one.who != "up")


@pytest.mark.parametrize("stage", targets_page.STAGES)
@pytest.mark.parametrize("target", GOOGLE)
def test_the_types_that_up_on_google_has_rights_for_are_those_that_a_stack_declares(target: str, stage: str) -> None:
    wanted = set(declared.types(*google(target, stage)))
    made = {one.type for one in targets_page.own(targets_page.declared(target, stage))}
    made = {one for one in made if one.startswith(("gcp:", "kubernetes:", "pulumi-python:"))}
    # Of a billing account, which takes no role of a project.
    assert made - wanted == {"gcp:billing/budget:Budget"}, "infra/gcp/declared.py: no rights for these"
    assert wanted - made == set(), "infra/gcp/declared.py: rights for what the stack does not make"


@pytest.mark.parametrize("stage", targets_page.STAGES)
@pytest.mark.parametrize("target", GOOGLE)
def test_up_on_google_has_the_permissions_of_what_is_declared_and_no_other(target: str, stage: str) -> None:
    context, given = google(target, stage)
    mine = [one for one in grants.grants(context) if one.who == "up"]
    held = {action for one in mine for action in one.actions}
    asked = [google_table.PERMISSIONS[one] for one in declared.types(context, given)]
    asked += [google_table.ALWAYS, google_table.ASKED[settings.KINDS[target]]]
    known = {one for text in asked for one in google_table.permissions(text)}
    assert held - known == {"iam.serviceAccounts.actAs"} | ({"roles/billing.costsManager"} & held)
    assert known <= held
    for one in mine:
        if one.condition:
            assert not {
                action for action in one.actions if action in ("storage.buckets.create", "secretmanager.secrets.create")
            }


def test_who_runs_up_on_google_may_give_no_role_but_the_stacks() -> None:
    context, _ = google("gce", "dev", access={"predict": ["user:ada@example.com"]})
    (granting,) = (one for one in grants.grants(context) if "resourcemanager.projects.setIamPolicy" in one.actions)
    listed = re.findall("'([^']*roles/[^']+)'", str(granting.condition["expression"]))
    bound = {one.inputs["role"] for one in provisioned_members("gce")}
    assert bound <= set(listed) and len(listed) <= 10, (
        "https://cloud.google.com/iam/docs/setting-limits-on-granting-roles"
    )
    assert not [one for one in listed if one in ("roles/owner", "roles/editor")]
    assert any("caller" in one for one in listed)


def provisioned_members(target: str) -> list[Resource]:
    return [
        one for one in targets_page.declared(target, "dev").resources if one.type == "gcp:projects/iAMMember:IAMMember"
    ]


def test_with_identities_given_up_on_google_touches_no_policy() -> None:
    context, _ = google("gce", "dev", images={}, identities=GIVEN)
    held = {action for one in grants.grants(context) if one.who == "up" for action in one.actions}
    assert not [one for one in held if one.startswith(("iam.roles", "resourcemanager.projects.set"))]
    assert {one for one in held if one.startswith("iam.")} == {"iam.serviceAccounts.actAs", "iam.serviceAccounts.get"}


def test_with_identities_given_up_needs_no_right_over_identities() -> None:
    given = targets_page.config("ec2", "dev") | {
        "images": {},
        "identities": {
            who: f"arn:aws:iam::123456789012:{'instance-profile' if who == 'host' else 'role'}/{who}"
            for who in ("training", "serving", "host", "reaper", "launcher", "releaser", "approver", "custodian")
        },
    }
    context = Context(settings=settings.check(given, "given"), stack="lab")
    actions = {action for grant in rights.up(Names(context)) for action in grant.actions}
    assert {action for action in actions if action.startswith("iam:")} <= {
        "iam:PassRole",
        "iam:GetRole",
        "iam:GetInstanceProfile",
    }
