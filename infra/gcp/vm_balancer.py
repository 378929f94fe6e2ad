"""The load balancer of an endpoint on machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context, EndpointPlan
from infra.gcp import names


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    """
    Args:
        group: the machines.
        health: id of their health check.
        port_name: of the group's port.
        after: Google's proxies need their subnet.
    """

    context: Context
    plan: EndpointPlan
    group: pulumi.Input[str]
    health: pulumi.Input[str]
    port_name: str
    network: pulumi.Input[str]
    subnet: pulumi.Input[str]
    after: Sequence[pulumi.Resource] = ()


class Balancer(Component):
    """A regional Application Load Balancer: HTTP inside of the network, or HTTPS with the settings' certificate, TLS 1.2 at the least.

    It balances requests, not connections, ends those that take too long and counts answers by status, which a passthrough balancer
    does not. About 18 USD a month for the address and as much for Google's proxies. `allowed_ranges` become a Cloud Armor policy,
    5 USD a month and 1 USD for its rule.

    Attributes:
        url: base of the HTTP routes. A hostname's DNS record is the user's to set, to the output `address`.
    """

    def __init__(self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self._public = args.plan.exposure == "public"
        self._scheme = "EXTERNAL_MANAGED" if self._public else "INTERNAL_MANAGED"
        routes = gcp.compute.RegionUrlMap(
            f"{name}-routes", region=args.context.region, default_service=self._backend().id, opts=self.child()
        )
        certificate = args.plan.settings.certificate
        rule = self._rule(self._plain(routes) if certificate is None else self._tls(routes, certificate), certificate)
        host = args.plan.settings.hostname
        scheme = "http" if certificate is None else "https"
        self.url: pulumi.Output[str] = pulumi.Output.concat(f"{scheme}://", host or rule.ip_address)
        self.register_outputs({"url": self.url, "address": rule.ip_address})

    def _backend(self) -> gcp.compute.RegionBackendService:
        plan = self._args.plan
        return gcp.compute.RegionBackendService(
            f"{self._name}-backend",
            region=self.context.region,
            load_balancing_scheme=self._scheme,
            protocol="HTTP",
            port_name=self._args.port_name,
            health_checks=self._args.health,
            timeout_sec=round(plan.settings.request_seconds),
            connection_draining_timeout_sec=round(plan.settings.drain_seconds),
            backends=[
                gcp.compute.RegionBackendServiceBackendArgs(
                    group=self._args.group, balancing_mode="UTILIZATION", max_utilization=0.8, capacity_scaler=1.0
                )
            ],
            security_policy=self._armor() if plan.settings.allowed_ranges else None,
            opts=self.child(),
        )

    def _armor(self) -> pulumi.Output[str]:
        rules = gcp.compute.RegionSecurityPolicyRuleArgs
        match = gcp.compute.RegionSecurityPolicyRuleMatchArgs

        def ranges(given: list[str]) -> gcp.compute.RegionSecurityPolicyRuleMatchConfigArgs:
            return gcp.compute.RegionSecurityPolicyRuleMatchConfigArgs(src_ip_ranges=given)

        listed = [str(one) for one in self._args.plan.settings.allowed_ranges]
        return gcp.compute.RegionSecurityPolicy(
            f"{self._name}-armor",
            region=self.context.region,
            type="CLOUD_ARMOR",
            rules=[
                rules(action="allow", priority=1000 + at, match=match(versioned_expr="SRC_IPS_V1", config=ranges(ten)))
                for at, ten in enumerate(listed[start : start + 10] for start in range(0, len(listed), 10))
            ]
            + [
                rules(
                    action="deny(403)",
                    priority=2147483647,
                    match=match(versioned_expr="SRC_IPS_V1", config=ranges(["*"])),
                )
            ],
            opts=self.child(),
        ).self_link

    def _plain(self, routes: gcp.compute.RegionUrlMap) -> pulumi.Output[str]:
        return gcp.compute.RegionTargetHttpProxy(
            f"{self._name}-proxy", region=self.context.region, url_map=routes.id, opts=self.child()
        ).id

    def _tls(self, routes: gcp.compute.RegionUrlMap, certificate: str) -> pulumi.Output[str]:
        policy = gcp.compute.RegionSslPolicy(
            f"{self._name}-tls",
            region=self.context.region,
            profile="MODERN",
            min_tls_version="TLS_1_2",
            opts=self.child(),
        )
        managed = "/certificates/" in certificate
        return gcp.compute.RegionTargetHttpsProxy(
            f"{self._name}-proxy",
            region=self.context.region,
            url_map=routes.id,
            ssl_policy=policy.id,
            certificate_manager_certificates=[certificate] if managed else None,
            ssl_certificates=None if managed else [certificate],
            opts=self.child(),
        ).id

    def _rule(self, target: pulumi.Input[str], certificate: str | None) -> gcp.compute.ForwardingRule:
        args = self._args
        return gcp.compute.ForwardingRule(
            f"{self._name}-rule",
            name=names.forwarding_rule(self.context, args.plan.name),
            region=self.context.region,
            load_balancing_scheme=self._scheme,
            target=target,
            ip_protocol="TCP",
            port_range="80" if certificate is None else "443",
            network=args.network,
            subnetwork=None if self._public else args.subnet,
            network_tier="STANDARD" if self._public else None,
            # By name, which alarms count by: the old one goes before the new one comes.
            opts=self.child(depends_on=list(args.after), delete_before_replace=True),
        )
