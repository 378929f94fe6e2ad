"""What each kind of target (vm, cluster, managed) adds to the grants, and what `up` itself needs."""

from __future__ import annotations

from collections.abc import Iterator

from infra.azure import grants_up
from infra.azure.names import Names
from infra.grants import Grant
from infra.reaper import ACTIONS as REAPER

_SETS = "Microsoft.Compute/virtualMachineScaleSets"
_JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
_ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
_SCALE = ("Microsoft.Insights/autoscaleSettings/read", "Microsoft.Insights/autoscaleSettings/write")
_COLLECTED = "Microsoft.Insights/dataCollectionRule"
_ML = "Microsoft.MachineLearningServices/workspaces"
_GROUP = "Microsoft.Resources/subscriptions/resourceGroups/read"


def of(names: Names) -> Iterator[Grant]:
    """The grants of the stack's kind, and those of `up`."""
    yield from {"vm": _vm, "cluster": _cluster, "managed": _managed}[names.context.settings.kind](names)
    yield from grants_up.of(names)


def _vm(names: Names) -> Iterator[Grant]:
    runs = (names.runs_group_id,)
    yield Grant(
        who="host",
        what="remove its own machine and run group",
        # https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-set-vms/delete
        actions=(f"{_SETS}/read", f"{_SETS}/write", f"{_SETS}/delete", f"{_SETS}/virtualMachines/delete"),
        on=runs,
    )
    yield Grant(
        who="host",
        what="bind its run group to the rule that says what is collected of its logs",
        # https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-associations
        actions=(f"{_COLLECTED}Associations/read", f"{_COLLECTED}Associations/write"),
        on=runs,
    )
    yield Grant(who="host", what="name that rule", actions=(f"{_COLLECTED}s/read",), on=(names.group_id,))
    yield Grant(
        who="launcher",
        what="make, follow and remove run groups",
        actions=(
            _GROUP,
            f"{_SETS}/read",
            f"{_SETS}/write",
            f"{_SETS}/delete",
            f"{_SETS}/virtualMachines/read",
            f"{_SETS}/virtualMachines/instanceView/read",
            f"{_SETS}/virtualMachines/delete",
        ),
        on=runs,
    )
    yield Grant(who="launcher", what="place machines in the network", actions=(_JOIN,), on=names.subnet_ids)
    yield Grant(
        who="launcher",
        what="give machines the identities of the host and of training",
        actions=(_ASSIGN,),
        on=(names.identity_id("host"), names.identity_id("training")),
    )
    settings = tuple(
        names.in_group("Microsoft.Insights/autoscaleSettings", names.set_name(name)) for name in names.context.endpoints
    )
    yield Grant(who="releaser", what="change an endpoint's size", actions=_SCALE, on=settings)
    if names.context.settings.network.bastion:
        yield Grant(
            who="caller",
            what="reach machines through the Bastion host",
            # https://learn.microsoft.com/azure/bastion/connect-vm-native-client-linux
            actions=(
                "Microsoft.Network/bastionHosts/read",
                f"{_SETS}/virtualMachines/read",
                f"{_SETS}/virtualMachines/networkInterfaces/read",
                "Microsoft.Network/loadBalancers/read",
            ),
            on=(names.group_id,),
        )
    for grant in REAPER["azure"]:
        yield Grant(who="reaper", what=grant.why, actions=grant.actions, on=runs)


def _cluster(names: Names) -> Iterator[Grant]:
    yield Grant(
        who="cluster",
        what="place nodes and internal load balancers in the network",
        # https://learn.microsoft.com/azure/aks/use-managed-identity
        actions=("Microsoft.Network/virtualNetworks/subnets/read", _JOIN),
        on=names.subnet_ids,
    )
    yield Grant(
        who="cluster",
        what="give nodes their identity",
        actions=("Microsoft.ManagedIdentity/userAssignedIdentities/read", _ASSIGN),
        on=(names.identity_id("nodes"),),
    )
    credential = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
    reading = "Microsoft.ContainerService/managedClusters/read"
    for who, what in (
        ("launcher", "reach the cluster, whose own rules say what is allowed there"),
        ("releaser", "reach the cluster, whose own rules let the size of an endpoint be changed"),
        ("caller", "reach endpoints through the cluster's API server"),
    ):
        yield Grant(who=who, what=what, actions=(reading, credential), on=(names.cluster_id,))  # type: ignore[arg-type]


def _managed(names: Names) -> Iterator[Grant]:
    workspace, endpoints = names.workspace_id, tuple(names.context.endpoints)
    # https://learn.microsoft.com/azure/machine-learning/how-to-assign-roles
    yield Grant(
        who="launcher",
        what="start, follow and cancel jobs",
        actions=(
            f"{_ML}/read",
            f"{_ML}/computes/read",
            f"{_ML}/jobs/read",
            f"{_ML}/jobs/write",
            f"{_ML}/jobs/cancel/action",
            f"{_ML}/environments/read",
            f"{_ML}/environments/write",
            f"{_ML}/environments/versions/read",
            f"{_ML}/environments/versions/write",
            f"{_ML}/experiments/read",
            f"{_ML}/experiments/write",
            f"{_ML}/experiments/runs/read",
            f"{_ML}/experiments/runs/write",
        ),
        on=(workspace,),
    )
    scale = tuple(names.in_group("Microsoft.Insights/autoscaleSettings", names.set_name(name)) for name in endpoints)
    yield Grant(who="releaser", what="change an endpoint's size", actions=_SCALE, on=scale)
    yield Grant(
        who="caller",
        what="call endpoints",
        actions=(f"{_ML}/onlineEndpoints/read", f"{_ML}/onlineEndpoints/score/action"),
        on=tuple(f"{workspace}/onlineEndpoints/{names.online_endpoint(name)}" for name in endpoints),
    )
