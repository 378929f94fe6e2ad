"""Which machines a stack asks for, and the quotas that hold them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infra.context import Context
from skylift import catalog

SYSTEM_MACHINE = "m5.xlarge"
"""Of a cluster's system pool: 4 CPUs, 16 GiB."""


def wanted(context: Context) -> dict[str, list[str]]:
    """Machine type -> keys of the settings that ask for it."""
    found: dict[str, list[str]] = {}
    for name, pool in context.pools.items():
        key = "machines" if pool.settings.machines else "accelerator"
        for shape in pool.shapes:
            found.setdefault(shape.machine, []).append(f"skylift:pools.{name}.{key}")
    for name, endpoint in context.endpoints.items():
        key = "machine" if endpoint.settings.machine else "accelerator"
        found.setdefault(endpoint.shape.machine, []).append(f"skylift:endpoints.{name}.{key}")
    if context.settings.kind == "cluster":
        system = context.settings.cluster.system_machine or SYSTEM_MACHINE
        found.setdefault(system, []).append("skylift:cluster.system_machine")
    return found


def quotas(context: Context) -> Iterator[tuple[catalog.Quota, str]]:
    """Quotas of accelerators, each once, with the key of the first setting that counts against it.

    Machines without accelerators are let be: new accounts have room for them.
    """
    seen: set[tuple[str, str]] = set()
    for quota, key in _all(context):
        if (quota.service, quota.name) not in seen:
            seen.add((quota.service, quota.name))
            yield quota, key


def _all(context: Context) -> Iterator[tuple[catalog.Quota, str]]:
    kind = context.settings.kind
    assert kind != "local"
    for name, pool in context.pools.items():
        for shape in pool.shapes if pool.settings.accelerator != "cpu" else ():
            quota = catalog.quota(
                "aws",
                kind,
                shape.accelerator,
                spot=pool.settings.spot,
                machine=shape.machine,
                region=context.region,
            )
            yield quota, f"skylift:pools.{name}.accelerator"
    for name, endpoint in context.endpoints.items():
        if endpoint.settings.accelerator != "cpu":
            shape = endpoint.shape
            quota = catalog.quota(
                "aws", kind, shape.accelerator, use="serving", machine=shape.machine, region=context.region
            )
            yield quota, f"skylift:endpoints.{name}.accelerator"
