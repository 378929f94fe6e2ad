"""Writes docs/permissions.md from the grants that the components make real; part of `python -m tests.generate_docs`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from infra import grants
from infra.context import Context
from infra.grants import Grant
from skylift import assets
from skylift.stack import settings

TITLES = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
WHO = {
    "up": "up: who runs `skylift up` and `down`",
    "training": "training: what learns",
    "serving": "serving: what answers",
    "host": "host: the agent on a machine",
    "launcher": "launcher: who may train",
    "releaser": "releaser: who may deploy",
    "approver": "approver: who consents to releases",
    "custodian": "custodian: who may delete",
    "caller": "caller: who may predict",
    "reaper": "reaper: what removes run groups past their end",
    "nodes": "nodes: machines of a cluster",
    "cluster": "cluster: a control plane",
    "autoscaler": "autoscaler: what adds and removes a cluster's nodes",
    "logs": "logs: what sends a cluster's logs",
    "encryption": "encryption: what uses the key for stored data",
    "workspace": "workspace: Azure ML itself",
    "services": "services: AWS' own, named in the policies of single things",
}
HEAD = """\
# Who may do what

Written by `python -m tests.generate_docs` from infra/aws/grants.py, infra/gcp/grants.py and infra/azure/grants.py, which are what the
components grant and `skylift permissions` prints; do not edit. Not checked against a cloud.

The tables show a stack named `lab` with everything in it that asks for a right: secrets, API keys, approval, a key of its own. Rights
of the same words on several targets of a cloud stand once. `*` at the end of a resource means everything below it. Where a cloud
cannot narrow an action to a resource, the last column has its reason."""


def context(target: str) -> Context:
    """The stack of the page on a target."""
    return Context(settings=settings.check(config(target), target), stack="lab")


def config(target: str) -> dict[str, Any]:
    """Its settings as they would stand in a file: the target's example with everything in it that asks for a right."""
    text = assets.path(f"stacks/Pulumi.example-{target}.yaml").read_text(encoding="utf-8")
    example: dict[str, Any] = {key[8:]: value for key, value in yaml.safe_load(text)["config"].items()}
    endpoint = {**example["endpoints"]["default"], "approval": True}
    if settings.KINDS[target] != "managed":
        endpoint["api_keys"] = True
    return example | {"endpoints": {"default": endpoint}, "secrets": ["token"], "encryption_key": "stack"}


def cloud_targets(cloud: str) -> list[str]:
    return [target for target in settings.TARGETS if settings.CLOUDS[target] == cloud]


def granted(cloud: str) -> dict[str, tuple[Grant, ...]]:
    """Every grant of the page's stacks, by target."""
    return {target: grants.room(cloud).grants(context(target)) for target in cloud_targets(cloud)}


def page() -> str:
    """docs/permissions.md."""
    parts = [HEAD]
    for cloud, title in TITLES.items():
        parts.append(f"## {title}")
        for who in WHO:
            rows = list(_rows(granted(cloud), who))
            if rows:
                parts += [
                    f"### {WHO[who]}",
                    "| to | rights | on | only if | targets | wide because |\n|---|---|---|---|---|---|\n"
                    + "\n".join(rows),
                ]
    return "\n\n".join(parts) + "\n"


def _rows(found: dict[str, tuple[Grant, ...]], who: str) -> Iterator[str]:
    """One row for each right; the targets that have it in one cell."""
    targets: dict[str, list[str]] = {}
    for target, given in found.items():
        for grant in given:
            if grant.who == who:
                cells = (grant.what, _codes(grant.actions), _codes(grant.on), _condition(grant), "@", grant.wide)
                having = targets.setdefault("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |", [])
                if target not in having:
                    having.append(target)
    for row, having in targets.items():
        yield row.replace("| @ |", f"| {'all' if len(having) == len(found) else ', '.join(having)} |")


def _codes(texts: tuple[str, ...]) -> str:
    return "<br>".join(f"`{text}`" for text in dict.fromkeys(texts))


def _condition(grant: Grant) -> str:
    return f"`{json.dumps(dict(grant.condition), sort_keys=True)}`" if grant.condition else ""
