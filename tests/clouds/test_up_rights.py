"""Who runs `up` may make everything that a stack declares."""

from __future__ import annotations

import pytest

from infra.aws import rights
from infra.aws.names import Names
from infra.context import Context
from skylift.stack import settings
from tests import targets_page

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", targets_page.STAGES)
@pytest.mark.parametrize("target", ["ec2", "eks", "sagemaker"])
def test_every_type_that_a_stack_on_aws_declares_is_among_the_rights(target: str, stage: str) -> None:
    context = Context(settings=settings.check(targets_page.config(target, stage), target), stack="lab")
    declared = {one.type for one in targets_page.own(targets_page.declared(target, stage))}
    known = {f"aws:{token}" for token in rights.types(Names(context))}
    lacking = {one for one in declared - known if one.startswith("aws:")}
    assert not lacking, f"infra/aws/rights.py: no rights for {sorted(lacking)}"


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
