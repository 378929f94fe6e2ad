"""One endpoint on Azure ML: the endpoint, the deployment behind it, its traffic, its autoscaling."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_azure_native as azure

from infra.azure.computed import after
from infra.azure.identity import Identity
from infra.azure.machine import PLAIN_PORT, flags
from infra.azure.names import Names, stable_id
from infra.azure.scaling import autoscale
from infra.azure.workspace import Workspace
from infra.component import Component
from infra.context import Context, EndpointPlan

API = "2024-10-01"
CONCURRENT = 256
"""Requests that one instance may have at once; Azure's default of one would refuse all others with 429. The server has its own queue."""
LOGS = ("AmlOnlineEndpointConsoleLog", "AmlOnlineEndpointTrafficLog")


@dataclass(frozen=True, kw_only=True)
class OnlineArgs:
    """Args:
    environment: resource id of the environment version with the serving image.
    identity: of the serving container.
    logs: id of the log workspace.
    after: rights and ways to the buckets.
    """

    context: Context
    plan: EndpointPlan
    workspace: Workspace
    environment: pulumi.Input[str]
    identity: Identity
    logs: pulumi.Input[str]
    after: Sequence[pulumi.Resource]


class Online(Component):
    """An online endpoint that asks Entra who calls (no keys), and one deployment of the serving image that gets all requests.

    A new image or machine type makes a new deployment beside the old one, moves the requests and removes the old. Traffic may name only
    deployments that are there: so the endpoint is made without, and an ARM deployment sets it once there is one. Costs its machines.

    Attributes:
        url: base of the HTTP routes.
        id: resource id of the endpoint; `deployment` that of the deployment, which measures.
    """

    def __init__(self, name: str, args: OnlineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self._own = Names(args.context).online_endpoint(args.plan.name)
        self._endpoint = self._make_endpoint()
        deployment = self._deployment()
        self._traffic(deployment)
        autoscale(f"{name}-autoscaling", args.context, args.plan, args.workspace.group, deployment.id, self.child())
        self.id, self.deployment = self._endpoint.id, deployment.id
        told = after(self._endpoint.id, self._endpoint.properties)
        self.url = told.apply(lambda found: (found.scoring_uri or "").removesuffix("/score"))
        self.register_outputs({"url": self.url, "id": self.id})

    @property
    def _access(self) -> str:
        return "Enabled" if self._args.plan.exposure == "iam" else "Disabled"

    def _make_endpoint(self) -> azure.machinelearningservices.OnlineEndpoint:
        args = self._args
        made = azure.machinelearningservices.OnlineEndpoint(
            f"{self._name}-endpoint",
            resource_group_name=args.workspace.group,
            workspace_name=args.workspace.name,
            endpoint_name=self._own,
            location=self.context.region,
            kind="Managed",
            identity=azure.machinelearningservices.ManagedServiceIdentityArgs(
                type="UserAssigned", user_assigned_identities=[args.identity.id]
            ),
            properties=azure.machinelearningservices.OnlineEndpointPropertiesArgs(
                auth_mode="AADToken", public_network_access=self._access
            ),
            tags=self.context.tags,
            # Traffic is set by the ARM deployment below.
            opts=self.child(depends_on=args.after, ignore_changes=["properties.traffic"]),
        )
        azure.monitor.DiagnosticSetting(
            f"{self._name}-logs",
            name="skylift",
            resource_uri=made.id,
            workspace_id=args.logs,
            logs=[azure.monitor.DiagnosticsLogSettingsArgs(category=one, enabled=True) for one in LOGS],
            opts=self.child(),
        )
        return made

    def _deployment(self) -> azure.machinelearningservices.OnlineDeployment:
        args, plan = self._args, self._args.plan
        return azure.machinelearningservices.OnlineDeployment(
            f"{self._name}-deployment",
            resource_group_name=args.workspace.group,
            workspace_name=args.workspace.name,
            endpoint_name=self._endpoint.name,
            deployment_name=deployment_name(self.context, plan),
            location=self.context.region,
            kind="Managed",
            sku=azure.machinelearningservices.SkuArgs(name="Default", capacity=plan.min_replicas),
            properties=azure.machinelearningservices.ManagedOnlineDeploymentArgs(
                endpoint_compute_type="Managed",
                environment_id=args.environment,
                environment_variables=self._environment(),
                instance_type=plan.shape.machine,
                # The workspace's network says what goes out.
                egress_public_network_access="Enabled",
                app_insights_enabled=False,
                request_settings=azure.machinelearningservices.OnlineRequestSettingsArgs(
                    request_timeout=f"PT{plan.settings.request_seconds:g}S",
                    max_queue_wait=f"PT{plan.settings.request_seconds:g}S",
                    max_concurrent_requests_per_instance=CONCURRENT,
                ),
                liveness_probe=_probe("PT60S"),
                readiness_probe=_probe("PT10S"),
                scale_settings=azure.machinelearningservices.DefaultScaleSettingsArgs(scale_type="Default"),
            ),
            tags={**self.context.tags, "skylift-endpoint": plan.name},
            # Its size belongs to the autoscaler. Azure deletes no deployment that has traffic, but an endpoint with all of them.
            opts=self.child(
                depends_on=args.after,
                ignore_changes=["sku.capacity"],
                deleted_with=self._endpoint,
                # Azure's provider would delete the old one first, which still has the requests.
                delete_before_replace=False,
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="60m"),
            ),
        )

    def _environment(self) -> dict[str, pulumi.Input[str]]:
        """Azure ML takes no command: the image's own start reads its options here."""
        names, plan = Names(self.context), self._args.plan
        return {
            "SKYLIFT_STACK": self.context.tags["skylift-stack"],
            "SKYLIFT_REGION": self.context.region,
            "SKYLIFT_ENDPOINT": f"{names.bucket('keep')}/endpoints/{plan.name}",
            "SKYLIFT_WORK": names.bucket("work"),
            "SKYLIFT_HOST": "0.0.0.0",  # noqa: S104 inside of the service's own container
            "SKYLIFT_PORT": str(PLAIN_PORT),
            "SKYLIFT_FLAGS": shlex.join(flags(plan)),
            "SKYLIFT_APPROVAL": "1" if plan.settings.approval else "",
            "AZURE_CLIENT_ID": self._args.identity.client_id,
        }

    def _traffic(self, deployment: azure.machinelearningservices.OnlineDeployment) -> None:
        args = self._args
        known = pulumi.Output.all(
            workspace=args.workspace.name,
            endpoint=self._endpoint.name,
            deployment=deployment.name,
            identity=args.identity.id,
        )
        azure.resources.Deployment(
            f"{self._name}-traffic",
            resource_group_name=args.workspace.group,
            deployment_name=self.context.name(args.plan.name, "traffic", most=64),
            properties=azure.resources.DeploymentPropertiesArgs(
                mode=azure.resources.DeploymentMode.INCREMENTAL,
                template=known.apply(lambda told: template(self.context, self._access, told)),
            ),
            tags=self.context.tags,
            opts=self.child(depends_on=[deployment], deleted_with=self._endpoint),
        )


def template(context: Context, access: str, known: dict[str, str]) -> dict[str, Any]:
    """The whole endpoint again, for a PUT leaves out what it does not say; this time with traffic."""
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {
                "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
                "apiVersion": API,
                "name": f"{known['workspace']}/{known['endpoint']}",
                "location": context.region,
                "kind": "Managed",
                "tags": context.tags,
                "identity": {"type": "UserAssigned", "userAssignedIdentities": {known["identity"]: {}}},
                "properties": {
                    "authMode": "AADToken",
                    "publicNetworkAccess": access,
                    "traffic": {known["deployment"]: 100},
                },
            }
        ],
    }


def deployment_name(context: Context, plan: EndpointPlan) -> str:
    """Another one for each image and machine type, which Azure ML cannot change under requests."""
    image = context.settings.images.serving or ""
    return f"v{stable_id(image, plan.shape.machine).replace('-', '')[:12]}"


def _probe(delay: str) -> azure.machinelearningservices.ProbeSettingsArgs:
    """Ten minutes until a container that does not answer is given up."""
    return azure.machinelearningservices.ProbeSettingsArgs(
        initial_delay=delay, period="PT10S", timeout="PT5S", success_threshold=1, failure_threshold=60
    )
