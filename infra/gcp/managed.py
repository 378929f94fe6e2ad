"""Vertex AI: endpoints, and the serving image on them. Jobs are no resources: `skylift train` starts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context, EndpointPlan
from infra.gcp import grants, names
from infra.gcp.grants_runs import SERVE_PORT
from infra.gcp.serving_flags import flags
from infra.gcp.vertex_deployment import Deployment
from infra.promise import Made, Served

if TYPE_CHECKING:
    from infra.gcp.target import Ground

_SETTLED = 180.0


@dataclass(frozen=True, kw_only=True)
class ManagedArgs:
    """
    Args:
        number: the project's number.
        account: e-mail of the serving identity.
        network: where private endpoints are reached; None without any.
        subnet: likewise.
        roles: custom roles by name, known once they are there.
        after: what must be there before a container starts: the rights of its identity.
    """

    context: Context
    number: str
    account: pulumi.Input[str]
    network: pulumi.Input[str] | None = None
    subnet: pulumi.Input[str] | None = None
    key: pulumi.Input[str] | None = None
    roles: Mapping[str, pulumi.Input[str]]
    after: Sequence[pulumi.Resource] = ()

    @classmethod
    def on(cls, ground: Ground) -> ManagedArgs:
        return cls(
            context=ground.context,
            number=ground.number,
            account=ground.identities.emails["serving"],
            network=ground.network.id if ground.network else None,
            subnet=ground.network.subnet if ground.network else None,
            key=ground.key,
            roles=ground.identities.roles,
            after=ground.access.granted,
        )


class Managed(Component):
    """An endpoint for each of the settings', with an address of its own that asks IAM who calls, or inside of the network only.

    An endpoint costs nothing; what is deployed on it does, by the hour of its machines and never less than `min_replicas`. Without a
    serving image endpoints stay empty, and `up` says so. A private one is reached through Private Service Connect, which puts an
    address into the stack's network (about 7 USD a month); a network of yours needs a connection policy for gcp-vertexai before.
    """

    def __init__(self, name: str, args: ManagedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        context = args.context
        if context.settings.images.serving is None:
            pulumi.log.warn(
                "skylift:images.serving is not set: endpoints stay empty until `skylift images` has built it", self
            )
        self._after = [*args.after, *self._policy()]
        images = context.settings.images
        self.made = Made(
            endpoints={plan.name: self._served(plan) for plan in context.endpoints.values()},
            place={"training_image": images.training} if images.training else {},
        )
        self.register_outputs({"endpoints": {one: served.resource for one, served in self.made.endpoints.items()}})

    def _served(self, plan: EndpointPlan) -> Served:
        endpoint = self._endpoint(plan)
        for grant in grants.grants(self.context):
            if grant.who == "caller":
                self._callers(plan, endpoint, grants.roles_of(self.context, grant, grants.custom_roles(self.context)))
        image = self.context.settings.images.serving
        if image is None:
            return Served(url="", access="vertex", resource=endpoint.id, settled=_SETTLED)
        deployment = Deployment(
            f"{self._name}-{names.slug(plan.name)}-deployment",
            self._inputs(plan, endpoint, image),
            self.child(depends_on=[endpoint, *self._after]),
        )
        host: pulumi.Input[str] = deployment.address if _private(plan) else endpoint.dedicated_endpoint_dns
        # The address answers once something is deployed.
        url = pulumi.Output.all(host, endpoint.id, deployment.deployed_id).apply(
            lambda got: f"https://{got[0]}/v1/{got[1]}"
        )
        return Served(url=url, access="vertex", resource=endpoint.id, settled=_SETTLED)

    def _endpoint(self, plan: EndpointPlan) -> gcp.vertex.AiEndpoint:
        context, key = self.context, self._args.key
        return gcp.vertex.AiEndpoint(
            f"{self._name}-{names.slug(plan.name)}",
            name=names.endpoint_id(context, plan.name),
            display_name=context.name(names.slug(plan.name, most=63), most=128),
            description=f"Endpoint {plan.name} of the Skylift stack {context.stack}",
            location=context.region,
            region=context.region,
            dedicated_endpoint_enabled=None if _private(plan) else True,
            private_service_connect_config=self._connect() if _private(plan) else None,
            encryption_spec=None if key is None else gcp.vertex.AiEndpointEncryptionSpecArgs(kms_key_name=key),
            # Google takes the id once: the old endpoint goes before a new one comes. Traffic is the deployment's.
            opts=self.child(delete_before_replace=True, ignore_changes=["trafficSplit", "deployedModels"]),
        )

    def _connect(self) -> gcp.vertex.AiEndpointPrivateServiceConnectConfigArgs:
        config = gcp.vertex.AiEndpointPrivateServiceConnectConfigPscAutomationConfigArgs
        return gcp.vertex.AiEndpointPrivateServiceConnectConfigArgs(
            enable_private_service_connect=True,
            project_allowlists=[self.context.account],
            psc_automation_configs=[config(network=self._args.network or "", project_id=self.context.account)],
        )

    def _policy(self) -> list[pulumi.Resource]:
        """Lets Vertex AI put addresses into the stack's own network.

        https://cloud.google.com/vertex-ai/docs/predictions/private-service-connect
        """
        args = self._args
        if args.network is None or args.subnet is None or self.context.settings.network.id is not None:
            return []
        return [
            gcp.networkconnectivity.ServiceConnectionPolicy(
                f"{self._name}-connections",
                location=self.context.region,
                service_class="gcp-vertexai",
                network=args.network,
                psc_config=gcp.networkconnectivity.ServiceConnectionPolicyPscConfigArgs(subnetworks=[args.subnet]),
                opts=self.child(),
            )
        ]

    def _callers(self, plan: EndpointPlan, endpoint: gcp.vertex.AiEndpoint, roles: Sequence[str]) -> None:
        for principal in self.context.settings.access.predict:
            for role in roles:
                gcp.vertex.AiEndpointIamMember(
                    f"{self._name}-{names.slug(plan.name)}-{names.mark(principal)}",
                    endpoint=endpoint.name,
                    location=self.context.region,
                    role=self._args.roles.get(role, role),
                    member=principal,
                    opts=self.child(),
                )

    def _inputs(self, plan: EndpointPlan, endpoint: gcp.vertex.AiEndpoint, image: str) -> dict[str, Any]:
        context, shape = self.context, plan.shape
        keep, work = names.bucket(context, "keep").url, names.bucket(context, "work").url
        given = {"--endpoint": f"{keep}/endpoints/{plan.name}", "--work": work, "--port": str(SERVE_PORT)}
        serve = [part for option in given.items() for part in option]
        return {
            "project": context.account,
            "region": context.region,
            "endpoint": endpoint.id,
            "display_name": context.name(names.slug(plan.name, most=63), most=128),
            "image": image,
            "args": ["serve", *serve, "--host", "0.0.0.0", "--cache", "/tmp/cache", *flags(plan)],  # noqa: S104, S108
            "env": {"SKYLIFT_STACK": context.tags["skylift-stack"], "SKYLIFT_REGION": context.region},
            "port": SERVE_PORT,
            "service_account": self._args.account,
            "machine": shape.machine,
            "accelerator": shape.vertex_accelerator if shape.count else "",
            "accelerators": shape.count,
            "min_replicas": plan.min_replicas,
            "max_replicas": plan.max_replicas,
            "scale_at_cpu": plan.settings.scale_at_cpu,
            "request_seconds": plan.settings.request_seconds,
            "dedicated": not _private(plan),
            "labels": context.tags,
            "key": self._args.key if self._args.key is not None else "",
        }


def _private(plan: EndpointPlan) -> bool:
    return plan.exposure == "private"
