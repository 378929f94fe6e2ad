"""The two buckets."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.buckets import abandoned_uploads, expired, private_bucket
from infra.aws.names import Bucket, Names
from infra.aws.records import bucket_policy
from infra.component import Component
from infra.context import Context

WORK_PREFIXES = ("live/", "events/", "logs/", "checkpoints/", "replicas/", "samples/")


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """`key`: ARN of the key that encrypts; None for S3's own in KMS (`aws/s3`)."""

    context: Context
    key: pulumi.Input[str] | None = None


class Storage(Component):
    """keep (versions, old ones expire) and work (no versions, expires by leading prefix).

    Private in all four ways (AWS-S3-01), TLS only and records create-only (AWS-S3-02), encrypted by KMS with a bucket key (AWS-S3-03),
    versioned with expiry (AWS-S3-04), uploads that nobody completed removed (AWS-S3-05), no ACLs (AWS-S3-06). At rest they cost what
    is in them. Both outlive the stack unless it is disposable. A bucket of the settings is used as it is.

    Attributes:
        keep, work: URLs that depend on all that makes the bucket ready.
    """

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._key = name, args.key
        names = Names(args.context)
        self.keep = self._bucket("keep", names.keep, is_versioned=True)
        self.work = self._bucket("work", names.work, is_versioned=False)
        self.register_outputs({"keep": self.keep, "work": self.work})

    def _bucket(self, kind: str, bucket: Bucket, *, is_versioned: bool) -> pulumi.Output[str]:
        if not bucket.made:
            return pulumi.Output.from_input(bucket.url)
        retention = self.context.settings.retention
        rules = kept(retention.versions_days) if is_versioned else worked(retention.work_days)
        made = private_bucket(
            self,
            f"{self._name}-{kind}",
            bucket,
            policy=json.dumps(bucket_policy(bucket, records=is_versioned)),
            rules=rules,
            key=self._key,
            algorithm="aws:kms",
            is_versioned=is_versioned,
        )
        return made.bucket.bucket.apply(lambda known: f"s3://{known}")


def kept(versions_days: int) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    """Old and deleted versions go after a time; the mark of a deletion goes with its last version."""
    return [
        aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="old-versions",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=versions_days
            ),
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
        ),
        abandoned_uploads(),
    ]


def worked(days: int) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    """Whatever lies under a leading prefix goes after a time. S3's filters match leading prefixes only."""
    return [*(expired(prefix.rstrip("/"), prefix, days) for prefix in WORK_PREFIXES), abandoned_uploads()]
