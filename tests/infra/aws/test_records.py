"""What the bucket policy and the identities' own policies refuse, judged as IAM would judge it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest

from infra.aws import grants
from infra.aws.names import Names
from infra.aws.records import bucket_policy
from skylift.artifacts import layout
from tests.infra.aws.stacks import context, listed

KEEP = Names(context()).keep
DIGEST, RUN = "d" * 64, "20261122t234501-abcdef"
RECORDS = [
    layout.run_spec(RUN),
    layout.run_result(RUN),
    layout.runs_index_page(1),
    layout.model_manifest("digits", DIGEST),
    layout.model_version("digits", 1),
    layout.deployment("default", 1),
    layout.approval("default", 1),
    layout.veto("default", 1),
    f"{layout.dataset('digits', DIGEST)}/{layout.MANIFEST}",
]
FILES = [
    f"{layout.model('digits', DIGEST)}/tensorflow/variables/variables.data-00000-of-00001",
    f"{layout.dataset('digits', DIGEST)}/train.tfrecord",
    layout.code(DIGEST),
]


def refused(policy: dict[str, Any], key: str, *, visible: bool = True, **headers: str) -> bool:
    """Whether a Deny of the policy meets a PutObject: of the conditions that are used here, those that matter."""
    present = {f"s3:{name.replace('_', '-')}" for name in headers}
    arn = f"{KEEP.arn}/{key}"
    for statement in policy["Statement"]:
        condition = statement.get("Condition", {})
        if statement["Effect"] != "Deny" or "s3:PutObject" not in listed(statement["Action"]):
            continue
        meets = any(fnmatchcase(arn, pattern) for pattern in listed(statement["Resource"]))
        absent = all((name not in present) == (value == "true") for name, value in condition["Null"].items())
        shown = condition["Bool"]["s3:ObjectCreationOperation"] == str(visible).lower()
        if meets and absent and shown:
            return True
    return False


@pytest.mark.parametrize("key", RECORDS)
@pytest.mark.parametrize("policy", [bucket_policy(KEEP, records=True), grants.document(context(), "training")])
def test_records_are_written_once(policy: dict[str, Any], key: str) -> None:
    assert refused(policy, key)
    assert refused(policy, key, if_match="etag"), "an overwrite of what was read is an overwrite"
    assert not refused(policy, key, if_none_match="*")


def test_a_pointer_is_replaced_only_as_it_was_read() -> None:
    policy, key = bucket_policy(KEEP, records=True), layout.current("default")
    assert refused(policy, key)
    assert not refused(policy, key, if_match="etag")
    assert not refused(policy, key, if_none_match="*")


@pytest.mark.parametrize("key", FILES)
def test_files_may_go_up_in_parts_without_a_condition(key: str) -> None:
    policy = bucket_policy(KEEP, records=True)
    assert not refused(policy, key)
    assert not refused(policy, key, visible=False)


def test_parts_of_an_upload_are_never_refused() -> None:
    policy = bucket_policy(KEEP, records=True)
    assert not any(refused(policy, key, visible=False) for key in RECORDS)


def test_work_refuses_only_whoever_comes_without_tls() -> None:
    policy = bucket_policy(Names(context()).work, records=False)
    assert [statement["Sid"] for statement in policy["Statement"]] == ["TlsOnly"]
