"""The control plane of EKS, its add-ons and the system pool."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from infra.aws.cluster_nodes import Nodes, NodesArgs
from infra.aws.names import Names
from infra.aws.platform import Platform
from infra.component import Component
from infra.kubernetes import nodes
from infra.kubernetes.client import kubeconfig

LOG_AGENT = "amazon-cloudwatch-observability"
ADDONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "metrics-server", LOG_AGENT)
"""https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html"""
ON_NODES = ("coredns", "metrics-server", LOG_AGENT)
"""They need nodes to stand on."""
LOGS = ["api", "audit", "authenticator"]
# Without it the network policies of the workloads would be written and not obeyed.
CNI = {"enableNetworkPolicy": "true"}
# Output of containers only: metrics are billed by observation, so they are collected where somebody hears the alarms on them.
LOGS_ONLY = {"containerLogs": {"enabled": True}, "agent": {"config": {"logs": {"metrics_collected": {}}}}}


@dataclass(frozen=True, kw_only=True)
class ControlArgs:
    platform: Platform


class Control(Component):
    """A control plane whose API server is private, and open to `network.allowed_ranges` where there are any (AWS-EKS-01); who calls is
    asked by IAM. Secrets are enveloped by the stack's key where it has one (AWS-EKS-02), what is asked is logged (AWS-EKS-03), and only
    access entries give rights. Whoever runs the first `up` is its administrator. A referenced cluster is used as it is.

    Attributes:
        name: of the cluster.
        kubernetes: a provider that asks `aws` for a token at each call, so that state holds none.
        ready: what must be there before pods can run.
        pod_logs: name of the log group of their output; None where the cluster is not the stack's.
    """

    def __init__(self, name: str, args: ControlArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._name, self._platform, self._names = name, args.platform, Names(self.context)
        self.ready: list[pulumi.Resource] = []
        self.pod_logs: pulumi.Output[str] | None = None
        if self.context.settings.cluster.name is None:
            made = self._cluster()
            self.name: pulumi.Output[str] = made.name
            self.kubernetes = self._client(made.endpoint, made.certificate_authority.apply(lambda one: str(one.data)))
            self._equip(made)
        else:
            opts_ = pulumi.InvokeOutputOptions(parent=self)
            found = aws.eks.get_cluster_output(name=self._names.cluster, opts=opts_)
            self.name = pulumi.Output.from_input(self._names.cluster)
            self.kubernetes = self._client(
                found.endpoint, found.certificate_authorities.apply(lambda several: several[0].data)
            )
        self.register_outputs({"name": self.name})

    def _cluster(self) -> aws.eks.Cluster:
        platform, settings = self._platform, self.context.settings
        ranges = settings.network.allowed_ranges
        if not ranges:
            pulumi.log.warn(
                "the API server is private: run `up` from inside the network, or list your ranges in skylift:network.allowed_ranges",
                self,
            )
        logs = platform.monitoring.log_group("cluster", f"/aws/eks/{self._names.cluster}/cluster", parent=self)
        return aws.eks.Cluster(
            f"{self._name}-cluster",
            name=self._names.cluster,
            role_arn=platform.identity.arns["cluster"],
            version=settings.cluster.version,
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=platform.network.subnet_ids,
                endpoint_private_access=True,
                endpoint_public_access=bool(ranges),
                public_access_cidrs=ranges or None,
            ),
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=True
            ),
            enabled_cluster_log_types=LOGS,
            encryption_config=None
            if platform.key.arn is None
            else aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=platform.key.arn), resources=["secrets"]
            ),
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            bootstrap_self_managed_addons=False,
            deletion_protection=self.context.is_prod and not settings.disposable,
            opts=self.child(depends_on=[logs]),
        )

    def _equip(self, made: aws.eks.Cluster) -> None:
        before = [self._addon(addon, made, []) for addon in ADDONS if addon not in ON_NODES]
        args = NodesArgs(platform=self._platform, cluster=made.name, plan=nodes.system(self.context))
        groups = self._log_groups()
        system = Nodes(f"{self._name}-system", args, self.child(depends_on=before))
        self.ready = [*before, system, *(self._addon(addon, made, [system, *groups]) for addon in ON_NODES)]

    def _log_groups(self) -> list[pulumi.Resource]:
        """Before the agent, which would make them to keep everything for ever."""
        monitoring = self._platform.monitoring
        pods = monitoring.log_group("pods", self._names.pod_logs, parent=self)
        self.pod_logs = pods.name
        if not self.context.settings.alerts.emails:
            return [pods]
        return [pods, monitoring.log_group("metrics", self._names.pod_metrics, parent=self)]

    def _addon(self, addon: str, made: aws.eks.Cluster, after: list[pulumi.Resource]) -> aws.eks.Addon:
        return aws.eks.Addon(
            f"{self._name}-{addon}",
            cluster_name=made.name,
            addon_name=addon,
            configuration_values=self._configuration(addon),
            pod_identity_associations=[
                aws.eks.AddonPodIdentityAssociationArgs(
                    role_arn=self._platform.identity.arns["logs"], service_account="cloudwatch-agent"
                )
            ]
            if addon == LOG_AGENT
            else None,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=self.child(depends_on=after),
        )

    def _configuration(self, addon: str) -> str | None:
        is_quiet = addon == LOG_AGENT and not self.context.settings.alerts.emails
        values = CNI if addon == "vpc-cni" else LOGS_ONLY if is_quiet else None
        return json.dumps(values) if values else None

    def _client(self, endpoint: pulumi.Input[str], authority: pulumi.Input[str]) -> k8s.Provider:
        config = pulumi.Output.all(endpoint, authority).apply(lambda known: self._kubeconfig(*known))
        return k8s.Provider(
            f"{self._name}-kubernetes",
            kubeconfig=config,
            cluster_identifier=self._names.arn("eks", f"cluster/{self._names.cluster}"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _kubeconfig(self, endpoint: str, authority: str) -> str:
        cluster = {"server": endpoint, "certificate-authority-data": authority}
        args = ["eks", "get-token", "--cluster-name", self._names.cluster, "--region", self.context.region]
        return kubeconfig(cluster, "aws", args=args)
