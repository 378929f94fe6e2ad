"""Who may become which role. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infra.aws.names import PARTITION, Names
from infra.grants import Who

ASSUME = "sts:AssumeRole"

PERSONS: dict[Who, str] = {
    "launcher": "train",
    "releaser": "release",
    "approver": "approve",
    "caller": "predict",
    "custodian": "clean",
}
"""Roles of persons, and the list of settings.access that may become them."""


def wanted(names: Names) -> tuple[Who, ...]:
    """The identities of a stack that it makes itself, unless the settings bring them. A person's role without a person is left out:
    `skylift permissions` prints what it would have, for whoever gives rights another way."""
    access, kind = names.context.settings.access, names.context.settings.kind
    runtime: dict[str, tuple[Who, ...]] = {
        "vm": ("training", "serving", "host", "reaper"),
        "cluster": ("training", "serving", "cluster", "nodes", "autoscaler", "logs"),
        "managed": ("training", "serving"),
    }
    persons = tuple(who for who, key in PERSONS.items() if getattr(access, key))
    pods: tuple[Who, ...] = ("launcher",) if kind == "cluster" and "launcher" not in persons else ()
    return (*runtime[kind], *pods, *persons)


def trust(names: Names, who: Who) -> dict[str, Any]:
    """The trust policy of a role. Never `*`; services only on behalf of this account."""
    return {"Version": "2012-10-17", "Statement": _statements(names, who)}


def _statements(names: Names, who: Who) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if who in PERSONS:
        principals: Sequence[str] = getattr(names.context.settings.access, PERSONS[who])
        if principals:
            found.append({"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": ASSUME})
        if who == "launcher" and names.context.settings.kind == "cluster":
            found.append(_pods(names))
        return found
    kind = names.context.settings.kind
    if who == "training" and kind == "vm":
        return [_by_host(names)]
    if kind == "cluster" and who in ("training", "serving", "autoscaler", "logs"):
        return [_pods(names)]
    service = {"host": "ec2", "serving": "ec2", "nodes": "ec2", "reaper": "lambda", "cluster": "eks"}.get(who, "")
    if kind == "managed":
        return [_service(names, "sagemaker", is_ours=True)]
    # EC2 tells nothing of the account when it assumes the role of an instance profile; the profile is this account's anyway.
    return [_service(names, service, is_ours=service == "eks")]


def _service(names: Names, service: str, *, is_ours: bool) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": ASSUME,
    }
    if is_ours:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": names.context.account}}
    return statement


def _pods(names: Names) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html"""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": [ASSUME, "sts:TagSession"],
        "Condition": {
            "StringEquals": {"aws:SourceAccount": names.context.account},
            "ArnEquals": {"aws:SourceArn": names.arn("eks", f"cluster/{names.cluster}")},
        },
    }


def _by_host(names: Names) -> dict[str, Any]:
    """The machine's agent takes the role for its run, narrowed to it. Named by a condition, for IAM refuses a principal that is not
    there yet."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{PARTITION}:iam::{names.context.account}:root"},
        "Action": ASSUME,
        "Condition": {"ArnEquals": {"aws:PrincipalArn": names.role_arn("host")}},
    }
