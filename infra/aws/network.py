"""The network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra.aws.network_endpoints import PrivateEndpoints, PrivateEndpointsArgs
from infra.aws.network_plan import LEAST_ZONES, Plan, interface_services, plan
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """What is known of the place before anything is made.

    Args:
        zones: of a new network.
        offered: zone -> machine types of the stack that it has.
        cidr: of the referenced VPC.
        subnets: referenced subnets, id -> zone.
        flow_logs: ARN of the bucket that takes flow logs; None for none.
    """

    context: Context
    zones: Sequence[str] = ()
    offered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cidr: str = ""
    subnets: Mapping[str, str] | None = None
    flow_logs: pulumi.Input[str] | None = None


class Network(Component):
    """A VPC with a private subnet in each zone of today, and the free gateway endpoint of S3 always (AWS-NET-03). `egress: nat`: one NAT
    gateway (about 33 USD a month and 0.045 USD per GB). `private`: interface endpoints in two zones and no way out. The default
    security group is closed, flow logs are kept in stage prod (AWS-NET-02). Nothing of it can be reached from the internet, unless an
    endpoint is `public`, whose load balancer then stands in public subnets.

    A network of the settings is used as it is; only security groups are added to it.

    Attributes:
        subnet_ids: private ones, in the order of `zones`.
        public_ids: for public load balancers; empty where no endpoint is public.
        prefix_list: of S3, for rules of security groups; None in a referenced network.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.context.settings
        laid = plan(settings.network.cidr, args.zones, _public_zones(args.context, args.zones))
        super().__init__(name, args.context, opts)
        self._name, self._args, self._laid = name, args, laid
        self.prefix_list: pulumi.Output[str] | None = None
        self.public_ids: list[pulumi.Input[str]] = []
        if settings.network.id is not None:
            self.vpc_id: pulumi.Input[str] = settings.network.id
            self.cidr = args.cidr
            self.subnet_ids: list[pulumi.Input[str]] = list(settings.network.subnets)
            self.zones = [(args.subnets or {}).get(subnet, "") for subnet in settings.network.subnets]
        else:
            self.cidr, self.zones = settings.network.cidr, list(laid.private)
            self._make(laid)
        self.register_outputs({"vpc_id": self.vpc_id, "subnet_ids": self.subnet_ids})

    def zones_with(self, machine: str) -> list[str]:
        """Of the network's zones those that have a machine type; all, where none is known to."""
        return [zone for zone in self.zones if machine in self._args.offered.get(zone, ())] or self.zones

    def subnets_with(self, machine: str) -> list[pulumi.Input[str]]:
        """The private subnets in these zones."""
        zones = self.zones_with(machine)
        return [subnet for subnet, zone in zip(self.subnet_ids, self.zones, strict=True) if zone in zones]

    def _make(self, laid: Plan) -> None:
        name, context = self._name, self.context
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=self.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": context.base},
            opts=self.child(),
        )
        self.vpc_id = vpc.id
        aws.ec2.DefaultSecurityGroup(f"{name}-closed", vpc_id=vpc.id, ingress=[], egress=[], opts=self.child())
        private = self._subnets(vpc, laid.private, is_public=False)
        public = self._subnets(vpc, laid.public, is_public=True)
        self.subnet_ids = [subnet.id for subnet in private]
        self.public_ids = [subnet.id for subnet in public] if _has_public(context) else []
        table = self._routes(vpc, private, "private")
        if public:
            self._internet(vpc, public, table)
        service = f"com.amazonaws.{context.region}.s3"
        gateway = aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=service,
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id],
            opts=self.child(),
        )
        self.prefix_list = gateway.prefix_list_id
        services = interface_services(context)
        if services:
            subnets = self.subnet_ids[:LEAST_ZONES]
            PrivateEndpoints(
                f"{name}-private-endpoints",
                PrivateEndpointsArgs(
                    context=context, vpc_id=vpc.id, cidr=self.cidr, subnet_ids=subnets, services=services
                ),
                self.child(),
            )
        if self._args.flow_logs is not None:
            aws.ec2.FlowLog(
                f"{name}-flow",
                vpc_id=vpc.id,
                traffic_type="ALL",
                log_destination_type="s3",
                log_destination=pulumi.Output.concat(self._args.flow_logs, "/flow/"),
                max_aggregation_interval=600,
                opts=self.child(),
            )

    def _subnets(self, vpc: aws.ec2.Vpc, ranges: Mapping[str, str], *, is_public: bool) -> list[aws.ec2.Subnet]:
        kind = "public" if is_public else "private"
        # Where EKS' load balancers look: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
        role = {f"kubernetes.io/role/{'elb' if is_public else 'internal-elb'}": "1"}
        return [
            aws.ec2.Subnet(
                f"{self._name}-{kind}-{zone}",
                vpc_id=vpc.id,
                availability_zone=zone,
                cidr_block=cidr,
                map_public_ip_on_launch=False,
                tags={"Name": f"{self.context.base}-{kind}-{zone}"}
                | (role if self.context.settings.kind == "cluster" else {}),
                opts=self.child(),
            )
            for zone, cidr in ranges.items()
        ]

    def _routes(self, vpc: aws.ec2.Vpc, subnets: Sequence[aws.ec2.Subnet], kind: str) -> aws.ec2.RouteTable:
        tags = {"Name": f"{self.context.base}-{kind}"}
        table = aws.ec2.RouteTable(f"{self._name}-{kind}", vpc_id=vpc.id, tags=tags, opts=self.child())
        zones = self._laid.private if kind == "private" else self._laid.public
        for zone, subnet in zip(zones, subnets, strict=True):
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{kind}-{zone}-routes", route_table_id=table.id, subnet_id=subnet.id, opts=self.child()
            )
        return table

    def _internet(self, vpc: aws.ec2.Vpc, public: Sequence[aws.ec2.Subnet], private: aws.ec2.RouteTable) -> None:
        name = self._name
        gateway = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, opts=self.child())
        table = self._routes(vpc, public, "public")
        out = aws.ec2.Route(
            f"{name}-out",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self.child(),
        )
        if self.context.egress != "nat":
            return
        address = aws.ec2.Eip(f"{name}-nat-address", domain="vpc", opts=self.child(depends_on=[gateway]))
        nat = aws.ec2.NatGateway(
            f"{name}-nat",
            allocation_id=address.id,
            subnet_id=public[0].id,
            # One address cannot be of two gateways: the old one goes first.
            opts=self.child(depends_on=[out], delete_before_replace=True),
        )
        aws.ec2.Route(
            f"{name}-nat-out",
            route_table_id=private.id,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=nat.id,
            opts=self.child(),
        )


def _has_public(context: Context) -> bool:
    return any(endpoint.exposure == "public" for endpoint in context.endpoints.values())


def _public_zones(context: Context, zones: Sequence[str]) -> Sequence[str]:
    """A public load balancer stands in every zone that has machines, a NAT gateway in one."""
    return zones if _has_public(context) else zones[: int(context.egress == "nat")]
