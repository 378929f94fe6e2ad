"""The rights over Pulumi's state and its key that whoever runs `up` needs beside those over the stack. Pure data.

What the backends ask of the clouds: https://www.pulumi.com/docs/iac/concepts/state-and-backends/ and …/concepts/secrets/. Not checked
against a cloud.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from infra.grants import Grant

BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"


def rights(account: str, backend: str | None, secrets_provider: str | None) -> tuple[Grant, ...]:
    """What a backend and a secrets provider ask for; nothing where they are of this machine or of no cloud of ours.

    The URLs of Azure do not name the resource group: `<group>` stands for it.

    Args:
        account: of the stack; state is taken to lie in the same.
    """
    return (*_bucket(account, urlsplit(backend or "")), *_key(account, urlsplit(secrets_provider or "")))


def added(document: dict[str, Any], cloud: str, granted: tuple[Grant, ...]) -> dict[str, Any]:
    """The document of a cloud with these grants in it. Those of another cloud are left out: they are granted there."""
    mine = [grant for grant in granted if _cloud(grant) == cloud]
    if cloud == "aws":
        statements = [_statement(index, grant) for index, grant in enumerate(mine)]
        return {**document, "Statement": [*document["Statement"], *statements]}
    if cloud == "gcp":
        bindings = [{"role": role, "resource": on} for grant in mine for role in grant.actions for on in grant.on]
        return {**document, "bindings": [*document["bindings"], *bindings]}
    roles = [_role(index, grant, on) for index, grant in enumerate(mine) for on in grant.on]
    return {**document, "roles": [*document["roles"], *roles]}


def _role(index: int, grant: Grant, scope: str) -> dict[str, Any]:
    return {
        "Name": f"state {index}",
        "Description": grant.what,
        "Actions": [],
        "DataActions": list(grant.actions),
        "AssignableScopes": [scope.partition("/providers/")[0]],
        "Scope": scope,
    }


def _statement(index: int, grant: Grant) -> dict[str, Any]:
    stated = {"Sid": f"State{index}", "Effect": "Allow", "Action": list(grant.actions), "Resource": list(grant.on)}
    return stated | ({"Condition": dict(grant.condition)} if grant.condition else {})


def _cloud(grant: Grant) -> str:
    first = grant.actions[0]
    return "gcp" if first.startswith("roles/") else "azure" if first.startswith("Microsoft.") else "aws"


def _bucket(account: str, url: Any) -> tuple[Grant, ...]:
    if url.scheme == "s3":
        arn = f"arn:aws:s3:::{url.netloc}"
        return (
            Grant(
                who="up", what="see that state is there", actions=("s3:ListBucket", "s3:GetBucketLocation"), on=(arn,)
            ),
            Grant(
                who="up",
                what="read and write state",
                actions=("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
                on=(f"{arn}/.pulumi/*",),
            ),
        )
    if url.scheme == "gs":
        on = (f"projects/_/buckets/{url.netloc}",)
        return (Grant(who="up", what="read and write state", actions=("roles/storage.objectUser",), on=on),)
    if url.scheme == "azblob":
        storage = parse_qs(url.query).get("storage_account", ["<storage account>"])[0]
        on = (
            _azure(
                account, f"Microsoft.Storage/storageAccounts/{storage}/blobServices/default/containers/{url.netloc}"
            ),
        )
        actions = (f"{BLOB}read", f"{BLOB}write", f"{BLOB}delete", f"{BLOB}add/action")
        return (Grant(who="up", what="read and write state", actions=actions, on=on, data=True),)
    return ()


def _key(account: str, url: Any) -> tuple[Grant, ...]:
    what = "encrypt and decrypt the secrets in state"
    if url.scheme == "awskms":
        on, condition = _kms(account, url)
        return (Grant(who="up", what=what, actions=("kms:Encrypt", "kms:Decrypt"), on=(on,), condition=condition),)
    if url.scheme == "gcpkms":
        role = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
        return (Grant(who="up", what=what, actions=(role,), on=(f"{url.netloc}{url.path}",)),)
    if url.scheme == "azurekeyvault":
        on = _azure(account, f"Microsoft.KeyVault/vaults/{url.netloc.partition('.')[0]}{url.path}")
        keys = "Microsoft.KeyVault/vaults/keys/"
        actions = (f"{keys}read", f"{keys}encrypt/action", f"{keys}decrypt/action")
        return (Grant(who="up", what=what, actions=actions, on=(on,), data=True),)
    return ()


def _azure(subscription: str, resource: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/<group>/providers/{resource}"


def _kms(account: str, url: Any) -> tuple[str, dict[str, Any]]:
    """Resource and condition of `awskms://alias/NAME?region=R`, `awskms://ID?region=R` or `awskms:///ARN`. An alias is no resource of
    these actions: https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html"""
    name = f"{url.netloc}{url.path}".strip("/")
    if name.startswith("arn:"):
        return name, {}
    key = f"arn:aws:kms:{parse_qs(url.query).get('region', ['<region>'])[0]}:{account}:key/"
    if name.startswith("alias/"):
        return f"{key}*", {"ForAnyValue:StringEquals": {"kms:ResourceAliases": name}}
    return f"{key}{name}", {}
