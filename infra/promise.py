"""From what a cloud's components made to the outputs contract, the same way for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from infra.context import Context, PoolPlan
from skylift.stack import outputs as contract


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a shape (vm, cluster, managed) made of one endpoint. `url` is empty where no serving image is set."""

    url: pulumi.Input[str]
    access: contract.Access
    resource: pulumi.Input[str] = ""
    settled: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One template of a pool; see contract.Template."""

    machine: str
    spot: bool
    id: pulumi.Input[str] = ""
    body: pulumi.Input[Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one of vm, cluster or managed adds to a stack."""

    endpoints: Mapping[str, Served] = field(default_factory=dict)
    pools: Mapping[str, Sequence[Variant]] = field(default_factory=dict)
    place: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def promise(
    context: Context,
    made: Made,
    *,
    keep: pulumi.Input[str],
    work: pulumi.Input[str],
    registry: pulumi.Input[str],
    identities: Mapping[str, pulumi.Input[str]],
    secrets: Mapping[str, pulumi.Input[str]],
    place: Mapping[str, pulumi.Input[str]],
) -> pulumi.Output[contract.Outputs]:
    """The contract of a cloud stack. `identities` by role, `secrets` by name (never values), `place` what launchers must name beside."""
    known = pulumi.Output.all(
        keep=keep,
        work=work,
        registry=registry,
        identities=dict(identities),
        secrets=dict(secrets),
        place={**place, **made.place},
        urls={name: one.url for name, one in made.endpoints.items()},
        resources={name: one.resource for name, one in made.endpoints.items()},
        templates={
            name: [{"id": one.id, "body": one.body} for one in variants] for name, variants in made.pools.items()
        },
    )
    return known.apply(lambda found: _outputs(context, made, found))


def _outputs(context: Context, made: Made, found: Mapping[str, Any]) -> contract.Outputs:
    return contract.Outputs(
        contract=contract.CONTRACT,
        target=context.settings.target,
        region=context.region,
        account=context.account,
        buckets=contract.Buckets(keep=found["keep"], work=found["work"]),
        endpoints={
            name: contract.EndpointOutput(
                url=found["urls"][name],
                access=one.access,
                settled=one.settled,
                resource=found["resources"][name],
                approval=context.settings.endpoints[name].approval,
            )
            for name, one in made.endpoints.items()
        },
        pools={
            name: _pool(context, plan, made.pools.get(name, ()), found["templates"].get(name, []))
            for name, plan in context.pools.items()
        },
        registry=found["registry"],
        identities=found["identities"],
        place=found["place"],
        secrets=found["secrets"],
    )


def _pool(
    context: Context, plan: PoolPlan, variants: Sequence[Variant], found: Sequence[Mapping[str, Any]]
) -> contract.PoolOutput:
    is_sagemaker = context.settings.target == "sagemaker"  # which has names of its own for the same machines
    first, settings = plan.shapes[0], plan.settings
    return contract.PoolOutput(
        accelerator=settings.accelerator,
        count=first.count,
        cpus=first.cpus,
        memory=first.memory_gib,
        machines=[shape.sagemaker if is_sagemaker else shape.machine for shape in plan.shapes],
        zones=list(settings.zones),
        spot=settings.spot,
        max_machines=settings.max_machines,
        max_hours=settings.max_hours,
        checkpoint_minutes=settings.checkpoint_minutes,
        templates=[
            contract.Template(machine=one.machine, spot=one.spot, id=known["id"], body=dict(known["body"]))
            for one, known in zip(variants, found, strict=True)
        ],
    )
