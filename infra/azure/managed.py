"""Azure ML: pools as compute clusters from zero, endpoints as managed online endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.identity import Identities
from infra.azure.logs import Logs
from infra.azure.machine import PLAIN_PORT
from infra.azure.names import stable_id
from infra.azure.online import Online, OnlineArgs
from infra.azure.workspace import Workspace
from infra.component import Component
from infra.context import Context, PoolPlan
from infra.promise import Made, Served

IDLE = "PT5M"


@dataclass(frozen=True, kw_only=True)
class ManagedArgs:
    """Args:
    after: what must be there before anything runs.
    """

    context: Context
    workspace: Workspace
    identities: Identities
    logs: Logs
    after: Sequence[pulumi.Resource]


class Managed(Component):
    """A compute cluster for each kind of machine of a pool, with no machine at rest and none five minutes after the last job; and an
    online endpoint for each of the settings, once there is a serving image. A deployment takes 10 to 20 minutes to be made.

    Attributes:
        endpoints: by name.
    """

    def __init__(self, name: str, args: ManagedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self._ready = [*args.after, *args.workspace.ready]
        computes = {pool: self._computes(plan) for pool, plan in args.context.pools.items()}
        self.endpoints = self._serve()
        place: dict[str, pulumi.Input[str]] = {
            "workspace": args.workspace.name,
            "workspace_resource_group": args.workspace.group,
        }
        place |= {f"compute_{pool}": ",".join(names) for pool, names in computes.items()}
        self.made = Made(
            endpoints={endpoint: self._served(endpoint) for endpoint in args.context.endpoints}, place=place
        )
        self.register_outputs({"workspace": args.workspace.name})

    def _computes(self, plan: PoolPlan) -> list[str]:
        """One for each shape and price, in the order to try."""
        names = []
        for at, (shape, is_spot) in enumerate(plan.variants):
            names.append(compute_name(plan.name, at))
            azure.machinelearningservices.Compute(
                f"{self._name}-{plan.name}-{at}",
                resource_group_name=self._args.workspace.group,
                workspace_name=self._args.workspace.name,
                compute_name=names[-1],
                location=self.context.region,
                identity=azure.machinelearningservices.ManagedServiceIdentityArgs(
                    type="UserAssigned", user_assigned_identities=[self._args.identities.of["training"].id]
                ),
                properties=azure.machinelearningservices.AmlComputeArgs(
                    compute_type="AmlCompute",
                    compute_location=self.context.region,
                    disable_local_auth=True,
                    properties=azure.machinelearningservices.AmlComputePropertiesArgs(
                        vm_size=shape.machine,
                        vm_priority="LowPriority" if is_spot else "Dedicated",
                        os_type="Linux",
                        scale_settings=azure.machinelearningservices.ScaleSettingsArgs(
                            min_node_count=0,
                            max_node_count=plan.settings.max_machines,
                            node_idle_time_before_scale_down=IDLE,
                        ),
                        enable_node_public_ip=False,
                        remote_login_port_public_access="Disabled",
                    ),
                ),
                tags={**self.context.tags, "skylift-pool": plan.name},
                opts=self.child(depends_on=self._ready),
            )
        return names

    def _serve(self) -> dict[str, Online]:
        image = self.context.settings.images.serving
        if image is None:
            if self.context.endpoints:
                names = ", ".join(self.context.endpoints)
                pulumi.log.warn(f"endpoints left out until skylift:images.serving names an image: {names}", self)
            return {}
        environment = self._environment(image)
        return {
            endpoint: Online(
                f"{self._name}-{endpoint}",
                OnlineArgs(
                    context=self.context,
                    plan=plan,
                    workspace=self._args.workspace,
                    environment=environment.id,
                    identity=self._args.identities.of["serving"],
                    logs=self._args.logs.workspace,
                    after=self._ready,
                ),
                self.child(),
            )
            for endpoint, plan in self.context.endpoints.items()
        }

    def _environment(self, image: str) -> azure.machinelearningservices.EnvironmentVersion:
        def route(path: str) -> azure.machinelearningservices.RouteArgs:
            return azure.machinelearningservices.RouteArgs(path=path, port=PLAIN_PORT)

        return azure.machinelearningservices.EnvironmentVersion(
            f"{self._name}-environment",
            resource_group_name=self._args.workspace.group,
            workspace_name=self._args.workspace.name,
            name=self.context.name("serving", most=255),
            version=image.rpartition(":")[2][:20],
            properties=azure.machinelearningservices.EnvironmentVersionPropertiesArgs(
                image=image,
                os_type="Linux",
                inference_config=azure.machinelearningservices.InferenceContainerPropertiesArgs(
                    liveness_route=route("/healthz"), readiness_route=route("/readyz"), scoring_route=route("/score")
                ),
                tags=self.context.tags,
            ),
            # Versions are for good in Azure ML; they go with their workspace.
            opts=self.child(depends_on=self._ready, retain_on_delete=True, delete_before_replace=False),
        )

    def _served(self, endpoint: str) -> Served:
        made = self.endpoints.get(endpoint)
        if made is None:
            return Served(url="", access="azureml", settled=300.0)
        return Served(url=made.url, access="azureml", resource=made.id, settled=300.0)


def compute_name(pool: str, at: int) -> str:
    """2 to 16 letters, digits and hyphens, a letter first."""
    plain = re.sub("[^a-z0-9]+", "-", pool.lower()).strip("-")
    if len(plain) > 11:
        plain = f"{plain[:6]}{stable_id(pool)[:5]}"
    return f"p-{plain}-{at}"
