"""Who wrote models and releases: kept apart from the data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.buckets import expired, private_bucket
from infra.aws.names import Names
from infra.aws.records import tls_only
from infra.component import Component
from infra.context import Context
from skylift.artifacts import layout


@dataclass(frozen=True, kw_only=True)
class AuditArgs:
    """`key`: ARN of the stack's own key; None where it has none."""

    context: Context
    key: pulumi.Input[str] | None = None


def is_needed(context: Context) -> bool:
    """Whether there is something to record: a keep bucket of the stack's own, or a network whose flows are kept."""
    return Names(context).keep.made or keeps_flows(context)


def keeps_flows(context: Context) -> bool:
    return context.is_prod and context.settings.network.id is None


class Audit(Component):
    """A trail of every write below models/ and endpoints/ of keep, and of nothing else: reads, and writes elsewhere, would cost and tell
    little. 0.10 USD per 100,000 events, which makes some cents a month, and what the records take in their own bucket; they go after
    `retention.logs_days`. The bucket takes flow logs too. Validated log files, all regions (AWS-LOG-01), encrypted with the stack's
    key where it has one. The bucket outlives the stack unless it is disposable.

    Attributes:
        bucket_arn: for flow logs.
    """

    def __init__(self, name: str, args: AuditArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        names = Names(args.context)
        made = private_bucket(
            self,
            f"{name}-bucket",
            names.audit_bucket,
            policy=json.dumps(policy(names)),
            rules=[expired("everything", "", args.context.settings.retention.logs_days)],
            key=None,
            algorithm="AES256",
            is_versioned=False,
        )
        self.bucket_arn: pulumi.Output[str] = pulumi.Output.all(made.bucket.arn, made.policy.id).apply(
            lambda known: str(known[0])
        )
        if names.keep.made:
            aws.cloudtrail.Trail(
                f"{name}-writes",
                name=names.trail,
                s3_bucket_name=made.bucket.bucket,
                is_multi_region_trail=True,
                enable_log_file_validation=True,
                kms_key_id=args.key,
                advanced_event_selectors=[_writes(names)],
                opts=self.child(depends_on=[made.policy]),
            )
        self.register_outputs({"bucket_arn": self.bucket_arn})


def _writes(names: Names) -> aws.cloudtrail.TrailAdvancedEventSelectorArgs:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/filtering-data-events.html"""
    field = aws.cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs
    return aws.cloudtrail.TrailAdvancedEventSelectorArgs(
        name="writes of models and releases",
        field_selectors=[
            field(field="eventCategory", equals=["Data"]),
            field(field="resources.type", equals=["AWS::S3::Object"]),
            field(field="readOnly", equals=["false"]),
            field(
                field="resources.ARN",
                starts_withs=list(names.keep.objects(f"{layout.MODELS}/", f"{layout.ENDPOINTS}/")),
            ),
        ],
    )


def policy(names: Names) -> dict[str, Any]:
    """CloudTrail and the flow logs write, each for this account alone; nobody is allowed anything else.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html
    """
    bucket, account = names.audit_bucket, names.context.account
    trail = {"aws:SourceArn": names.arn("cloudtrail", f"trail/{names.trail}")}
    flows = {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": names.arn("logs", "*")}}
    owner = {"s3:x-amz-acl": "bucket-owner-full-control"}
    return {
        "Version": "2012-10-17",
        "Statement": [
            tls_only(bucket),
            _allow("TrailLooks", "cloudtrail", "s3:GetBucketAcl", bucket.arn, {"StringEquals": trail}),
            _allow(
                "TrailWrites",
                "cloudtrail",
                "s3:PutObject",
                bucket.objects(f"AWSLogs/{account}/*")[0],
                {"StringEquals": trail | owner},
            ),
            _allow("FlowsLook", "delivery.logs", "s3:GetBucketAcl", bucket.arn, flows),
            _allow(
                "FlowsWrite", "delivery.logs", "s3:PutObject", bucket.objects(f"flow/AWSLogs/{account}/*")[0], flows
            ),
        ],
    }


def _allow(sid: str, service: str, action: str, resource: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }
