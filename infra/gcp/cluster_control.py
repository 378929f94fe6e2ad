"""The control plane of GKE and its system pool."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
import pulumi_kubernetes as k8s

from infra.component import Component
from infra.context import Context
from infra.gcp import names
from infra.gcp.cluster_nodes import Nodes, NodesArgs
from infra.kubernetes import nodes
from infra.kubernetes.client import kubeconfig

PLUGIN_HINT = "install it: gcloud components install gke-gcloud-auth-plugin"


@dataclass(frozen=True, kw_only=True)
class ControlArgs:
    """
    Args:
        nodes: e-mail of the nodes' service account.
        key: encrypts Kubernetes' secrets once more; None for Google's own key.
        after: rights that nodes need before they can pull.
    """

    context: Context
    network: pulumi.Input[str]
    subnet: pulumi.Input[str]
    nodes: pulumi.Input[str]
    key: pulumi.Input[str] | None = None
    after: tuple[pulumi.Resource, ...] = ()


class Control(Component):
    """A regional control plane (about 73 USD a month) with private nodes, reached from anywhere by its DNS name, where Google asks IAM
    before a packet gets through; it has no other address (GCP-GKE-01). Workload identity, a release channel, and protection from
    deletion in stage prod (GCP-GKE-02). Output of system and workloads goes to Cloud Logging. A referenced cluster is used as it is.

    Attributes:
        name: of the cluster.
        kubernetes: a provider that asks gke-gcloud-auth-plugin for a token at each call, so that state holds none.
        ready: what must be there before pods can run.
    """

    def __init__(self, name: str, args: ControlArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self.ready: list[pulumi.Resource] = []
        if args.context.settings.cluster.name is None:
            made = self._cluster()
            self.name: pulumi.Output[str] = made.name
            # After its id: a preview tells what the program says of the endpoint, and its name reads as None.
            self.kubernetes = self._client(made.id.apply(lambda _: made.control_plane_endpoints_config.apply(_dns)))
            self.ready = [self._system(made)]
        else:
            found = gcp.container.get_cluster_output(
                name=names.cluster(args.context),
                location=args.context.region,
                opts=pulumi.InvokeOutputOptions(parent=self),
            )
            self.name = pulumi.Output.from_input(names.cluster(args.context))
            self.kubernetes = self._client(
                found.control_plane_endpoints_configs.apply(lambda several: _dns(several[0]))
            )
        self.register_outputs({"name": self.name})

    def _cluster(self) -> gcp.container.Cluster:
        context, args = self.context, self._args
        return gcp.container.Cluster(
            f"{self._name}-cluster",
            name=names.cluster(context),
            location=context.region,
            network=args.network,
            subnetwork=args.subnet,
            networking_mode="VPC_NATIVE",
            ip_allocation_policy=gcp.container.ClusterIpAllocationPolicyArgs(
                cluster_secondary_range_name="pods", services_secondary_range_name="services"
            ),
            # The pool that GKE insists on goes at once; nodes come from pools of their own.
            remove_default_node_pool=True,
            initial_node_count=1,
            node_config=self._first_node(),
            min_master_version=context.settings.cluster.version,
            release_channel=gcp.container.ClusterReleaseChannelArgs(channel="REGULAR"),
            workload_identity_config=gcp.container.ClusterWorkloadIdentityConfigArgs(
                workload_pool=f"{context.account}.svc.id.goog"
            ),
            private_cluster_config=gcp.container.ClusterPrivateClusterConfigArgs(enable_private_nodes=True),
            control_plane_endpoints_config=_by_name_only(),
            datapath_provider="ADVANCED_DATAPATH",  # obeys network policies
            enable_shielded_nodes=True,
            database_encryption=gcp.container.ClusterDatabaseEncryptionArgs(state="ENCRYPTED", key_name=args.key)
            if args.key is not None
            else None,
            logging_config=gcp.container.ClusterLoggingConfigArgs(enable_components=["SYSTEM_COMPONENTS", "WORKLOADS"]),
            monitoring_config=gcp.container.ClusterMonitoringConfigArgs(enable_components=["SYSTEM_COMPONENTS"]),
            deletion_protection=context.is_prod and context.keeps_data,
            resource_labels=dict(context.tags),
            opts=self.child(
                depends_on=list(args.after),
                # Of a pool that is gone since the first minute; a change would replace the cluster.
                ignore_changes=["nodeConfig", "initialNodeCount"],
                additional_secret_outputs=["masterAuth"],
            ),
        )

    def _first_node(self) -> gcp.container.ClusterNodeConfigArgs:
        return gcp.container.ClusterNodeConfigArgs(
            machine_type="e2-medium",
            disk_size_gb=20,
            service_account=self._args.nodes,
            oauth_scopes=["https://www.googleapis.com/auth/cloud-platform"],
            shielded_instance_config=gcp.container.ClusterNodeConfigShieldedInstanceConfigArgs(enable_secure_boot=True),
        )

    def _system(self, made: gcp.container.Cluster) -> Nodes:
        args = NodesArgs(
            context=self.context, cluster=made.id, account=self._args.nodes, plan=nodes.system(self.context)
        )
        return Nodes(f"{self._name}-system", args, self.child())

    def _client(self, host: pulumi.Output[str]) -> k8s.Provider:
        return k8s.Provider(
            f"{self._name}-kubernetes",
            kubeconfig=host.apply(_kubeconfig),
            cluster_identifier=f"{names.project(self.context)}/locations/{self.context.region}/clusters/{names.cluster(self.context)}",
            opts=pulumi.ResourceOptions(parent=self),
        )


def _by_name_only() -> gcp.container.ClusterControlPlaneEndpointsConfigArgs:
    """https://cloud.google.com/kubernetes-engine/docs/concepts/network-isolation#dns-based_endpoint"""
    return gcp.container.ClusterControlPlaneEndpointsConfigArgs(
        dns_endpoint_config=gcp.container.ClusterControlPlaneEndpointsConfigDnsEndpointConfigArgs(
            allow_external_traffic=True
        ),
        ip_endpoints_config=gcp.container.ClusterControlPlaneEndpointsConfigIpEndpointsConfigArgs(enabled=False),
    )


def _dns(config: object) -> str:
    """Of a resource, or of an invoke, which has lists in place of single values."""
    dns = getattr(config, "dns_endpoint_config", None)
    if dns is None:
        dns = config.dns_endpoint_configs[0]  # type: ignore[attr-defined]
    return str(dns.endpoint)


def _kubeconfig(host: str) -> str:
    """Without a certificate: the name's is one of Google's public ones."""
    cluster = {"server": f"https://{host}"}
    return kubeconfig(cluster, "gke-gcloud-auth-plugin", installHint=PLUGIN_HINT, provideClusterInfo=True)
