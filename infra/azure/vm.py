"""Machines: pools as request bodies that cost nothing at rest, and a scale set behind a load balancer for each endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.azure.identity import Identities
from infra.azure.logs import Logs
from infra.azure.machine import Who, serving_script, training_script
from infra.azure.machine_logs import MachineLogs, MachineLogsArgs
from infra.azure.network import Network
from infra.azure.serving_set import ServingSet, ServingSetArgs
from infra.azure.templates import Body, body
from infra.component import Component
from infra.context import Context, PoolPlan
from infra.promise import Made, Served, Variant
from skylift.catalog import Shape
from skylift.stack.outputs import Access

_NOBODY = "00000000-0000-0000-0000-000000000000"
_NO_RULE = (
    f"/subscriptions/{_NOBODY}/resourceGroups/{'g' * 90}/providers/Microsoft.Insights/dataCollectionRules/{'r' * 64}"
)


@dataclass(frozen=True, kw_only=True)
class MachinesArgs:
    """Args:
    group: name of the resource group.
    after: what must be there before a machine starts.
    """

    context: Context
    group: pulumi.Input[str]
    network: Network
    identities: Identities
    logs: Logs
    after: Sequence[pulumi.Resource]


class Machines(Component):
    """Training machines are made by a run and gone with it; serving machines stand in one scale set per endpoint.

    No machine has a public address or an account that anybody can log in to: commands go through `az vmss run-command`, endpoints are
    reached in the network, through the Bastion host where there is one, or by TLS where an endpoint is `public`. Without the images of
    the settings there is nothing to run: the stack says so and leaves it out. GPU machines are untried on hardware.

    Attributes:
        sets: by endpoint.
    """

    def __init__(self, name: str, args: MachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check_scripts(args.context)
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self._rule = self._collected()
        self.sets: dict[str, ServingSet] = self._serve()
        self.made = Made(
            endpoints={endpoint: self._served(endpoint) for endpoint in args.context.endpoints},
            pools={pool: self._variants(plan) for pool, plan in args.context.pools.items()},
            place=self._place(),
        )
        self.register_outputs({"endpoints": {endpoint: one.url for endpoint, one in self.sets.items()}})

    def _collected(self) -> pulumi.Output[str] | None:
        """Resource id of the rule for what machines write; None where there are none to write."""
        context, args = self.context, self._args
        images = context.settings.images
        if not (images.serving and context.endpoints) and not (images.training and context.pools):
            return None
        collected = MachineLogsArgs(context=context, group=args.group, logs=args.logs.workspace)
        return MachineLogs(f"{self._name}-logs", collected, self.child()).rule

    def _serve(self) -> dict[str, ServingSet]:
        context, args = self.context, self._args
        if context.settings.images.serving is None:
            if context.endpoints:
                names = ", ".join(context.endpoints)
                pulumi.log.warn(f"endpoints left out until skylift:images.serving names an image: {names}", self)
            return {}
        rule = self._rule
        if rule is None:
            return {}
        return {
            endpoint: ServingSet(
                f"{self._name}-{endpoint}",
                ServingSetArgs(
                    context=context,
                    plan=plan,
                    group=args.group,
                    subnet=args.network.subnets[0],
                    identity=args.identities.of["serving"],
                    rule=rule,
                    after=args.after,
                ),
                self.child(),
            )
            for endpoint, plan in context.endpoints.items()
        }

    def _served(self, endpoint: str) -> Served:
        made = self.sets.get(endpoint)
        if made is None:
            return Served(url="", access=self._access(endpoint), settled=120.0)
        return Served(url=made.url, access=self._access(endpoint), resource=made.id, settled=120.0)

    def _access(self, endpoint: str) -> Access:
        if self.context.endpoints[endpoint].exposure == "public":
            return "direct"
        return "bastion" if self.context.settings.network.bastion else "network"

    def _variants(self, plan: PoolPlan) -> list[Variant]:
        if self.context.settings.images.training is None:
            pulumi.log.warn(f"pool {plan.name} starts nothing until skylift:images.training names an image", self)
            return []
        return [
            Variant(machine=shape.machine, spot=is_spot, body=self._body(plan, shape, is_spot))
            for shape, is_spot in plan.variants
        ]

    def _body(self, plan: PoolPlan, shape: Shape, is_spot: bool) -> pulumi.Output[dict[str, Any]]:
        host, training = self._args.identities.of["host"], self._args.identities.of["training"]

        def made(known: dict[str, str]) -> dict[str, Any]:
            who = Who(host=known["host_client"], training=known["training_client"])
            script = training_script(self.context, plan, shape, who, known["rule"])
            given = Body(subnet=known["subnet"], identities=(known["host"], known["training"]), script=script)
            return body(self.context, plan, shape, is_spot, given)

        return pulumi.Output.all(
            subnet=self._args.network.subnets[0],
            host=host.id,
            training=training.id,
            host_client=host.client_id,
            training_client=training.client_id,
            rule=self._rule or "",
        ).apply(made)

    def _place(self) -> dict[str, pulumi.Input[str]]:
        reach = {
            endpoint: "internet" if plan.exposure == "public" else self._access(endpoint)
            for endpoint, plan in self.context.endpoints.items()
        }
        place: dict[str, pulumi.Input[str]] = {f"reach_{endpoint}": way for endpoint, way in reach.items()}
        return place | {f"address_{endpoint}": one.address for endpoint, one in self.sets.items()}


def _check_scripts(context: Context) -> None:
    """The scripts are made when identities are known; what is wrong with them is said before anything is made."""
    if context.settings.images.training is not None:
        for pool in context.pools.values():
            training_script(context, pool, pool.shapes[0], Who(host=_NOBODY, training=_NOBODY), _NO_RULE)
    if context.settings.images.serving is not None:
        for endpoint in context.endpoints.values():
            serving_script(context, endpoint, _NOBODY)
