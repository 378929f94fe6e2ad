"""Stacks on Google Cloud for the tests beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.context import Context
from skylift.stack.settings import Settings, check
from tests.clouds.computed import World
from tests.clouds.mocks import Answer, Recorded, provision

PROJECT = "my-project-123456"
NUMBER = "987654321098"
REGION = "us-central1"
_DIGEST = "a" * 64
IMAGES = {word: f"{REGION}-docker.pkg.dev/{PROJECT}/ours/{word}@sha256:{_DIGEST}" for word in ("training", "serving")}
OWN = ("training", "serving", "host", "launcher", "releaser", "approver", "custodian", "reaper", "nodes")
GIVEN = {who: f"{who}@{PROJECT}.iam.gserviceaccount.com" for who in OWN}


def settings(target: str = "gce", **more: Any) -> Settings:
    return check({"target": target, "region": REGION, "account": PROJECT, **more}, "test")


def context(target: str = "gce", stack: str = "dev", **more: Any) -> Context:
    return Context(settings=settings(target, **more), stack=stack)


def up(
    target: str = "gce",
    *,
    preview: bool = False,
    answers: Mapping[str, Answer] | None = None,
    stack: str = "dev",
    **more: Any,
) -> Recorded:
    """What a stack of that target declares."""
    from infra.gcp.target import provision as declare

    wanted = settings(target, **more)
    world = World(project=PROJECT, project_number=NUMBER, google_region=REGION)
    return provision(
        lambda: declare(wanted, stack, Path("/")), preview=preview, answers=answers, world=world, stack=stack
    )
