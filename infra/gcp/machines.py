"""Which machines a stack asks for, and the quotas that hold them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.context import Context
from skylift import catalog

SYSTEM_MACHINE = "e2-standard-4"
"""Of a cluster's system pool: 4 CPUs, 16 GiB."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """One machine type that a setting asks for.

    Args:
        zones: that the setting names; empty for all of the region.
    """

    key: str
    machine: str
    accelerator: str = "cpu"
    spot: bool = False
    use: catalog.quotas.Use = "training"
    zones: tuple[str, ...] = field(default=())
    quota_hint: str = ""

    @property
    def family(self) -> str:
        """As the quota of H100 and later names it."""
        return f"NVIDIA_{self.accelerator}"


def needs(context: Context) -> Iterator[Need]:
    for name, plan in context.pools.items():
        key = f"skylift:pools.{name}.{'machines' if plan.settings.machines else 'accelerator'}"
        for shape in plan.shapes:
            yield Need(
                key=key,
                machine=shape.machine,
                accelerator=shape.accelerator,
                spot=plan.settings.spot,
                zones=tuple(plan.settings.zones),
            )
    for name, endpoint in context.endpoints.items():
        key = f"skylift:endpoints.{name}.{'machine' if endpoint.settings.machine else 'accelerator'}"
        yield Need(key=key, machine=endpoint.shape.machine, accelerator=endpoint.shape.accelerator, use="serving")


def system_machine(context: Context) -> set[str]:
    """Of the cluster that the stack makes."""
    if context.settings.kind != "cluster" or context.settings.cluster.name is not None:
        return set()
    return {context.settings.cluster.system_machine or SYSTEM_MACHINE}


def quota_ids(context: Context) -> dict[tuple[str, str], Need]:
    """Service and id of each accelerator's quota in Cloud Quotas, with the first need that counts against it.

    CPUs are let be: every project has room for some.
    """
    found: dict[tuple[str, str], Need] = {}
    kind = context.settings.kind
    assert kind != "local"
    for need in needs(context):
        if need.accelerator == "cpu":
            continue
        quota = catalog.quota(
            "gcp", kind, need.accelerator, spot=need.spot, use=need.use, machine=need.machine, region=context.region
        )
        told = Need(
            key=need.key, machine=need.machine, accelerator=need.accelerator, spot=need.spot, quota_hint=quota.hint
        )
        found.setdefault((quota.service, quota_id(quota.code)), told)
    return found


def quota_id(code: str) -> str:
    """The id in Cloud Quotas of what the catalog names by metric.

    Forms seen in public scripts, as in https://cloud.google.com/docs/quotas/gcloud-cli-examples. Not checked against a cloud.

    Examples:
        >>> quota_id("PREEMPTIBLE_NVIDIA_L4_GPUS")
        'PREEMPTIBLE-NVIDIA-L4-GPUS-per-project-region'
        >>> quota_id("custom_model_serving_nvidia_a100_80gb_gpus")
        'CustomModelServingA10080GBGPUsPerProjectPerRegion'
    """
    if "per-project" in code:
        return code
    if not code.startswith("custom_model_"):
        return f"{code.replace('_', '-')}-per-project-region"
    words = code.removesuffix("_gpus").replace("_nvidia", "").split("_")
    whose, model = words[:3], words[3:]
    if model[0] == "preemptible":
        whose, model = [*whose, "preemptible"], model[1:]
    return "".join(word.capitalize() for word in whose) + "".join(model).upper() + "GPUsPerProjectPerRegion"
