"""The key that encrypts what the stack keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import PARTITION, Names
from infra.component import Component
from infra.context import Context

_USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey")


@dataclass(frozen=True, kw_only=True)
class KeyArgs:
    context: Context


class Key(Component):
    """`encryption_key: stack` makes a customer-managed key (about 1 USD a month): yearly rotation, 30 days before a deletion, no
    principal but this account's identities and the services that write on its behalf (AWS-KMS-01). Outlives the stack, for without it
    the buckets cannot be read.

    Boot disks use the account's own EBS key: they hold nothing that is not in the buckets, and a customer's key would need a grant to
    the service-linked role of Auto Scaling, which an account has only after its first group.

    Attributes:
        arn: of the key that encrypts data; None where the provider's own keys are used.
        own: the same, of a key of the stack only: its policy lets AWS' services write logs, another's may not.
    """

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        chosen = args.context.encryption_key
        self.arn: pulumi.Input[str] | None = None if chosen in ("provider", "stack") else chosen
        self.own: pulumi.Output[str] | None = None
        if chosen == "stack":
            names = Names(args.context)
            key = aws.kms.Key(
                f"{name}-key",
                description=f"Skylift stack {args.context.stack}: buckets, images, secrets, logs",
                enable_key_rotation=True,
                deletion_window_in_days=30,
                policy=json.dumps(policy(names)),
                opts=self.lasting(),
            )
            # Removed by itself: while its key waits for deletion, the alias would stay and hold the name.
            aws.kms.Alias(f"{name}-alias", name=names.key_alias, target_key_id=key.key_id, opts=self.lasting())
            self.arn = self.own = key.arn
        self.register_outputs({"arn": self.arn})


def policy(names: Names) -> dict[str, Any]:
    """The account decides by IAM who uses the key; of the services that write logs each may for this stack or account alone."""
    account, region = names.context.account, names.context.region
    logs = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}}
    trail = {"StringEquals": {"aws:SourceArn": names.arn("cloudtrail", f"trail/{names.trail}")}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AccountByIam",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{PARTITION}:iam::{account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            _service("Logs", f"logs.{region}.amazonaws.com", logs),
            _service("Trail", "cloudtrail.amazonaws.com", trail),
        ],
    }


def _service(sid: str, service: str, condition: dict[str, Any]) -> dict[str, Any]:
    """In a key's policy the resource `*` is the key itself."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(_USE),
        "Resource": "*",
        "Condition": condition,
    }
