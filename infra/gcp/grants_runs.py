"""Rights over what runs are started on and endpoints are reached by: machines, the cluster, or Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra import boot, reaper
from infra.boot import Grant as Asked
from infra.context import Context
from infra.gcp import names
from infra.grants import Grant, Who

ACT_AS = "roles/iam.serviceAccountUser"
IMPERSONATE = "roles/iam.serviceAccountTokenCreator"
SERVE_PORT = 8080

_UNNAMED = "Compute Engine knows no condition on the name of a group: https://cloud.google.com/iam/docs/conditions-resource-attributes"


def runs(context: Context) -> tuple[Grant, ...]:
    """The rights of one of vm, cluster and managed."""
    kinds = {"vm": _machines, "cluster": _cluster, "managed": _vertex}
    return (*kinds[context.settings.kind](context), *_sizes(context))


def _machines(context: Context) -> Iterator[Grant]:
    project = (names.project(context),)
    yield Grant(
        who="launcher",
        what="make, watch and remove the group of machines of a run",
        actions=(
            "compute.instanceGroupManagers.create",
            "compute.instanceGroupManagers.delete",
            "compute.instanceGroupManagers.get",
            "compute.instanceGroupManagers.list",
            "compute.instanceGroupManagers.update",
            "compute.instanceTemplates.get",
            "compute.instanceTemplates.useReadOnly",
            "compute.instances.create",
            "compute.instances.delete",
            "compute.instances.get",
            "compute.instances.list",
            "compute.instances.setMetadata",
            "compute.instances.setLabels",
            "compute.instances.setServiceAccount",
            "compute.disks.create",
            "compute.disks.setLabels",
            "compute.images.useReadOnly",
            "compute.networks.use",
            "compute.subnetworks.use",
            "compute.regionOperations.get",
            "compute.zoneOperations.get",
            "compute.regions.get",
            "compute.zones.list",
        ),
        on=project,
        wide=_UNNAMED,
    )
    yield _acting("launcher", "host", ACT_AS, "start machines as the host", context)
    yield _acting("host", "training", IMPERSONATE, "hand the run credentials narrowed to it", context)
    yield from _asked(context, "host", boot.ACTIONS["gcp"])
    yield from _asked(context, "reaper", reaper.ACTIONS["gcp"])
    yield Grant(
        who="reaper",
        what="be called by its own clock",
        actions=("roles/run.invoker",),
        on=(f"{names.project(context)}/locations/{context.region}/services/{names.reaper(context)}",),
    )
    yield from _tunnel(context)


def _cluster(context: Context) -> Iterator[Grant]:
    project = names.project(context)
    view = ("container.clusters.get", "container.clusters.connect")
    wide = "GKE knows no condition on the name of a cluster; inside, the namespace's own roles decide"
    yield Grant(who="launcher", what="reach the cluster's API server", actions=view, on=(project,), wide=wide)
    yield Grant(who="caller", what="reach the cluster's API server", actions=view, on=(project,), wide=wide)
    yield Grant(
        who="nodes",
        what="be a node: write logs and metrics",
        actions=("roles/container.defaultNodeServiceAccount",),
        on=(project,),
        wide="granted on projects only",
    )


def _vertex(context: Context) -> Iterator[Grant]:
    project = (names.project(context),)
    yield Grant(
        who="launcher",
        what="start, follow and cancel jobs",
        actions=(
            "aiplatform.customJobs.create",
            "aiplatform.customJobs.get",
            "aiplatform.customJobs.list",
            "aiplatform.customJobs.cancel",
        ),
        on=project,
        wide="jobs have no name before they are made",
    )
    yield Grant(
        who="launcher",
        what="read what jobs wrote before the bucket was reached",
        actions=("logging.logEntries.list",),
        on=project,
        wide="logs are read by project",
    )
    yield _acting("launcher", "training", ACT_AS, "start jobs as training", context)
    yield Grant(
        who="caller",
        what="call the endpoints",
        actions=("aiplatform.endpoints.predict", "aiplatform.endpoints.get"),
        on=tuple(names.endpoint(context, name) for name in context.endpoints),
    )


def _sizes(context: Context) -> Iterator[Grant]:
    """What a releaser may do to the size of an endpoint. In clusters the namespace's roles say it."""
    if context.settings.kind == "vm":
        yield Grant(
            who="releaser",
            what="change the size of an endpoint",
            actions=(
                "compute.autoscalers.get",
                "compute.autoscalers.update",
                "compute.instanceGroupManagers.get",
                "compute.instanceGroupManagers.use",
                "compute.regionOperations.get",
            ),
            on=(names.project(context),),
            wide=_UNNAMED,
        )


def _tunnel(context: Context) -> Iterator[Grant]:
    """The one path from a laptop: IAP forwards to the serving port of a machine, and asks who one is.

    https://cloud.google.com/iap/docs/using-tcp-forwarding
    """
    yield Grant(
        who="caller",
        what="open a tunnel to the port of an endpoint",
        actions=("roles/iap.tunnelResourceAccessor",),
        on=(f"{names.project(context)}/iap_tunnel",),
        condition={"title": "serving port", "expression": f"destination.port == {SERVE_PORT}"},
    )
    yield Grant(
        who="caller",
        what="find a machine of an endpoint",
        actions=("compute.instanceGroupManagers.get", "compute.instances.get", "compute.instances.list"),
        on=(names.project(context),),
        wide=_UNNAMED,
    )


def _acting(who: Who, whom: names.Identity, role: str, what: str, context: Context) -> Grant:
    return Grant(who=who, what=what, actions=(role,), on=(names.account(context, whom),))


def _asked(context: Context, who: Who, asked: tuple[Asked, ...]) -> Iterator[Grant]:
    """What the boot script or the reaper ask for, with the stack's names filled in."""
    words = {
        "stack": context.stack,
        "region": context.region,
        "account": context.account,
        "group": names.run_prefix(context),
    }
    for one in asked:
        condition: Mapping[str, object] = one.condition
        if condition:
            condition = {"title": one.why[:60], "expression": _filled(str(condition["expression"]), words)}
        root = _filled(one.resource, words)
        on = root if root.startswith("projects/") else names.project(context)
        yield Grant(who=who, what=one.why, actions=one.actions, on=(on,), condition=condition, wide=f"see {one.source}")


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text
