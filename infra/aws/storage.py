"""The two buckets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.names import Bucket, Names
from infra.aws.records import bucket_policy
from infra.component import Component
from infra.context import Context

WORK_PREFIXES = ("live/", "events/", "logs/", "checkpoints/", "replicas/", "samples/")
UPLOAD_DAYS = 7
"""After which the parts of an upload that nobody completed go: they are billed and cannot be seen."""


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


@dataclass(frozen=True)
class Private:
    """A private bucket, and the policy that others must wait for before a service may write."""

    bucket: aws.s3.Bucket
    policy: aws.s3.BucketPolicy


def private_bucket(
    parent: Component,
    name: str,
    bucket: Bucket,
    *,
    policy: str,
    rules: Sequence[aws.s3.BucketLifecycleConfigurationRuleArgs],
    key: pulumi.Input[str] | None,
    algorithm: str,
    is_versioned: bool,
) -> Private:
    """A bucket that nobody reaches but by IAM and TLS. Data is deleted with it only in a disposable stack."""
    made = aws.s3.Bucket(
        name, bucket=bucket.name, force_destroy=parent.context.settings.disposable, opts=parent.lasting()
    )
    block = aws.s3.BucketPublicAccessBlock(
        f"{name}-private",
        bucket=made.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=parent.lasting(),
    )
    _ownership_and_encryption(parent, name, made, key, algorithm)
    versions = []
    if is_versioned:
        status = aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled")
        versions.append(
            aws.s3.BucketVersioning(
                f"{name}-versions", bucket=made.bucket, versioning_configuration=status, opts=parent.lasting()
            )
        )
    aws.s3.BucketLifecycleConfiguration(
        f"{name}-expiry", bucket=made.bucket, rules=rules, opts=parent.lasting(depends_on=versions)
    )
    # The block first: changes of both at once are refused by S3 as conflicting.
    guard = aws.s3.BucketPolicy(
        f"{name}-policy", bucket=made.bucket, policy=policy, opts=parent.lasting(depends_on=[block])
    )
    return Private(made, guard)


def _ownership_and_encryption(
    parent: Component, name: str, made: aws.s3.Bucket, key: pulumi.Input[str] | None, algorithm: str
) -> None:
    aws.s3.BucketOwnershipControls(
        f"{name}-owner",
        bucket=made.bucket,
        rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
        opts=parent.lasting(),
    )
    default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm=algorithm, kms_master_key_id=key
    )
    rule = aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
        apply_server_side_encryption_by_default=default, bucket_key_enabled=algorithm == "aws:kms"
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption", bucket=made.bucket, rules=[rule], opts=parent.lasting()
    )


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
        _abandoned(),
    ]


def worked(days: int) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    """Whatever lies under a leading prefix goes after a time. S3's filters match leading prefixes only."""
    return [*(expired(prefix.rstrip("/"), prefix, days) for prefix in WORK_PREFIXES), _abandoned()]


def expired(name: str, prefix: str, days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """A rule that removes what is older."""
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=name,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )


def _abandoned() -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="abandoned-uploads",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=UPLOAD_DAYS
        ),
    )
