"""The shape `managed`: SageMaker's real-time endpoints. Training jobs are calls of the launcher, never resources."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.aws.managed_endpoint import Endpoint, EndpointArgs
from infra.aws.platform import Platform
from infra.component import Component
from infra.promise import Made, Served


@dataclass(frozen=True, kw_only=True)
class ManagedArgs:
    platform: Platform


class Managed(Component):
    """One SageMaker endpoint for each of the stack's, once `images.serving` names an image; without it they are left out, and that is
    said. Pools have no template: a training job names its machine itself.

    Attributes:
        made: for promise().
    """

    def __init__(self, name: str, args: ManagedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        context = args.platform.context
        super().__init__(name, context, opts)
        image = context.settings.images.serving
        if image is None:
            pulumi.log.info("left out: endpoints until skylift:images.serving names an image", self)
        served = {
            endpoint.name: Endpoint(
                f"{name}-{endpoint.name}",
                EndpointArgs(platform=args.platform, endpoint=endpoint, image=image),
                self.child(),
            ).served
            for endpoint in (context.endpoints.values() if image else ())
            if image
        }
        waiting = {one: Served(url="", access="sagemaker") for one in context.endpoints if one not in served}
        self.made = Made(endpoints={**served, **waiting})
        self.register_outputs({"endpoints": {one: its.url for one, its in served.items()}})
