"""Rights of AWS' own services on what the stack has: the policies of its key, its buckets, its topics and its function. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infra.aws.names import Names
from infra.grants import Grant


def grants(names: Names) -> Iterator[Grant]:
    """The components write these themselves, for each is a statement in the policy of one thing; a test holds the two together."""
    context, account = names.context, names.context.account
    if context.encryption_key == "stack":
        yield _grant(
            "encrypt logs and the records of who wrote",
            (
                "kms:Encrypt",
                "kms:Decrypt",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
                "kms:GenerateDataKey",
                "kms:DescribeKey",
            ),
            names.arn("kms", "key/*"),
            f"logs.{context.region}",
            "cloudtrail",
        )
    bucket = names.audit_bucket
    objects = bucket.objects(f"AWSLogs/{account}/*", f"flow/AWSLogs/{account}/*")
    if names.keep.made or (context.is_prod and context.settings.network.id is None):
        yield _grant("look at the bucket of records", ("s3:GetBucketAcl",), bucket.arn, "cloudtrail", "delivery.logs")
        yield Grant(
            who="services",
            what="write records of who wrote, and flow logs",
            actions=("s3:PutObject",),
            on=objects,
            condition=_called_by("cloudtrail", "delivery.logs"),
        )
    if context.settings.alerts.emails:
        yield _grant(
            "tell of alarms and of failed runs", ("sns:Publish",), names.arn("sns", "*"), "cloudwatch", "events"
        )
    if context.settings.kind == "vm":
        on = names.arn("lambda", f"function:{names.reaper}")
        yield _grant("call the reaper by the clock", ("lambda:InvokeFunction",), on, "events")


def _grant(what: str, actions: tuple[str, ...], on: str, *services: str) -> Grant:
    wide = "in the policy of the stack's own one, whose name is known once it is there" if on.endswith("*") else ""
    return Grant(who="services", what=what, actions=actions, on=(on,), condition=_called_by(*services), wide=wide)


def _called_by(*services: str) -> dict[str, object]:
    return {"Principal": {"Service": [f"{service}.amazonaws.com" for service in services]}}
