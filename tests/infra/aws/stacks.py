"""Stacks on simulated AWS accounts, under strict mocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

from infra.context import Context
from skylift.stack.settings import Settings, from_pulumi
from tests.clouds.mocks import Answer, Recorded, provision

ACCOUNT = "123456789012"
REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/skylift-dev"
IMAGES = {kind: f"{REGISTRY}/{kind}@sha256:{'0' * 64}" for kind in ("training", "serving")}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"


def settings(target: str = "ec2", **given: Any) -> Settings:
    plain = {"target": target, "region": "us-east-1", "account": ACCOUNT, **given}
    return from_pulumi(
        {f"skylift:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in plain.items()},
        "dev",
    )


def context(target: str = "ec2", **given: Any) -> Context:
    return Context(settings=settings(target, **given), stack="dev")


def declared(
    target: str = "ec2", *, preview: bool = False, answers: Mapping[str, Answer] | None = None, **given: Any
) -> Recorded:
    """Everything that the target declares with these settings. Looked at and never changed: the same question is answered once."""
    from infra.aws import target as room

    chosen = settings(target, **given)
    key = json.dumps([target, preview, given], sort_keys=True)
    if answers is None and key in _seen:
        return _seen[key]
    recorded = provision(lambda: room.provision(chosen, "dev", Path()), preview=preview, answers=answers)
    if answers is None:
        _seen[key] = recorded
    return recorded


_seen: dict[str, Recorded] = {}


def statements(document: str | Mapping[str, Any]) -> list[dict[str, Any]]:
    plain = json.loads(document) if isinstance(document, str) else document
    return list(plain["Statement"])


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


class Refusal(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
    """A question that AWS refuses, as the engine hands it on."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return self.text


def refusing(text: str) -> Answer:
    def answer(arguments: dict[str, Any]) -> Mapping[str, Any]:
        raise Refusal(text)

    return answer


def role(arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Of any name there is a role."""
    name = arguments["name"]
    return {"id": name, "name": name, "arn": f"{ROLE}{name}", "path": "/", "assumeRolePolicy": "{}"}
