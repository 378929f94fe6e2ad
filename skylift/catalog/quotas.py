"""The names under which the clouds limit what an account may run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from skylift.catalog.machines import shapes
from skylift.catalog.tables import table
from skylift.errors import NotFoundError

Service = Literal["vm", "cluster", "managed"]
Use = Literal["training", "serving"]


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit of an account or project in one region.

    Attributes:
        service: the cloud's own code of the service that holds the limit.
        code: the limit's code; empty where the cloud gives it out by account only.
        name: as the console shows it.
        unit: what it counts: vCPUs, accelerators or machines.
        hint: the command that shows it and where to raise it.
    """

    service: str
    code: str
    name: str
    unit: str
    hint: str


def quota(
    cloud: str,
    service: Service,
    accelerator: str,
    *,
    spot: bool = False,
    use: Use = "training",
    machine: str | None = None,
    region: str = "<region>",
) -> Quota:
    """The quota that a machine with this accelerator counts against.

    Args:
        use: managed services count training and serving apart; for `vm` and `cluster` it says nothing.
        machine: SageMaker counts by machine type; without it the cheapest one with that accelerator is named.

    Raises:
        NotFoundError: the cloud sells no such accelerator, or not on spot for that use.
    """
    if cloud == "aws" and service == "managed":
        return _sagemaker(accelerator, spot=spot, use=use, machine=machine, region=region)
    market = "spot" if spot else "on-demand"
    kind = service if service == "managed" else "vm"
    for row in table("quotas"):
        if (
            (row["cloud"], row["service"], row["market"]) == (cloud, kind, market)
            and accelerator in row["accelerators"].split()
            and row["use"] in ("any", use)
        ):
            return Quota(row["service_code"], row["code"], row["name"], row["unit"], row["hint"].format(region=region))
    shapes(cloud, accelerator, _any_count(cloud, accelerator))  # the error that names what the cloud has instead
    raise NotFoundError(
        f"{cloud} has no {market} {accelerator} for {use} on its {service} service", hint="set spot: false for it"
    )


def _sagemaker(accelerator: str, *, spot: bool, use: Use, machine: str | None, region: str) -> Quota:
    if spot and use == "serving":
        raise NotFoundError("SageMaker serves on no spot machines", hint="set spot: false for the endpoint")
    first = machine or shapes("aws", accelerator, _any_count("aws", accelerator))[0].machine
    purpose = "endpoint usage" if use == "serving" else f"{'spot ' if spot else ''}training job usage"
    name = f"ml.{first} for {purpose}"
    hint = (
        f"aws service-quotas list-service-quotas --service-code sagemaker --region {region} "
        f"--query \"Quotas[?QuotaName=='{name}']\"; raise it with its QuotaCode in Service Quotas"
    )
    return Quota("sagemaker", "", name, "machines", hint)


def _any_count(cloud: str, accelerator: str) -> int:
    rows = [row for row in table("shapes") if (row["cloud"], row["accelerator"]) == (cloud, accelerator)]
    return int(rows[0]["count"]) if rows else 1
