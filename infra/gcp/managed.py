"""Vertex AI: endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import names
from infra.promise import Made, Served

if TYPE_CHECKING:
    from infra.gcp.target import Ground


@dataclass(frozen=True, kw_only=True)
class ManagedArgs:
    context: Context
    number: str
    key: pulumi.Input[str] | None = None

    @classmethod
    def on(cls, ground: Ground) -> ManagedArgs:
        return cls(context=ground.context, number=ground.number, key=ground.key)


class Managed(Component):
    """Endpoints."""

    def __init__(self, name: str, args: ManagedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        served = {}
        for plan in args.context.endpoints.values():
            made = gcp.vertex.AiEndpoint(
                f"{name}-{plan.name}",
                name=names.endpoint_id(args.context, plan.name),
                display_name=args.context.name(plan.name, most=128),
                location=args.context.region,
                dedicated_endpoint_enabled=True,
                opts=self.child(ignore_changes=["trafficSplit", "deployedModels"]),
            )
            served[plan.name] = Served(url="", access="vertex", resource=made.id)
        self.made = Made(endpoints=served)
        self.register_outputs({})
