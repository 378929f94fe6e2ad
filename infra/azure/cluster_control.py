"""The control plane of AKS and its system pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure
import pulumi_kubernetes as k8s

from infra.azure import cluster_network
from infra.azure.cluster_client import issuer, kubeconfig
from infra.azure.cluster_watch import Records, RecordsArgs, agent
from infra.azure.computed import after
from infra.azure.grants_up import gives_rights
from infra.azure.ground import Ground
from infra.azure.names import Names, last, part, stable_id
from infra.azure.roles import CLUSTER_ADMIN, role_id
from infra.component import Component
from infra.kubernetes import nodes

_aks = azure.containerservice


@dataclass(frozen=True, kw_only=True)
class ControlArgs:
    """
    Args:
        prefixes: address ranges of the network.
    """

    ground: Ground
    prefixes: Sequence[str]


class Control(Component):
    """A control plane whose API server is private, and open to `network.allowed_ranges` where there are any (AZ-AKS-01). Entra says who
    calls, Azure's and Kubernetes' roles what they may; there are no local accounts, no `az aks command` (AZ-AKS-02). Whoever runs the
    first `up` is its administrator. Stage prod pays for the tier with a promised uptime (about 73 USD a month), dev none.

    Disks are encrypted at their host and Kubernetes' secrets in its store, both with Azure's own key: the stack's key is for its data.
    The system pool is as the first `up` makes it: Azure takes it with the cluster only, so changes are for `az aks nodepool update`.
    A referenced cluster is used as it is.

    Attributes:
        id, name, group: of the cluster; `group` is the name of its resource group.
        issuer: of its service accounts' tokens.
        subnet: where nodes are.
        kubernetes: a provider that asks `kubelogin` for a token at each call, so that state holds none.
        ready: what must be there before pods can run.
    """

    def __init__(self, name: str, args: ControlArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.ground.context, opts)
        self._name, self._ground, self._names = name, args.ground, Names(self.context)
        self.ready: list[pulumi.Resource] = []
        self.id: pulumi.Output[str]
        self.group: pulumi.Output[str]
        assert args.ground.network is not None
        self._network = args.ground.network
        self.subnet = self._network.subnets[0]
        if self.context.settings.cluster.name is None:
            made = self._cluster(args.prefixes)
            # By its id: of what has some input, a preview tells the input and calls the rest None.
            self.id, self.name, self.group = made.id, made.id.apply(last), self._ground.group
            self.issuer = after(made.id, made.oidc_issuer_profile).apply(issuer)
            records = RecordsArgs(
                context=self.context, group=self.group, cluster=made.id, logs=self._ground.logs.workspace
            )
            self.ready = [made, Records(f"{name}-records", records, self.child())]
        else:
            found = _aks.get_managed_cluster_output(
                resource_group_name=part(self._names.cluster_id, "resourceGroups"),
                resource_name=last(self._names.cluster_id),
                opts=pulumi.InvokeOutputOptions(parent=self),
            )
            self.id = pulumi.Output.from_input(self._names.cluster_id)
            self.name = pulumi.Output.from_input(last(self._names.cluster_id))
            self.group = pulumi.Output.from_input(part(self._names.cluster_id, "resourceGroups"))
            self.issuer = found.oidc_issuer_profile.apply(issuer)
        self.kubernetes = self._client()
        self.register_outputs({"id": self.id, "issuer": self.issuer})

    def _cluster(self, prefixes: Sequence[str]) -> azure.containerservice.ManagedCluster:
        context, settings = self.context, self.context.settings.cluster
        own = ["agentPoolProfiles"]  # Azure shows all pools here, also those that are resources of their own
        of, given = self._ground.identities.of, context.settings.network
        way = cluster_network.outbound(given.subnets[0], self) if given.id else "userAssignedNATGateway"
        return _aks.ManagedCluster(
            f"{self._name}-cluster",
            resource_group_name=self._ground.group,
            resource_name_=last(self._names.cluster_id),
            node_resource_group=context.name("nodes", most=80),
            dns_prefix=context.name(most=54),
            sku=_aks.ManagedClusterSKUArgs(name="Base", tier="Standard" if context.is_prod else "Free"),
            kubernetes_version=settings.version,
            auto_upgrade_profile=_aks.ManagedClusterAutoUpgradeProfileArgs(
                upgrade_channel="patch" if settings.version else "stable", node_os_upgrade_channel="NodeImage"
            ),
            identity=_aks.ManagedClusterIdentityArgs(
                type=_aks.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[of["cluster"].id]
            ),
            identity_profile={
                "kubeletidentity": _aks.UserAssignedIdentityArgs(
                    resource_id=of["nodes"].id, client_id=of["nodes"].client_id, object_id=of["nodes"].principal_id
                )
            },
            enable_rbac=True,
            disable_local_accounts=True,
            aad_profile=_aks.ManagedClusterAADProfileArgs(
                managed=True, enable_azure_rbac=True, tenant_id=self._ground.facts.tenant
            ),
            api_server_access_profile=cluster_network.reach(context, self._network, self),
            oidc_issuer_profile=_aks.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
            security_profile=_aks.ManagedClusterSecurityProfileArgs(
                workload_identity=_aks.ManagedClusterSecurityProfileWorkloadIdentityArgs(enabled=True),
                image_cleaner=_aks.ManagedClusterSecurityProfileImageCleanerArgs(enabled=True, interval_hours=168),
            ),
            network_profile=cluster_network.profile(prefixes, way),
            agent_pool_profiles=[self._system()],
            auto_scaler_profile=_aks.ManagedClusterPropertiesAutoScalerProfileArgs(expander="least-waste"),
            addon_profiles={"omsagent": agent(self._ground.logs.workspace)},
            tags=context.tags,
            opts=self.child(
                depends_on=[*self._ground.ready, *self._administrator()],
                ignore_changes=own if settings.version else [*own, "kubernetesVersion"],
            ),
        )

    def _system(self) -> azure.containerservice.ManagedClusterAgentPoolProfileArgs:
        plan = nodes.system(self.context)
        return _aks.ManagedClusterAgentPoolProfileArgs(
            name="system",
            mode="System",
            type="VirtualMachineScaleSets",
            vm_size=plan.machines[0],
            os_type="Linux",
            os_sku="Ubuntu",
            os_disk_size_gb=64,
            vnet_subnet_id=self.subnet,
            enable_auto_scaling=True,
            count=plan.least,
            min_count=plan.least,
            max_count=plan.most,
            enable_node_public_ip=False,
            enable_encryption_at_host=True,
            node_labels=dict(plan.labels),
            tags=self.context.tags,
        )

    def _administrator(self) -> list[pulumi.Resource]:
        """Made on the resource group and before the cluster, for a new right takes minutes to be known, as the cluster does."""
        if not gives_rights(self._names):
            return []
        caller = azure.authorization.get_client_config_output(opts=pulumi.InvokeOutputOptions(parent=self))
        return [
            azure.authorization.RoleAssignment(
                f"{self._name}-administrator",
                role_assignment_name=stable_id(self._names.group_id, self.context.base, "administrator"),
                scope=self._ground.group_id,
                role_definition_id=role_id(self._names, CLUSTER_ADMIN),
                principal_id=caller.object_id,
                # Of the first `up`: others get the right that `skylift permissions --as up` prints.
                opts=self.child(ignore_changes=["principalId"]),
            )
        ]

    def _client(self) -> k8s.Provider:
        found = _aks.list_managed_cluster_user_credentials_output(
            resource_group_name=self.group, resource_name=self.name, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        config: pulumi.Output[str] = found.kubeconfigs.apply(_config)
        return k8s.Provider(
            f"{self._name}-kubernetes",
            kubeconfig=pulumi.Output.secret(config),  # type: ignore[arg-type]  # takes outputs, too
            cluster_identifier=self._names.cluster_id,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _config(given: Sequence[azure.containerservice.outputs.CredentialResultResponse]) -> str:
    return kubeconfig(given[0].value)
