"""The load balancer of an endpoint on machines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.platform import Platform
from infra.aws.scripts import PORT
from infra.component import Component
from infra.context import EndpointPlan

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    platform: Platform
    endpoint: EndpointPlan


class Balancer(Component):
    """An Application Load Balancer (about 16 USD a month) in the private subnets, open to the network's own addresses; in the public
    ones, by TLS and to the listed ranges, where the endpoint is `public`. A machine gets requests once `/readyz` answers, and keeps
    those that it has for `drain_seconds` when it goes.

    Attributes:
        target: the target group that the machines join.
        url: what callers ask.
    """

    def __init__(self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._name, self._args, self._told = name, args, args.endpoint.settings
        self.balancer = self._balancer()
        self.target = self._target()
        certificate = self._told.certificate
        aws.lb.Listener(
            f"{name}-listener",
            load_balancer_arn=self.balancer.arn,
            port=self._port,
            protocol="HTTPS" if certificate else "HTTP",
            certificate_arn=certificate,
            ssl_policy=TLS_POLICY if certificate else None,
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=self.target.arn)],
            # A target group is of one load balancer: the old listener lets go of it first.
            opts=self.child(delete_before_replace=True),
        )
        host = self._told.hostname or self.balancer.dns_name
        self.url: pulumi.Output[str] = pulumi.Output.concat("https://" if certificate else "http://", host)
        self.register_outputs({"url": self.url})

    @property
    def _port(self) -> int:
        return 443 if self._told.certificate else 80

    def _balancer(self) -> aws.lb.LoadBalancer:
        platform, told = self._args.platform, self._told
        is_public = self._args.endpoint.exposure == "public"
        ranges = (told.allowed_ranges or ["0.0.0.0/0"]) if is_public else [platform.network.cidr]
        group = platform.firewall.balancer(self._name, self._args.endpoint.name, self._port, list(ranges), parent=self)
        return aws.lb.LoadBalancer(
            f"{self._name}-balancer",
            internal=not is_public,
            load_balancer_type="application",
            security_groups=[group.id],
            subnets=platform.network.public_ids if is_public else platform.network.subnet_ids,
            drop_invalid_header_fields=True,
            idle_timeout=math.ceil(told.request_seconds) + 5,
            opts=self.child(),
        )

    def _target(self) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            f"{self._name}-target",
            port=PORT,
            protocol="HTTP",
            target_type="instance",
            vpc_id=self._args.platform.network.vpc_id,
            load_balancing_algorithm_type="least_outstanding_requests",
            deregistration_delay=math.ceil(self._told.drain_seconds),
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                path="/readyz", matcher="200", interval=10, timeout=5, healthy_threshold=2, unhealthy_threshold=3
            ),
            opts=self.child(),
        )
