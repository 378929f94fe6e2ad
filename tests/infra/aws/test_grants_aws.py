"""Who may do what: nobody everything, everybody enough."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, get_args

import pytest

from infra.aws import grants
from infra.aws.names import Names
from infra.aws.rights_table import ACTIONS
from infra.aws.trust import trust, wanted
from infra.grants import Who
from skylift.artifacts import layout
from tests.infra.aws.stacks import IMAGES, ROLE, context, declared, listed, role, statements

TARGETS = ("ec2", "eks", "sagemaker")
KEYS = ("provider", "stack", "arn:aws:kms:us-east-1:123456789012:key/1")
FULL: dict[str, Any] = {
    "secrets": ["token"],
    "alerts": {"emails": ["a@example.com"]},
    "budget": {"monthly": 10.0},
    "access": {"train": [f"{ROLE}ml"], "predict": [f"{ROLE}ml"], "approve": [f"{ROLE}lead"]},
}
RUN = "20261122t234501-abcdef"


def allows(target: str, who: Who, action: str, resource: str, **given: Any) -> bool:
    """Whether a statement allows it, conditions aside."""
    for one in grants.document(context(target, **given), who)["Statement"]:
        hits = action in listed(one["Action"]) and any(fnmatchcase(resource, p) for p in listed(one["Resource"]))
        if one["Effect"] == "Allow" and hits:
            return True
    return False


@pytest.mark.parametrize(("target", "key"), list(product(TARGETS, KEYS)))
def test_no_action_has_a_wildcard_and_no_resource_is_everything_without_a_reason(target: str, key: str) -> None:
    for grant in grants.grants(context(target, encryption_key=key, **FULL)):
        assert not any("*" in action or "?" in action for action in grant.actions), grant
        assert "*" not in grant.on or grant.wide, grant
        assert grant.actions and grant.on and grant.what, grant
        assert all(
            re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+|arn:aws:iam::aws:policy/\w+", one) for one in grant.actions
        ), grant


@pytest.mark.parametrize(("target", "who"), list(product(TARGETS, get_args(Who))))
def test_documents_are_policies_that_aws_takes(target: str, who: Who) -> None:
    document = grants.document(context(target, encryption_key="stack", **FULL), who)
    sids = [one["Sid"] for one in document["Statement"]]
    assert len(sids) == len(set(sids)) and all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)
    if who != "up":  # which is no role of ours
        assert len(json.dumps(document)) < 10_240


@pytest.mark.parametrize("target", TARGETS)
def test_the_table_of_who_writes_what_holds(target: str) -> None:
    def may(who: Who, key: str, action: str = "s3:PutObject") -> bool:
        return allows(target, who, action, f"{Names(context(target)).keep.arn}/{key}")

    written: dict[str, set[Who]] = {
        layout.run_spec(RUN): {"launcher", "training"},
        layout.code("d" * 64): {"launcher"},
        layout.dataset("digits", "d" * 64) + "/manifest.json": {"launcher"},
        layout.model_manifest("digits", "d" * 64): {"training"},
        layout.deployment("default", 1): {"releaser"},
        layout.current("default"): {"releaser"},
        layout.approval("default", 1): {"approver"},
        layout.veto("default", 1): {"serving"},
    }
    for key, writers in written.items():
        assert {who for who in get_args(Who) if may(who, key)} == writers, key
        assert not any(may(who, key, "s3:DeleteObject") for who in get_args(Who) if who not in ("custodian", "up")), key
    assert may("custodian", layout.model_manifest("digits", "d" * 64), "s3:DeleteObject")
    assert not may("custodian", layout.current("default"), "s3:DeleteObject")
    assert not may("custodian", layout.deployment("default", 1), "s3:DeleteObject")


def test_training_writes_its_run_in_work_and_serving_its_reports() -> None:
    work = Names(context()).work.arn
    assert allows("ec2", "training", "s3:PutObject", f"{work}/{layout.live_status(RUN)}")
    assert not allows("ec2", "training", "s3:PutObject", f"{work}/{layout.replica('default', 'a')}")
    assert allows("ec2", "serving", "s3:PutObject", f"{work}/{layout.replica('default', 'a')}")
    assert not allows("ec2", "serving", "s3:PutObject", f"{work}/{layout.live_status(RUN)}")
    assert allows("ec2", "host", "s3:PutObject", f"{work}/{layout.live_status(RUN)}")
    assert not allows("ec2", "host", "s3:PutObject", f"{work}/checkpoints/{RUN}/1")


def test_a_missing_object_is_told_from_a_forbidden_one() -> None:
    """S3 answers 404 in place of 403 to who may list, and a request for one object has no prefix: the condition must pass without."""
    statement = next(
        one for one in grants.document(context(), "serving")["Statement"] if one["Action"] == ["s3:ListBucket"]
    )
    assert "StringLikeIfExists" in statement["Condition"] and "StringLike" not in statement["Condition"]


def test_secrets_are_read_by_name_only() -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:skylift-dev/token-AbCdEf"
    assert allows("ec2", "training", "secretsmanager:GetSecretValue", arn, secrets=["token"])
    assert not allows(
        "ec2", "training", "secretsmanager:GetSecretValue", arn.replace("token", "other"), secrets=["token"]
    )
    assert not allows("ec2", "serving", "secretsmanager:GetSecretValue", arn, secrets=["token"])


@pytest.mark.parametrize("target", TARGETS)
def test_nobody_is_trusted_but_this_account_and_the_named(target: str) -> None:
    names = Names(context(target, **FULL))
    for who in wanted(names):
        for one in statements(trust(names, who)):
            principals = [text for value in one["Principal"].values() for text in listed(value)]
            assert "*" not in principals and principals
            if who == "launcher" and "AWS" in one["Principal"]:
                assert principals == [f"{ROLE}ml"]


def test_a_role_of_a_person_is_made_only_for_a_person() -> None:
    assert "launcher" not in wanted(Names(context()))
    assert "launcher" in wanted(Names(context(access={"train": [f"{ROLE}ml"]})))
    assert "launcher" in wanted(Names(context("eks"))), "pods launch as it"
    assert grants.document(context(), "launcher")["Statement"], "its rights can be printed all the same"


def test_only_the_host_may_become_training_on_machines() -> None:
    names = Names(context())
    (statement,) = statements(trust(names, "training"))
    assert statement["Condition"] == {"ArnEquals": {"aws:PrincipalArn": names.role_arn("host")}}
    assert allows("ec2", "host", "sts:AssumeRole", names.role_arn("training"))


@pytest.mark.parametrize("target", ["ec2", "sagemaker"])
@pytest.mark.parametrize(
    "given",
    [
        {"images": IMAGES, **FULL},
        {"images": IMAGES, "stage": "prod", "pools": {"gpu": {"accelerator": "L4"}}, **FULL},
        {"identities": {who: f"{ROLE}{who}" for who in ("training", "serving", "reaper")}},
    ],
)
def test_up_may_make_every_type_that_the_stack_declares(target: str, given: dict[str, Any]) -> None:
    """The table is complete, and nothing is asked for what is referenced."""
    if target == "ec2" and "identities" in given:
        given = {"identities": {**given["identities"], "host": f"{ROLE.replace(':role/', ':instance-profile/')}host"}}
    made = {
        one.type.removeprefix("aws:")
        for one in declared(target, answers={"aws:iam/getRole:getRole": role}, **given).resources
        if one.type.startswith("aws:")
    }
    assert made <= set(ACTIONS), made - set(ACTIONS)
    allowed = {
        action
        for one in grants.document(context(target, **given), "up")["Statement"]
        for action in listed(one["Action"])
    }
    for token in made:
        service, actions = ACTIONS[token]
        assert {f"{service.partition('-profile')[0]}:{action}" for action in actions.split()} <= allowed, token
    has_iam = any(action.startswith("iam:") and action not in ("iam:PassRole", "iam:GetRole") for action in allowed)
    assert has_iam == ("identities" not in given)
