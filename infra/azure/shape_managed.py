"""Target azureml on its ground: workspace, computes, endpoints, alarms."""

from __future__ import annotations

import pulumi

from infra.azure import watch
from infra.azure.ground import Ground
from infra.azure.links import Link, Links, LinksArgs
from infra.azure.managed import Managed, ManagedArgs
from infra.azure.monitoring import Alarms, AlarmsArgs
from infra.azure.workspace import Workspace, WorkspaceArgs
from infra.promise import Made


def build(ground: Ground) -> tuple[Made, list[pulumi.Resource]]:
    """Declare it; what rights may be on, second."""
    context = ground.context
    workspace = Workspace(
        "workspace",
        WorkspaceArgs(
            context=context,
            group=ground.group,
            storage=ground.storage,
            vault=ground.vault.id if ground.vault else None,
            registry=ground.registry.id,
            key=ground.key,
            logs=ground.logs.workspace,
        ),
        ground.opts,
    )
    managed = Managed(
        "managed",
        ManagedArgs(
            context=context,
            workspace=workspace,
            identities=ground.identities,
            logs=ground.logs,
            after=[*ground.ready, *_link(ground, workspace)],
        ),
        ground.opts,
    )
    args = AlarmsArgs(
        context=context,
        group=ground.group,
        group_id=ground.group_id,
        logs=ground.logs,
        metrics={"failed-runs": watch.failed_jobs(workspace.id), **watch.of_online(context, managed.endpoints)},
    )
    Alarms("alarms", args, ground.opts)
    return managed.made, [workspace, managed]


def _link(ground: Ground, workspace: Workspace) -> list[pulumi.Resource]:
    """The workspace at an address of the stack's network, where it has one and the workspace is its own."""
    if ground.network is None or ground.context.settings.workspace is not None:
        return []
    args = LinksArgs(
        context=ground.context,
        group=ground.group,
        network=ground.network.id,
        subnet=ground.network.endpoints,
        links={"workspace": Link("amlworkspace", workspace.id)},
    )
    return Links("workspace-links", args, ground.opts).ready
