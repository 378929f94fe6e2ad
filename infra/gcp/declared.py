"""Which resource types the settings of a stack on Google Cloud lead to. Pure; tests hold it against what the components declare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.context import Context
from infra.gcp import names
from infra.gcp.rights_table import PERMISSIONS
from infra.grants import Grant

_SERVING = (
    "forwardingRule:ForwardingRule",
    "regionAutoscaler:RegionAutoscaler",
    "regionBackendService:RegionBackendService",
    "regionHealthCheck:RegionHealthCheck",
    "regionInstanceGroupManager:RegionInstanceGroupManager",
    "regionUrlMap:RegionUrlMap",
)
_MEMBERS = {
    "projects": "gcp:projects/iAMMember:IAMMember",
    "buckets": "gcp:storage/bucketIAMMember:BucketIAMMember",
    "repositories": "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "secrets": "gcp:secretmanager/secretIamMember:SecretIamMember",
    "serviceAccounts": "gcp:serviceaccount/iAMMember:IAMMember",
    "iap_tunnel": "gcp:iap/tunnelIamMember:TunnelIamMember",
    "endpoints": "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember",
    "services": "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
}
"""The resource that grants on a thing, by the kind of the thing."""


def types(context: Context, given: Sequence[Grant]) -> tuple[str, ...]:
    """The resource types that the settings may lead to; what is referenced needs none.

    Args:
        given: what the stack grants to others.
    """
    settings = context.settings
    found = [
        "gcp:projects/service:Service",
        "gcp:logging/projectBucketConfig:ProjectBucketConfig",
        "gcp:logging/projectSink:ProjectSink",
        "gcp:monitoring/alertPolicy:AlertPolicy",
    ]
    if context.settings.kind == "cluster":
        found.append("gcp:logging/metric:Metric")
    keep, work = names.bucket(context, "keep"), names.bucket(context, "work")
    if keep.own or work.own:
        found.append("gcp:storage/bucket:Bucket")
    if keep.own and names.makes(context):
        found.append("gcp:projects/iAMAuditConfig:IAMAuditConfig")
    if settings.registry is None:
        found.append("gcp:artifactregistry/repository:Repository")
    if context.encryption_key == "stack":
        found += [
            f"gcp:kms/{one}"
            for one in ("keyRing:KeyRing", "cryptoKey:CryptoKey", "cryptoKeyIAMMember:CryptoKeyIAMMember")
        ]
        found.append("gcp:projects/serviceIdentity:ServiceIdentity")
    if names.secrets(context):
        found.append("gcp:secretmanager/secret:Secret")
    if settings.alerts.emails:
        found.append("gcp:monitoring/notificationChannel:NotificationChannel")
    kinds = {"vm": _machines, "cluster": _cluster, "managed": _managed}
    found += [*_network(context), *kinds[settings.kind](context), *_access(context, given)]
    return tuple(dict.fromkeys(found))


def _machines(context: Context) -> Iterator[str]:
    yield "gcp:cloudfunctionsv2/function:Function"
    yield "gcp:cloudscheduler/job:Job"
    yield "gcp:storage/bucketObject:BucketObject"
    yield "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate"
    for plan in context.endpoints.values():
        yield from (f"gcp:compute/{one}" for one in _SERVING)
        if plan.settings.certificate is None:
            yield "gcp:compute/regionTargetHttpProxy:RegionTargetHttpProxy"
        else:
            yield "gcp:compute/regionTargetHttpsProxy:RegionTargetHttpsProxy"
            yield "gcp:compute/regionSslPolicy:RegionSslPolicy"
        if plan.settings.allowed_ranges:
            yield "gcp:compute/regionSecurityPolicy:RegionSecurityPolicy"


def _cluster(context: Context) -> Iterator[str]:
    if context.settings.cluster.name is None:
        yield "gcp:container/cluster:Cluster"
    yield "gcp:container/nodePool:NodePool"
    yield from (token for token in PERMISSIONS if token.startswith("kubernetes:"))


def _managed(context: Context) -> Iterator[str]:
    yield "gcp:vertex/aiEndpoint:AiEndpoint"
    yield "pulumi-python:dynamic/gcp:VertexDeployment"
    if _has_network(context) and context.settings.network.id is None:
        yield "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy"


def _has_network(context: Context) -> bool:
    private = any(plan.exposure == "private" for plan in context.endpoints.values())
    return context.settings.kind != "managed" or private


def _network(context: Context) -> Iterator[str]:
    if context.settings.network.id is not None or not _has_network(context):
        return
    yield "gcp:compute/network:Network"
    yield "gcp:compute/subnetwork:Subnetwork"
    if context.egress == "nat":
        yield "gcp:compute/router:Router"
        yield "gcp:compute/routerNat:RouterNat"
    if context.settings.kind == "vm":
        yield "gcp:compute/firewall:Firewall"


def _access(context: Context, given: Sequence[Grant]) -> Iterator[str]:
    """Identities that the stack makes, and what it grants to them and to callers."""
    if set(names.makes(context)) - set(names.workloads(context)):
        yield "gcp:serviceaccount/account:Account"
    access = context.settings.access
    for grant in given:
        if not is_ours(context, grant):
            continue
        if any(not action.startswith("roles/") for action in grant.actions):
            yield "gcp:projects/iAMCustomRole:IAMCustomRole"
        yield from (_MEMBERS[kind_of(one)] for one in grant.on if _made(context, one))
    named = {
        "launcher": access.train,
        "releaser": access.release,
        "approver": access.approve,
        "custodian": access.clean,
    }
    if any(people and who in names.makes(context) for who, people in named.items()):
        yield _MEMBERS["serviceAccounts"]


def kind_of(resource: str) -> str:
    """
    Examples:
        >>> kind_of("projects/p"), kind_of("projects/p/iap_tunnel"), kind_of("projects/_/buckets/b/objects/models/*")
        ('projects', 'iap_tunnel', 'buckets')
    """
    *_, kind, last = resource.partition("/objects/")[0].split("/")
    return last if last == "iap_tunnel" else kind


def is_ours(context: Context, grant: Grant) -> bool:
    """Whether the stack makes a grant real: for identities of its own, and for callers where some are named."""
    if grant.who == "caller":
        return bool(context.settings.access.predict)
    return grant.who in names.makes(context)


def _made(context: Context, resource: str) -> bool:
    """Whether the stack grants on a resource: on a service account only if it is its own."""
    own = {names.account(context, who) for who in names.makes(context)}
    return kind_of(resource) != "serviceAccounts" or resource in own
