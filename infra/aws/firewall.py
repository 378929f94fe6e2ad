"""Security groups: who may reach whom inside of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.network import Network
from infra.aws.scripts import PORT
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class FirewallArgs:
    context: Context
    network: Network


class Firewall(Component):
    """Groups without inline rules, each rule a resource of its own. `training`: machines of runs, all traffic among themselves (NCCL,
    gRPC) and none from elsewhere. `serving`: the port of the server, from load balancers only. Out: HTTPS and HTTP with a NAT
    gateway; without one the network's own endpoints and S3. No rule lets the internet in (AWS-NET-01); a public endpoint's load
    balancer has a group of its own. EKS has its cluster's own group: for that target none is made here.
    """

    def __init__(self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._network = name, args.network
        self._groups: dict[str, aws.ec2.SecurityGroup] = {}
        if args.context.settings.kind != "cluster":
            self._groups["training"] = self._group("training", "machines of training runs")
            self._groups["serving"] = self._group("serving", "machines that serve")
            self._among_themselves()
        for kind, group in self._groups.items():
            self._way_out(kind, group)
        self.register_outputs({kind: group.id for kind, group in self._groups.items()})

    @property
    def training(self) -> aws.ec2.SecurityGroup:
        return self._groups["training"]

    @property
    def serving(self) -> aws.ec2.SecurityGroup:
        return self._groups["serving"]

    def balancer(
        self, name: str, endpoint: str, port: int, ranges: list[str], *, parent: Component
    ) -> aws.ec2.SecurityGroup:
        """The group of an endpoint's load balancer: in from `ranges`, out to the serving machines only."""
        group = self._group(f"{endpoint}-balancer", f"load balancer of {endpoint}", f"{name}-group", parent)
        opts = pulumi.ResourceOptions(parent=parent)
        for index, cidr in enumerate(ranges):
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-in-{index}",
                security_group_id=group.id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_ipv4=None if ":" in cidr else cidr,
                cidr_ipv6=cidr if ":" in cidr else None,
                description="callers",
                opts=opts,
            )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-out",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            referenced_security_group_id=self.serving.id,
            description="serving machines",
            opts=opts,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-serving-in",
            security_group_id=self.serving.id,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            referenced_security_group_id=group.id,
            description=f"load balancer of {endpoint}",
            opts=opts,
        )
        return group

    def _group(self, kind: str, what: str, name: str = "", parent: Component | None = None) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            name or f"{self._name}-{kind}",
            vpc_id=self._network.vpc_id,
            description=f"Skylift stack {self.context.stack}: {what}",
            tags={"Name": f"{self.context.base}-{kind}"},
            opts=pulumi.ResourceOptions(parent=parent or self),
        )

    def _among_themselves(self) -> None:
        for way, rule in (("in", aws.vpc.SecurityGroupIngressRule), ("out", aws.vpc.SecurityGroupEgressRule)):
            rule(
                f"{self._name}-training-self-{way}",
                security_group_id=self.training.id,
                ip_protocol="-1",
                referenced_security_group_id=self.training.id,
                description="machines of runs among themselves",
                opts=self.child(),
            )

    def _way_out(self, kind: str, group: aws.ec2.SecurityGroup) -> None:
        """A referenced network may lead out however its owner wants: HTTPS to everywhere, and its routes decide."""
        open_: list[tuple[str, int, dict[str, Any]]] = [
            ("web", 443, {"cidr_ipv4": "0.0.0.0/0"}),
            ("packages", 80, {"cidr_ipv4": "0.0.0.0/0"}),
        ]
        closed: list[tuple[str, int, dict[str, Any]]] = [
            ("services", 443, {"cidr_ipv4": self._network.cidr}),
            ("s3", 443, {"prefix_list_id": self._network.prefix_list}),
        ]
        is_closed = self.context.egress == "private" and self._network.prefix_list is not None
        for what, port, target in closed if is_closed else open_:
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-{kind}-{what}",
                security_group_id=group.id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                description=f"out: {what}",
                opts=self.child(),
                **target,
            )
        if kind == "serving":
            # The agent of Session Manager forwards a caller's tunnel to the load balancer.
            port = 443 if any(one.settings.certificate for one in self.context.endpoints.values()) else 80
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-serving-tunnel",
                security_group_id=group.id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_ipv4=self._network.cidr,
                description="tunnels of callers to the load balancers",
                opts=self.child(),
            )
