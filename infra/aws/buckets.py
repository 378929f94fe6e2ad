"""A private bucket, as both the data and the audit records want it, and rules of its expiry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.names import Bucket
from infra.component import Component

UPLOAD_DAYS = 7
"""After which the parts of an upload that nobody completed go: they are billed and cannot be seen."""


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


def expired(name: str, prefix: str, days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """A rule that removes what is older."""
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=name,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )


def abandoned_uploads() -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="abandoned-uploads",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=UPLOAD_DAYS
        ),
    )
