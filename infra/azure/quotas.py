"""Quotas of zero, told before anything is made: those of the accelerators that pools and endpoints ask for.

Machines and clusters count against Microsoft.Compute, Azure ML against a list of its own:
https://learn.microsoft.com/rest/api/compute/usage/list and https://learn.microsoft.com/rest/api/azureml/usages/list. Both call a family
in several ways (`standardNCASv3_T4Family`, `Standard NCASv3_T4 Family vCPUs`, `… Cluster Dedicated vCPUs`), so names are compared by
their letters. A family that is not listed is let through: the list is not always whole (Azure/azure-rest-api-specs#25455). Not checked
against a cloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pulumi

from infra.azure.asking import Answers
from infra.context import Context
from skylift import catalog

_PROVIDERS = {"managed": ("Microsoft.MachineLearningServices", "2024-10-01")}
_COMPUTE = ("Microsoft.Compute", "2024-07-01")


def mistakes(context: Context, answers: Answers) -> list[str]:
    """Each as one sentence with setting, value and what would work. Asks once, and not at all without accelerators."""
    wanted = list(_wanted(context))
    if not wanted:
        return []
    provider, version = _PROVIDERS.get(context.settings.kind, _COMPUTE)
    path = f"/subscriptions/{context.account}/providers/{provider}/locations/{context.region}/usages"
    listed = answers.listed(path, version, "the quotas of accelerators")
    if listed is None:
        return []
    limits = dict(_limits(listed))
    found = []
    for key, value, quota in wanted:
        limit = limits.get(_plain(quota.code), limits.get(_plain(quota.name)))
        if limit is None:
            pulumi.log.info(f"Azure lists no quota {quota.name!r} in {context.region}: {key} is not compared with it")
        elif limit == 0:
            found.append(
                f"{key} = {value!r}: the subscription's quota {quota.name!r} in {context.region} is 0 {quota.unit}: "
                f"ask for more ({quota.hint}), or set `accelerator: cpu`"
            )
    return list(dict.fromkeys(found))


def _wanted(context: Context) -> Iterator[tuple[str, str, catalog.Quota]]:
    kind = context.settings.kind
    assert kind != "local"
    for name, pool in context.pools.items():
        for accelerator in {shape.accelerator: None for shape in pool.shapes if shape.accelerator != "cpu"}:
            quota = catalog.quota("azure", kind, accelerator, spot=pool.settings.spot, region=context.region)
            yield f"skylift:pools.{name}.accelerator", accelerator, quota
    for name, endpoint in context.endpoints.items():
        accelerator = endpoint.shape.accelerator
        if accelerator != "cpu":
            quota = catalog.quota("azure", kind, accelerator, use="serving", region=context.region)
            yield f"skylift:endpoints.{name}.accelerator", accelerator, quota


def _limits(listed: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """Limits of the subscription by every name that they have; those of single workspaces are not ours. -1 is no limit."""
    for one in listed:
        if "/workspaces/" in str(one.get("type", "")).lower() or not isinstance(one.get("limit"), int | float):
            continue
        names = one.get("name") or {}
        for name in (names.get("value"), names.get("localizedValue")):
            if name:
                yield _plain(name), one["limit"]


def _plain(name: str) -> str:
    return re.sub(r"clusterdedicated|vcpus$|cores$|[\W_]+", "", re.sub(r"[\W_]+", "", name.lower()))
