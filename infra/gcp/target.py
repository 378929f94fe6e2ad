"""The targets gce, gke and vertex: one provider, what every stack has, and one of machines, cluster or managed service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_gcp as gcp

from infra.context import Context
from infra.gcp import checks, names
from infra.gcp.access import Access, AccessArgs
from infra.gcp.identity import Identities, IdentityArgs
from infra.gcp.key import Key, KeyArgs
from infra.gcp.monitoring import Monitoring, MonitoringArgs
from infra.gcp.network import Network, NetworkArgs
from infra.gcp.registry import Registry, RegistryArgs
from infra.gcp.secrets import Secrets, SecretsArgs
from infra.gcp.storage import Storage, StorageArgs
from infra.promise import Made, promise
from skylift.stack import outputs as contract
from skylift.stack.settings import Settings

_SERVICES = ("artifactregistry", "compute", "iam", "iamcredentials", "logging", "monitoring", "storage")
_BY_KIND = {
    "vm": ("cloudbuild", "cloudfunctions", "cloudscheduler", "iap", "run"),
    "cluster": ("container",),
    "managed": ("aiplatform",),
}


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every target of this cloud stands on; machines, cluster or managed service are made from it.

    Attributes:
        number: the project's number.
        key: encryption key; None for Google's own.
        network: None where nothing needs one: Vertex AI without a private endpoint.
        keep: URL of the bucket.
        work: likewise.
        things: buckets, repository and secrets by IAM's name, each known once it is there.
        zones: of the region, by machine type those that sell it.
        opts: for components.
    """

    context: Context
    root: Path
    number: str
    key: pulumi.Input[str] | None
    network: Network | None
    storage: Storage
    registry: Registry
    identities: Identities
    secrets: Secrets
    access: Access
    keep: pulumi.Output[str]
    work: pulumi.Output[str]
    things: Mapping[str, pulumi.Input[str]]
    zones: Mapping[str, Sequence[str]]
    opts: pulumi.ResourceOptions


def provision(settings: Settings, stack: str, root: Path) -> pulumi.Output[contract.Outputs]:
    """Declare everything that a stack on Google Cloud has. Works in the project of the settings and in no other."""
    context = Context(settings=settings, stack=stack)
    asking = _provider("google-asking", context)
    found = checks.check(context, asking)
    # Whatever uses the second provider waits for the services.
    provider = _provider("google", context, after=_services(context, asking))
    ground = _ground(context, root, found, pulumi.ResourceOptions(providers=[provider]))
    Monitoring("monitoring", MonitoringArgs(context=context, number=found.number), ground.opts)
    made = _made(ground)
    place = {"project": pulumi.Output.from_input(context.account)}
    if ground.network is not None:
        place |= {"network": ground.network.id, "subnets": ground.network.subnet}
    return promise(
        context,
        made,
        keep=ground.keep,
        work=ground.work,
        registry=ground.registry.url,
        identities=ground.identities.emails,
        secrets=ground.secrets.ids,
        place=place,
    )


def _provider(name: str, context: Context, after: Sequence[pulumi.Resource] = ()) -> gcp.Provider:
    """Requests of people count against the stack's own project: budgets and quotas refuse them otherwise."""
    return gcp.Provider(
        name,
        project=context.account,
        region=context.region,
        default_labels=context.tags,
        billing_project=context.account,
        user_project_override=True,
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def _services(context: Context, provider: gcp.Provider) -> list[pulumi.Resource]:
    """The services in use. They stay enabled when the stack goes: others may use them, and nothing of them costs at rest."""
    wanted = {*_SERVICES, *_BY_KIND[context.settings.kind]}
    if context.encryption_key == "stack":
        wanted.add("cloudkms")
    if names.secrets(context):
        wanted.add("secretmanager")
    if context.settings.budget.billing_account is not None:
        wanted.add("billingbudgets")
    if context.settings.kind == "managed" and any(one.exposure == "private" for one in context.endpoints.values()):
        wanted.add("networkconnectivity")
    if context.is_prod and context.settings.registry is None:
        wanted.add("containerscanning")
    return [
        gcp.projects.Service(
            f"google-{service}",
            project=context.account,
            service=f"{service}.googleapis.com",
            disable_on_destroy=False,
            opts=pulumi.ResourceOptions(provider=provider),
        )
        for service in sorted(wanted)
    ]


def _ground(context: Context, root: Path, found: checks.Found, opts: pulumi.ResourceOptions) -> Ground:
    key: pulumi.Input[str] | None = {"provider": None}.get(context.encryption_key, context.encryption_key)
    if context.encryption_key == "stack":
        key = Key("key", KeyArgs(context=context, number=found.number), opts).id
    storage = Storage("storage", StorageArgs(context=context, key=key), opts)
    registry = Registry("registry", RegistryArgs(context=context, key=key), opts)
    identities = Identities("identity", IdentityArgs(context=context, number=found.number), opts)
    network = None
    if context.settings.kind != "managed" or any(one.exposure == "private" for one in context.endpoints.values()):
        network = Network("network", NetworkArgs(context=context, accounts=identities.emails), opts)
    secrets = Secrets("secrets", SecretsArgs(context=context, key=key), opts)
    keep, work = names.bucket(context, "keep"), names.bucket(context, "work")
    things = {keep.resource: storage.keep, work.resource: storage.work, names.repository(context): registry.repository}
    for entry, identifier in names.secrets(context).items():
        things[names.secret_resource(context, identifier)] = secrets.ids[entry]
    return Ground(
        context=context,
        root=root,
        number=found.number,
        key=key,
        network=network,
        storage=storage,
        registry=registry,
        identities=identities,
        secrets=secrets,
        access=Access("access", _access(context, identities, things), opts),
        keep=storage.keep.apply(lambda _: keep.url),
        work=storage.work.apply(lambda _: work.url),
        things=things,
        zones=found.zones,
        opts=opts,
    )


def _access(context: Context, identities: Identities, things: Mapping[str, pulumi.Input[str]]) -> AccessArgs:
    """Of all but pods, whose principals IAM does not know before their cluster is there."""
    who = [one for one in (*names.wanted(context), "caller") if one not in names.workloads(context)]
    return AccessArgs(context=context, who=who, members=identities.members, roles=identities.roles, things=things)


def _made(ground: Ground) -> Made:
    """Only the SDK modules of one shape are loaded."""
    kind = ground.context.settings.kind
    if kind == "vm":
        from infra.gcp.reaper import Reaper, ReaperArgs
        from infra.gcp.vm import Machines, MachinesArgs

        args = ReaperArgs(
            context=ground.context, account=ground.identities.emails["reaper"], bucket=ground.storage.work
        )
        Reaper("reaper", args, ground.opts)
        return Machines("vm", MachinesArgs.on(ground), ground.opts).made
    if kind == "cluster":
        from infra.gcp.cluster import Cluster, ClusterArgs

        return Cluster("cluster", ClusterArgs.on(ground), ground.opts).made
    from infra.gcp.managed import Managed, ManagedArgs

    return Managed("managed", ManagedArgs.on(ground), ground.opts).made
