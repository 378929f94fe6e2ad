"""Private endpoints of AWS' services in a network of the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class PrivateEndpointsArgs:
    """`services`: the end of their names, such as `ecr.api`; `cidr`: who may reach them."""

    context: Context
    vpc_id: pulumi.Input[str]
    cidr: str
    subnet_ids: Sequence[pulumi.Input[str]]
    services: Sequence[str]


class PrivateEndpoints(Component):
    """One interface endpoint for each service, in each of the subnets (about 7 USD a month each), reached by HTTPS from the network only
    and found under the service's own name."""

    def __init__(self, name: str, args: PrivateEndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            vpc_id=args.vpc_id,
            description="private endpoints of AWS services",
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-in",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4=args.cidr,
            description="HTTPS from this network",
            opts=self.child(),
        )
        self.ids = [
            aws.ec2.VpcEndpoint(
                f"{name}-{service.replace('.', '-')}",
                vpc_id=args.vpc_id,
                service_name=f"com.amazonaws.{args.context.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=list(args.subnet_ids),
                security_group_ids=[group.id],
                opts=self.child(),
            ).id
            for service in args.services
        ]
        self.register_outputs({"ids": self.ids})
