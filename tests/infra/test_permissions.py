"""Grants are exact, and what `skylift permissions` prints is all of them and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from infra import grants, permissions, state_rights
from infra.grants import Grant, Who
from skylift import assets
from skylift.errors import InputError
from skylift.stack import settings
from tests import permissions_page

NOBODYS = {
    r"session/\$\{aws:userid\}-\*$": "the sessions of whoever asks: AWS puts his own id before the number of each",
    r"log-group:/aws/sagemaker/TrainingJobs:\*$": "SageMaker writes the logs of all training jobs of an account to this one group",
    r":(network-interface|subnet|security-group)/\*$": "the network interfaces of a SageMaker job have no name or tag before: "
    "https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html",
}
"""Wildcards that are allowed without a name of the stack, with the provider's reason."""

TARGETS = [target for target in settings.TARGETS if target != "local"]


def granted(target: str) -> tuple[Grant, ...]:
    return grants.room(settings.CLOUDS[target]).grants(permissions_page.context(target))


@pytest.mark.parametrize("target", TARGETS)
def test_no_action_has_a_wildcard(target: str) -> None:
    for grant in granted(target):
        assert grant.actions, grant
        for action in grant.actions:
            assert not re.search(r"[*?]", action), f"{grant.who} may {action} to {grant.what}"


@pytest.mark.parametrize("target", TARGETS)
def test_a_resource_is_the_stacks_own_or_narrowed_or_says_why_not(target: str) -> None:
    """A wildcard stands behind a name of the stack, beside a condition, or beside the provider's reason."""
    context = permissions_page.context(target)
    own = (context.base, context.base.replace("-", "_"), context.suffix)
    for grant in granted(target):
        for on in grant.on:
            narrowed = any(name in on for name in own) or bool(grant.condition) or bool(grant.wide)
            narrowed = narrowed or any(re.search(pattern, on) for pattern in NOBODYS)
            assert "*" not in on or narrowed, f"{grant.who} to {grant.what}: {on} is nobody's, and no `wide` says why"
            assert on != "*" or grant.wide, f"{grant.who} to {grant.what}: all resources, and no `wide` says why"


@pytest.mark.parametrize("target", TARGETS)
def test_every_grant_says_what_for(target: str) -> None:
    assert set(get_args(Who)) <= set(permissions_page.WHO)
    assert {grant.who for grant in granted(target)} <= set(permissions_page.WHO), (
        "docs/permissions.md would not list them"
    )
    for grant in granted(target):
        assert grant.what and grant.on and not grant.what.endswith("."), grant


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("person", grants.PERSONS)
def test_everybody_gets_a_document_with_every_action_and_no_other(target: str, person: str) -> None:
    path = assets.path(f"stacks/Pulumi.example-{target}.yaml")
    answer = permissions.permissions(path, "lab", person)
    if person == "approve" and not answer["grants"]:
        pytest.skip("no endpoint of the example asks for approval")
    if (person, target) == ("predict", "azure-vm") and not answer["grants"]:
        pytest.skip("who reaches the stack's network needs no right of Azure")
    assert answer["grants"], f"{person} may do nothing on {target}"
    document = whole(answer)
    printed = json.dumps(document)
    for grant in answer["grants"]:
        for action in grant["actions"]:
            assert f'"{action}"' in printed or action.startswith("arn:") or _built_in(action, printed), action
    asked = {action for grant in answer["grants"] for action in grant["actions"]}
    allowed = _allowed(document)
    assert allowed <= asked, f"printed and granted by nobody: {allowed - asked}"


def whole(answer: dict[str, Any]) -> dict[str, Any]:
    """All documents of an answer as one."""
    first, *rest = (one["document"] for one in answer["documents"])
    if not rest:
        return dict(first)
    return {**first, "Statement": [one for part in (first, *rest) for one in part["Statement"]]}


def _built_in(action: str, printed: str) -> bool:
    """Azure: the right comes with a role of Azure's own."""
    return action.startswith("Microsoft.") and action not in printed and "roleDefinitions" in printed


def _allowed(document: dict[str, Any]) -> set[str]:
    """Every action of a document of any cloud; those that are denied are none."""
    if "Statement" in document:
        return {action for one in document["Statement"] if one["Effect"] == "Allow" for action in one["Action"]}
    if "bindings" in document:
        own = {action for role in document["roles"] for action in role["includedPermissions"]}
        made = {role["name"] for role in document["roles"]}
        return own | {one["role"] for one in document["bindings"]} - made
    return {action for role in document["roles"] for action in (*role["Actions"], *role["DataActions"])}


def test_a_person_gets_no_more_than_his_own(tmp_path: Path) -> None:
    path = assets.path("stacks/Pulumi.example-ec2.yaml")
    for person in ("approve", "predict"):
        said = json.dumps(whole(permissions.permissions(path, "lab", person)))
        assert "deployments" not in said.replace("endpoints/*/approvals", "") or person == "approve"
        assert "s3:DeleteObject" not in said and "iam:" not in said


def with_state(tmp_path: Path, target: str, backend: str, provider: str) -> Path:
    text = assets.path(f"stacks/Pulumi.example-{target}.yaml").read_text(encoding="utf-8")
    path = tmp_path / "Pulumi.lab.yaml"
    text = re.sub(r"(?m)^# secretsprovider:.*$", f"secretsprovider: {provider}", text)
    path.write_text(re.sub(r"(?m)^  # skylift:backend:.*$", f"  skylift:backend: {backend}", text), encoding="utf-8")
    return path


def test_up_on_aws_reaches_state_and_key(tmp_path: Path) -> None:
    path = with_state(tmp_path, "ec2", "s3://state?region=us-east-1", "awskms://alias/state?region=us-east-1")
    statements = whole(permissions.permissions(path, "lab", "up"))["Statement"]
    mine = [one for one in statements if one["Sid"].startswith("State")]
    assert mine[1] == {
        "Sid": "State1",
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        "Resource": ["arn:aws:s3:::state/.pulumi/*"],
    }
    assert mine[2]["Resource"] == ["arn:aws:kms:us-east-1:123456789012:key/*"]
    assert mine[2]["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/state"}}
    train = whole(permissions.permissions(path, "lab", "train"))["Statement"]
    assert not [one for one in train if one["Sid"].startswith("State")], "who trains needs no state"


def test_up_on_google_reaches_state_and_key(tmp_path: Path) -> None:
    key = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    path = with_state(tmp_path, "gke", "gs://state", f"gcpkms://{key}")
    bindings = whole(permissions.permissions(path, "lab", "up"))["bindings"]
    assert {"role": "roles/storage.objectUser", "resource": "projects/_/buckets/state"} in bindings
    assert {"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "resource": key} in bindings


def test_up_on_azure_reaches_state_and_key(tmp_path: Path) -> None:
    path = with_state(
        tmp_path, "aks", "azblob://state?storage_account=ours", "azurekeyvault://ours.vault.azure.net/keys/k"
    )
    roles = whole(permissions.permissions(path, "lab", "up"))["roles"]
    mine = [one for one in roles if one["Name"].startswith("state")]
    assert [one["Scope"].rpartition("/providers/")[2] for one in mine] == [
        "Microsoft.Storage/storageAccounts/ours/blobServices/default/containers/state",
        "Microsoft.KeyVault/vaults/ours/keys/k",
    ]
    assert "Microsoft.KeyVault/vaults/keys/decrypt/action" in mine[1]["DataActions"]


@pytest.mark.parametrize(
    ("key", "resource"), [("1234", "key/1234"), ("/arn:aws:kms:r:1:key/k", "arn:aws:kms:r:1:key/k")]
)
def test_a_key_by_id_or_arn(key: str, resource: str) -> None:
    (grant,) = state_rights.rights("1", None, f"awskms://{key}?region=r")
    assert grant.on[0].endswith(resource) and not grant.condition


def test_state_on_this_machine_asks_for_nothing() -> None:
    assert state_rights.rights("1", None, None) == state_rights.rights("1", "file:///x", "passphrase") == ()


def test_a_stack_on_this_machine_has_no_permissions() -> None:
    with pytest.raises(InputError, match="on this machine"):
        permissions.permissions(assets.path("stacks/Pulumi.example-local.yaml"), "local", "up")


def test_the_program_answers_in_json_also_when_it_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    refused = permissions.main([str(assets.path("stacks/Pulumi.example-local.yaml")), "local", "up"])
    assert refused == 3 and json.loads(capsys.readouterr().out)["error"]["kind"] == "input"
    assert permissions.main([str(assets.path("stacks/Pulumi.example-eks.yaml")), "lab", "train"]) == 0
    assert json.loads(capsys.readouterr().out)["who"] == "launcher"
