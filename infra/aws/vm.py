"""The shape `vm`: pools as launch templates, endpoints as Auto Scaling groups."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.aws.alarms import alarm
from infra.aws.images import Images, ImagesArgs, kind_of
from infra.aws.log_metrics import Lines, idle_machines, measure
from infra.aws.names import Names
from infra.aws.platform import Platform
from infra.aws.scripts import training_script
from infra.aws.served import Group, GroupArgs
from infra.aws.templates import Machine, template
from infra.component import Component
from infra.context import PoolPlan
from infra.promise import Made, Served, Variant


@dataclass(frozen=True, kw_only=True)
class MachinesArgs:
    platform: Platform


class Machines(Component):
    """Pools cost nothing at rest: one launch template for each machine type, on demand and, where the pool allows it, spot. A launcher
    makes a run group of one of them; the machines go by their own end, the run group's, or the reaper. What needs an image that the
    settings do not name is left out, and said.

    Attributes:
        made: for promise().
    """

    def __init__(self, name: str, args: MachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        context = args.platform.context
        super().__init__(name, context, opts)
        self._name, self._platform, self._names = name, args.platform, Names(context)
        images = context.settings.images
        pools = context.pools.values() if images.training else ()
        endpoints = context.endpoints.values() if images.serving else ()
        kinds = {kind_of(shape) for pool in pools for shape in pool.shapes} | {kind_of(one.shape) for one in endpoints}
        self._images = Images(f"{name}-images", ImagesArgs(context=context, kinds=frozenset(kinds)), self.child())
        variants = {pool.name: self._pool(pool, images.training) for pool in pools if images.training}
        left_out = [
            f"{what} until skylift:images.{kind} names an image"
            for what, kind, image in (("pools", "training", images.training), ("endpoints", "serving", images.serving))
            if image is None
        ]
        if left_out:
            pulumi.log.info(f"left out: {'; '.join(left_out)}", self)
        self._watch()
        groups = {
            endpoint.name: Group(
                f"{name}-{endpoint.name}",
                GroupArgs(platform=args.platform, endpoint=endpoint, image=self._images.ids[kind_of(endpoint.shape)]),
                self.child(),
            )
            for endpoint in endpoints
        }
        served = {one: group.served for one, group in groups.items()}
        waiting = {one: Served(url="", access="ssm") for one in context.endpoints if one not in groups}
        # Where a tunnel leads, whatever name the certificate has.
        hosts = {f"balancer.{one}": group.host for one, group in groups.items()}
        self.made = Made(endpoints={**served, **waiting}, pools=variants, place=hosts)
        self.register_outputs({"endpoints": {one: its.url for one, its in served.items()}})

    def _watch(self) -> None:
        """What serves has alarms of its load balancer (served.py)."""
        monitoring = self._platform.monitoring
        has_gpus = any(shape.count for pool in self.context.pools.values() for shape in pool.shapes)
        if self.context.settings.images.training and has_gpus and monitoring.logs is not None:
            lines = Lines(group=monitoring.logs, pattern='$.event = "gpu"')
            measure(self, f"{self._name}-idle-minutes", "idle_minutes", lines)
            alarm(self, f"{self._name}-idle-gpu", idle_machines(self), monitoring)

    def _pool(self, pool: PoolPlan, image: str) -> list[Variant]:
        found = []
        for shape, spot in pool.variants:
            made = template(
                self,
                f"{self._name}-{pool.name}-{shape.machine.replace('.', '-')}{'-spot' if spot else ''}",
                Machine(
                    shape=shape,
                    spot=spot,
                    image=self._images.ids[kind_of(shape)],
                    profile=self._platform.identity.profiles["host"],
                    group=self._platform.firewall.training.id,
                    disk_gib=pool.settings.disk_gib,
                    script=training_script(self._names, pool, image, shape),
                    tags={"skylift-role": "training", "skylift-pool": pool.name},
                ),
            )
            found.append(Variant(machine=shape.machine, spot=spot, id=made.id))
        return found
