"""Compute Engine: pools and serving groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from infra.component import Component
from infra.context import Context
from infra.promise import Made, Served

if TYPE_CHECKING:
    from infra.gcp.target import Ground


@dataclass(frozen=True, kw_only=True)
class MachinesArgs:
    context: Context

    @classmethod
    def on(cls, ground: Ground) -> MachinesArgs:
        return cls(context=ground.context)


class Machines(Component):
    """Machines."""

    def __init__(self, name: str, args: MachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self.made = Made(endpoints={one: Served(url="", access="iap") for one in args.context.endpoints})
        self.register_outputs({})
