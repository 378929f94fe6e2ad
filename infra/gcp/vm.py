"""Compute Engine: pools that runs start from, and groups of machines that serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from infra import boot
from infra.component import Component
from infra.context import Context, EndpointPlan, PoolPlan
from infra.gcp import names
from infra.gcp.grants_runs import SERVE_PORT
from infra.gcp.serving_flags import flags
from infra.gcp.vm_serving import Group, GroupArgs
from infra.gcp.vm_template import TemplateArgs, resolved_image, template
from infra.promise import Made, Served, Variant

if TYPE_CHECKING:
    from infra.gcp.target import Ground

_SERVING_DISK_GIB = 100
_SETTLED = 300.0
"""A replica of a group may still be booting when a version is deployed [s]."""


@dataclass(frozen=True, kw_only=True)
class MachinesArgs:
    """
    Args:
        accounts: e-mails of the service accounts by identity.
        zones: where a serving group may be, by machine type.
        after: what must be there before a machine boots: the rights of its identity.
    """

    context: Context
    network: pulumi.Input[str]
    subnet: pulumi.Input[str]
    proxies: pulumi.Resource | None
    accounts: Mapping[str, pulumi.Input[str]]
    zones: Mapping[str, Sequence[str]]
    key: pulumi.Input[str] | None = None
    after: Sequence[pulumi.Resource] = ()

    @classmethod
    def on(cls, ground: Ground) -> MachinesArgs:
        assert ground.network is not None
        return cls(
            context=ground.context,
            network=ground.network.id,
            subnet=ground.network.subnet,
            proxies=ground.network.proxies,
            accounts=ground.identities.emails,
            zones=ground.zones,
            key=ground.key,
            after=ground.access.granted,
        )


class Machines(Component):
    """Templates of each pool, one for each shape and market, and a serving group for each endpoint.

    Without a training image pools have no templates, without a serving image endpoints have no group; `up` says so. Nothing here was
    tried on hardware.
    """

    def __init__(self, name: str, args: MachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        images = args.context.settings.images
        left_out = [
            word for word, image in (("training", images.training), ("serving", images.serving)) if image is None
        ]
        for word in left_out:
            pulumi.log.warn(
                f"skylift:images.{word} is not set: what needs the {word} image is left out until `skylift images` has built it",
                self,
            )
        self._image = None if len(left_out) == 2 else resolved_image(self)
        self.made = Made(
            endpoints={one: self._served(plan) for one, plan in args.context.endpoints.items()},
            pools={one: self._variants(plan) for one, plan in args.context.pools.items()},
            place={"run_prefix": names.run_prefix(args.context), "port": str(SERVE_PORT)}
            | ({"training_image": images.training} if images.training else {}),
        )
        self.register_outputs(
            {"urls": {one: served.url for one, served in self.made.endpoints.items()}, "pools": list(self.made.pools)}
        )

    def _variants(self, plan: PoolPlan) -> list[Variant]:
        image = self.context.settings.images.training
        if image is None:
            return []
        return [
            Variant(machine=shape.machine, spot=spot, id=self._template(plan, image, at).id)
            for at, (shape, spot) in enumerate(plan.variants)
        ]

    def _template(self, plan: PoolPlan, image: str, at: int) -> pulumi.CustomResource:
        shape, spot = plan.variants[at]
        spec = self._spec("train", image, gpu=shape.count > 0, max_hours=plan.settings.max_hours)
        return self._machine(
            f"{self._name}-pool-{names.slug(plan.name)}-{shape.machine}-{'spot' if spot else 'demand'}",
            TemplateArgs(
                context=self.context,
                shape=shape,
                image=self._image or "",
                container=image,
                script=boot.render("gcp", spec),
                account=self._args.accounts["host"],
                subnet=self._args.subnet,
                disk_gib=plan.settings.disk_gib,
                spot=spot,
                hours=plan.settings.max_hours,
                key=self._args.key,
                labels={"skylift-pool": names.slug(plan.name, most=63)},
            ),
        )

    def _served(self, plan: EndpointPlan) -> Served:
        image = self.context.settings.images.serving
        if image is None:
            return Served(url="", access="iap", settled=_SETTLED)
        told = {"SKYLIFT_API_KEYS": names.api_keys(self.context, plan.name)} if plan.settings.api_keys else {}
        spec = self._spec("serve", image, gpu=plan.shape.count > 0, endpoint=plan.name, flags=flags(plan), env=told)
        made = self._machine(
            f"{self._name}-serve-{names.slug(plan.name)}",
            TemplateArgs(
                context=self.context,
                shape=plan.shape,
                image=self._image or "",
                container=image,
                script=boot.render("gcp", spec),
                account=self._args.accounts["serving"],
                subnet=self._args.subnet,
                disk_gib=_SERVING_DISK_GIB,
                key=self._args.key,
                labels={"skylift-endpoint": names.slug(plan.name, most=63)},
            ),
        )
        args = self._args
        group = Group(
            f"{self._name}-serve-{names.slug(plan.name)}",
            GroupArgs(
                context=self.context,
                plan=plan,
                template=made.id,
                zones=args.zones[plan.shape.machine],
                network=args.network,
                subnet=args.subnet,
                after=[*args.after, *([args.proxies] if args.proxies is not None else [])],
            ),
            self.child(),
        )
        return Served(
            url=group.url,
            access="direct" if plan.exposure == "public" else "iap",
            resource=group.id,
            settled=_SETTLED,
        )

    def _machine(self, name: str, args: TemplateArgs) -> pulumi.CustomResource:
        return template(name, args, self.child())

    def _spec(
        self,
        mode: boot.Mode,
        image: str,
        *,
        gpu: bool,
        max_hours: float | None = None,
        endpoint: str = "",
        flags: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> boot.BootSpec:
        context = self.context
        return boot.BootSpec(
            mode=mode,
            stack=context.tags["skylift-stack"],
            region=context.region,
            account=context.account,
            image=image,
            registry=image.partition("/")[0],
            keep=names.bucket(context, "keep").url,
            work=names.bucket(context, "work").url,
            gpu=gpu,
            port=SERVE_PORT,
            env=env or {},
            endpoint=endpoint,
            flags=flags,
            max_hours=max_hours,
            logs=context.account,
        )
