"""What `skylift permissions` hands over: documents that each fit what their cloud takes, as files, and the commands that use them. Pure.

The commands name who gets the rights by the shell variable WHO; on AWS it is a role's name. Not run against a cloud.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from shlex import quote
from typing import Any, NamedTuple

AWS_MANAGED = 6144
"""Characters of a managed policy, white space aside: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
AWS_INLINE = 10240
"""Characters of all inline policies of a role together."""
WHO = '"$WHO"'
_EXAMPLE = {
    "aws": "WHO=NAME-OF-A-ROLE",
    "gcp": "WHO=user:ada@example.com   # or group:…, serviceAccount:…",
    "azure": "WHO=OBJECT-ID   # of a person, a group or a service principal",
}


_LATER = "# These take rights only once they are there; what `up` makes is there after the first `up`:"


class Handover(NamedTuple):
    """Args:
    documents: name -> document; one, or on AWS as many policies as it takes.
    files: name -> content, for the commands.
    commands: a shell's, with comments.
    """

    documents: dict[str, dict[str, Any]]
    files: dict[str, str]
    commands: list[str]


def handover(cloud: str, account: str, name: str, document: dict[str, Any]) -> Handover:
    """
    Args:
        name: of who gets it in this stack, such as `skylift-lab-up`.
        document: what `infra.<cloud>.grants.document` says.
    """
    return {"aws": _aws, "gcp": _google, "azure": _azure}[cloud](account, name, document)


def length(document: dict[str, Any]) -> int:
    """Characters as AWS counts them."""
    return len(json.dumps(document, separators=(",", ":")))


def split(document: dict[str, Any], most: int = AWS_MANAGED) -> list[dict[str, Any]]:
    """An IAM policy as several that each fit. Which statement stands in which makes no difference to AWS.

    Every action of a statement keeps its resources and its condition.
    """
    parts: list[list[dict[str, Any]]] = [[]]
    empty = length({**document, "Statement": []})
    for statement in document["Statement"]:
        for piece in _pieces(statement, most - empty):
            if parts[-1] and length({**document, "Statement": [*parts[-1], piece]}) > most:
                parts.append([])
            parts[-1].append(piece)
    return [{**document, "Statement": part} for part in parts]


def _pieces(statement: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """A statement that is too long by itself, halved by its actions, then by its resources."""
    if length(statement) <= most:
        return [statement]
    key = next(
        (one for one in ("Action", "Resource") if isinstance(statement.get(one), list) and len(statement[one]) > 1),
        None,
    )
    if key is None:
        return [statement]
    middle = len(statement[key]) // 2
    halves = (("a", statement[key][:middle]), ("b", statement[key][middle:]))
    return [
        piece
        for letter, half in halves
        for piece in _pieces({**statement, "Sid": f"{statement['Sid']}{letter}", key: half}, most)
    ]


def _aws(account: str, name: str, document: dict[str, Any]) -> Handover:
    parts = split(document)
    names = [name] if len(parts) == 1 else [f"{name}-{at}" for at in range(1, len(parts) + 1)]
    documents = dict(zip(names, parts, strict=True))
    commands = [_EXAMPLE["aws"]]
    for one in names:
        commands.append(f"aws iam create-policy --policy-name {one} --policy-document file://{one}.json")
        arn = f"arn:aws:iam::{account}:policy/{one}"
        commands.append(f"aws iam attach-role-policy --role-name {WHO} --policy-arn {arn}")
    return Handover(documents, {f"{one}.json": _text(part) for one, part in documents.items()}, commands)


def _google(account: str, name: str, document: dict[str, Any]) -> Handover:
    files: dict[str, str] = {}
    commands = [_EXAMPLE["gcp"]]
    for role in document["roles"]:
        _, project, _, one = role["name"].split("/")
        title = one.replace("_", " ")[:100]
        files[f"{one}.json"] = _text(
            {"title": title, "stage": "GA", "includedPermissions": role["includedPermissions"]}
        )
        commands.append(f"gcloud iam roles create {one} --project={project} --file={one}.json")
    later: list[str] = []
    for at, binding in enumerate(document["bindings"], 1):
        condition = " --condition=None"
        if "condition" in binding:
            files[f"condition-{at}.json"] = _text(binding["condition"])
            condition = f" --condition-from-file=condition-{at}.json"
        place, conditional = _place(binding["resource"], account)
        rest = f"--member={WHO} --role={binding['role']}{condition if conditional else ''}"
        there = binding["resource"] in (f"projects/{account}", f"projects/{account}/iap_tunnel")
        (commands if there else later).append(f"{place} {rest}" if not place.startswith("#") else place)
    if later:
        commands += [
            "# These take rights only once they are there; what `up` makes is there after the first `up`:",
            *later,
        ]
    return Handover({name: document}, files, list(dict.fromkeys(commands)))


def _place(resource: str, account: str) -> tuple[str, bool]:
    """The command that adds to the policy of a resource, and whether it takes conditions."""
    words = resource.split("/")
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    project, last, add = pairs.get("projects", account), words[-1], "add-iam-policy-binding"
    if "buckets" in pairs:
        return f"gcloud storage buckets {add} gs://{last}", True
    if "serviceAccounts" in pairs:
        return f"gcloud iam service-accounts {add} {last} --project={account if project == '-' else project}", True
    if "secrets" in pairs:
        return f"gcloud secrets {add} {last} --project={project}", True
    if "repositories" in pairs:
        return f"gcloud artifacts repositories {add} {last} --project={project} --location={pairs['locations']}", False
    if "cryptoKeys" in pairs:
        ring = f"--keyring={pairs['keyRings']} --location={pairs['locations']} --project={project}"
        return f"gcloud kms keys {add} {last} {ring}", True
    if "subnetworks" in pairs:
        where = f"--region={pairs['regions']} --project={project}"
        return f"gcloud compute networks subnets {add} {last} {where}", True
    if "billingAccounts" in pairs:
        return f"gcloud billing accounts {add} {last}", False
    if "endpoints" in pairs:
        return (
            f"# endpoint {last}: name them in skylift:access.predict, and `up` grants it; gcloud has no command for it",
            False,
        )
    return f"gcloud projects {add} {project}", True


def _azure(account: str, name: str, document: dict[str, Any]) -> Handover:
    files: dict[str, str] = {}
    commands = [_EXAMPLE["azure"]]
    roles = sorted(enumerate(document["roles"], 1), key=lambda one: "/resourceGroups/" in one[1]["Scope"])
    for at, role in roles:
        if "/resourceGroups/" in role["Scope"] and _LATER not in commands:
            commands.append(_LATER)
        commands += _assigned(files, f"{name}-{at}", role)
    return Handover({name: document}, files, commands)


def _assigned(files: dict[str, str], name: str, role: dict[str, Any]) -> Iterator[str]:
    if role.get("IsCustom", True):
        files[f"{name}.json"] = _text({key: role[key] for key in _DEFINITION if key in role})
        yield f"az role definition create --role-definition {name}.json"
    condition = ""
    if "Condition" in role:
        files[f"{name}-condition.txt"] = role["Condition"] + "\n"
        condition = f' --condition "$(cat {name}-condition.txt)" --condition-version 2.0'
    yield f"az role assignment create --assignee {WHO} --role {quote(role['Name'])} --scope {quote(role['Scope'])}{condition}"


_DEFINITION = ("Name", "Description", "Actions", "DataActions", "AssignableScopes")


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
