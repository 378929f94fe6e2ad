"""Rights on the two buckets, the key, images and secrets: DESIGN's table in S3's words.

Action names and their resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.aws.names import Bucket, Names
from infra.grants import Grant, Who

PUT = ("s3:PutObject",)
UPLOAD = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
GET = ("s3:GetObject",)
DELETE = ("s3:DeleteObject",)

KEEP_READ: Mapping[Who, tuple[str, ...]] = {
    "training": ("datasets", "code", "runs", "models"),
    "serving": ("models", "endpoints"),
    "host": ("runs",),
    "launcher": ("datasets", "code", "runs", "runs-index", "studies", "models", "endpoints"),
    "releaser": ("runs", "models", "endpoints"),
    "approver": ("runs", "models", "endpoints"),
    "custodian": ("datasets", "code", "runs", "runs-index", "studies", "models", "endpoints"),
    "caller": ("models", "endpoints"),
}
WORK_READ: Mapping[Who, tuple[str, ...]] = {
    "training": ("live", "events", "logs", "checkpoints"),
    "serving": ("replicas", "samples"),
    "host": ("live", "logs"),
    "launcher": ("live", "events", "logs", "checkpoints", "replicas"),
    "releaser": ("replicas",),
    "approver": ("replicas",),
    "custodian": ("live", "events", "logs", "checkpoints", "replicas", "samples"),
}
KEEP_WRITE: tuple[tuple[Who, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("training", "publish models", UPLOAD, ("models/*",)),
    ("training", "say how its run ended", PUT, ("runs/*",)),
    ("serving", "veto a canary", PUT, ("endpoints/*/vetoes/*",)),
    ("launcher", "upload datasets and code", UPLOAD, ("datasets/*", "code/*")),
    ("launcher", "record runs, their index and studies", PUT, ("runs/*", "runs-index/*", "studies/*")),
    ("releaser", "record deployments", PUT, ("endpoints/*/deployments/*",)),
    ("releaser", "move the pointer of an endpoint", PUT, ("endpoints/*/current.json",)),
    ("approver", "approve releases", PUT, ("endpoints/*/approvals/*",)),
    (
        "custodian",
        "hide models, datasets, code and runs",
        DELETE,
        ("datasets/*", "code/*", "runs/*", "runs-index/*", "studies/*", "models/*"),
    ),
    (
        "custodian",
        "purge versions of them at once",
        ("s3:DeleteObjectVersion", "s3:GetObjectVersion"),
        ("datasets/*", "code/*", "runs/*", "runs-index/*", "studies/*", "models/*"),
    ),
)
WORK_WRITE: tuple[tuple[Who, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "training",
        "write status, events, logs and checkpoints",
        UPLOAD,
        ("live/*", "events/*", "logs/*", "checkpoints/*"),
    ),
    ("training", "rotate checkpoints", DELETE, ("checkpoints/*",)),
    ("serving", "report as a replica and keep samples", UPLOAD, ("replicas/*", "samples/*")),
    ("serving", "take its report back when it stops", DELETE, ("replicas/*",)),
    ("host", "report for its machine", UPLOAD, ("live/*", "logs/*")),
    ("launcher", "queue and cancel runs", PUT, ("live/*",)),
    ("launcher", "take a cancellation back", DELETE, ("live/*",)),
    (
        "custodian",
        "delete what runs left",
        DELETE,
        ("live/*", "events/*", "logs/*", "checkpoints/*", "replicas/*", "samples/*"),
    ),
)


def grants(names: Names) -> Iterator[Grant]:
    """Rights on data of everybody, whatever the target. `host` is of machines only; the caller filters."""
    ours = {"StringEquals": {"aws:ResourceAccount": names.context.account}}
    for bucket, readers in ((names.keep, KEEP_READ), (names.work, WORK_READ)):
        for who, prefixes in readers.items():
            yield _listing(names, who, bucket, prefixes)
            objects = bucket.objects(*(f"{prefix}/*" for prefix in prefixes))
            yield Grant(who=who, what=f"read {', '.join(prefixes)}", actions=GET, on=objects, condition=ours)
    for bucket, written in ((names.keep, KEEP_WRITE), (names.work, WORK_WRITE)):
        for who, what, actions, keys in written:
            yield Grant(who=who, what=what, actions=actions, on=bucket.objects(*keys), condition=ours)
    yield Grant(
        who="custodian",
        what="find versions to purge",
        actions=("s3:ListBucketVersions",),
        on=(names.keep.arn,),
        condition=ours,
    )
    yield from _key(names)
    yield from _secrets(names)


def _listing(names: Names, who: Who, bucket: Bucket, prefixes: tuple[str, ...]) -> Grant:
    """IfExists: S3 says 404 of a key that is not there, in place of 403, only to who may list, and such a request has no prefix.
    A listing without a prefix passes too: it shows names of objects, none of their bytes."""
    under = [pattern for prefix in prefixes for pattern in (bucket.key(prefix), bucket.key(f"{prefix}/*"))]
    return Grant(
        who=who,
        what=f"list {', '.join(prefixes)}",
        actions=("s3:ListBucket",),
        on=(bucket.arn,),
        condition={
            "StringEquals": {"aws:ResourceAccount": names.context.account},
            "StringLikeIfExists": {"s3:prefix": under},
        },
    )


def key_of(names: Names) -> tuple[str, dict[str, Any]] | None:
    """Resource and condition that mean the stack's key; None where the provider's own keys are used, which need no right.

    The ARN of a key that `up` makes is not known before: the alias stands for it,
    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    """
    chosen = names.context.encryption_key
    if chosen == "provider":
        return None
    if chosen == "stack":
        return names.arn("kms", "key/*"), {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias}}
    return chosen, {}


def _key(names: Names) -> Iterator[Grant]:
    key = key_of(names)
    if key is None:
        return
    for who in KEEP_READ:
        yield Grant(
            who=who,
            what="use the stack's key for objects and secrets",
            actions=("kms:Decrypt", "kms:GenerateDataKey"),
            on=(key[0],),
            condition=key[1],
        )


def _secrets(names: Names) -> Iterator[Grant]:
    settings = names.context.settings
    runs = tuple(names.secret_arn(names.secret(name)) for name in settings.secrets)
    keyed = [name for name, endpoint in settings.endpoints.items() if endpoint.api_keys]
    served = tuple(names.secret_arn(names.api_keys(name)) for name in keyed)
    read = ("secretsmanager:GetSecretValue",)
    if runs:
        yield Grant(who="training", what="read the secrets that a run names", actions=read, on=runs)
    if served:
        yield Grant(who="serving", what="read the hashes of API keys", actions=read, on=served)


def pull(names: Names, who: Who, *kinds: str) -> Iterator[Grant]:
    """Pull images: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-pull.html"""
    yield Grant(
        who=who,
        what=f"pull the {' and '.join(kinds)} image",
        actions=("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"),
        on=tuple(names.repository_arn(kind) for kind in kinds),
    )
    yield Grant(
        who=who,
        what="sign in to the registry",
        actions=("ecr:GetAuthorizationToken",),
        on=("*",),
        wide="ECR's token is the account's: the action takes no resource",
    )


def write_logs(names: Names, who: Who, *groups: str, create: bool = False) -> Grant:
    """Write to log groups. `create`: the service makes the group where it is missing."""
    actions = ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams")
    on = tuple(names.arn("logs", f"log-group:{group}:*") for group in groups)
    return Grant(who=who, what="write logs", actions=(*actions, "logs:CreateLogGroup") if create else actions, on=on)
