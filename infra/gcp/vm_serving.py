"""A group of machines that serves one endpoint, and the load balancer before it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context, EndpointPlan
from infra.gcp import names
from infra.gcp.grants_runs import SERVE_PORT
from infra.gcp.vm_balancer import Balancer, BalancerArgs

_BOOT_SECONDS = 600
_BOOT_SECONDS_GPU = 1200
"""Until a machine counts as sick: the driver comes up and some GB of image are pulled before it answers."""

_PORT_NAME = "http"


@dataclass(frozen=True, kw_only=True)
class GroupArgs:
    """
    Args:
        template: id of the instance template.
        zones: that sell the machine type.
        after: what must be there before a machine boots.
    """

    context: Context
    plan: EndpointPlan
    template: pulumi.Input[str]
    zones: Sequence[str]
    network: pulumi.Input[str]
    subnet: pulumi.Input[str]
    after: Sequence[pulumi.Resource] = ()


class Group(Component):
    """Machines over the zones of the region, replaced where they are sick, renewed new before old, added by the CPUs' use.

    Its size is the autoscaler's: `up` neither sets nor mends it. Without a certificate its load balancer speaks HTTP inside of the
    network only; a public one needs a certificate, which the settings hold.

    Attributes:
        id: of the group.
        url: base of the HTTP routes.
    """

    def __init__(self, name: str, args: GroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        health = self._health()
        group = self._group(health)
        self._autoscaler(group)
        balancer = Balancer(
            f"{name}-balancer",
            BalancerArgs(
                context=args.context,
                plan=args.plan,
                group=group.instance_group,
                health=health.id,
                port_name=_PORT_NAME,
                network=args.network,
                subnet=args.subnet,
                after=args.after,
            ),
            self.child(),
        )
        self.id, self.url = group.id, balancer.url
        self.register_outputs({"id": self.id, "url": self.url})

    def _health(self) -> gcp.compute.RegionHealthCheck:
        """Asks what tells readiness: with nothing deployed it is 200, so that a first `up` settles."""
        return gcp.compute.RegionHealthCheck(
            f"{self._name}-health",
            region=self.context.region,
            check_interval_sec=10,
            timeout_sec=5,
            healthy_threshold=2,
            unhealthy_threshold=6,
            http_health_check=gcp.compute.RegionHealthCheckHttpHealthCheckArgs(port=SERVE_PORT, request_path="/readyz"),
            log_config=gcp.compute.RegionHealthCheckLogConfigArgs(enable=True),
            opts=self.child(),
        )

    def _group(self, health: gcp.compute.RegionHealthCheck) -> gcp.compute.RegionInstanceGroupManager:
        args, gpu = self._args, self._args.plan.shape.count > 0
        serving = names.serving_group(self.context, args.plan.name)
        # Alarms know the group by the beginning of its name; other zones make another group, new before old.
        mark = hashlib.sha256(",".join(args.zones).encode()).hexdigest()[:4]
        return gcp.compute.RegionInstanceGroupManager(
            f"{self._name}-group",
            region=self.context.region,
            name=f"{serving}-{mark}",
            base_instance_name=serving,
            versions=[gcp.compute.RegionInstanceGroupManagerVersionArgs(instance_template=args.template)],
            distribution_policy_zones=list(args.zones),
            distribution_policy_target_shape="BALANCED" if gpu else "EVEN",
            named_ports=[gcp.compute.RegionInstanceGroupManagerNamedPortArgs(name=_PORT_NAME, port=SERVE_PORT)],
            auto_healing_policies=gcp.compute.RegionInstanceGroupManagerAutoHealingPoliciesArgs(
                health_check=health.id, initial_delay_sec=_BOOT_SECONDS_GPU if gpu else _BOOT_SECONDS
            ),
            update_policy=gcp.compute.RegionInstanceGroupManagerUpdatePolicyArgs(
                type="PROACTIVE",
                minimal_action="REPLACE",
                instance_redistribution_type="NONE" if gpu else "PROACTIVE",
                max_surge_fixed=len(args.zones),  # Google takes no less for a regional group, but for none
                max_unavailable_fixed=0,
            ),
            # The autoscaler's, and a releaser's: an `up` that set it would take machines away under load.
            opts=self.child(ignore_changes=["targetSize"], depends_on=list(args.after)),
        )

    def _autoscaler(self, group: gcp.compute.RegionInstanceGroupManager) -> None:
        plan = self._args.plan
        gcp.compute.RegionAutoscaler(
            f"{self._name}-autoscaler",
            region=self.context.region,
            target=group.id,
            autoscaling_policy=gcp.compute.RegionAutoscalerAutoscalingPolicyArgs(
                min_replicas=plan.min_replicas,
                max_replicas=plan.max_replicas,
                cooldown_period=_BOOT_SECONDS_GPU if plan.shape.count else _BOOT_SECONDS,
                cpu_utilization=gcp.compute.RegionAutoscalerAutoscalingPolicyCpuUtilizationArgs(
                    target=plan.settings.scale_at_cpu / 100
                ),
            ),
            opts=self.child(),
        )
