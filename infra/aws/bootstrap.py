"""The state bucket and its key on AWS; see infra/bootstrap.py."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.bootstrap import Made
from infra.component import Component
from infra.context import Context

TAG = "skylift-state"
"""Tag by which another machine finds them: its value is the prefix."""


def provision(context: Context, *, made_here: bool) -> Made:
    prefix, region = context.settings.name_prefix, context.region
    provider = aws.Provider(
        "aws",
        region=region,
        allowed_account_ids=[context.account],
        default_tags=aws.ProviderDefaultTagsArgs(tags={**context.tags, TAG: prefix}),
    )
    options = pulumi.ResourceOptions(providers=[provider])
    found = set() if made_here else _found(prefix, provider)
    key = None if "key" in found else StateKey(prefix, context, options)
    bucket = f"{prefix}-state-{context.account}-{region}"
    if "bucket" not in found:
        StateBucket(bucket, context, key.arn if key else f"alias/{prefix}-state", options)
    # awssdk=v2: the engine's older AWS SDK reads neither SSO profiles nor AWS_ENDPOINT_URL.
    return Made(
        backend=f"s3://{bucket}?region={region}&awssdk=v2",
        secrets_provider=f"awskms://alias/{prefix}-state?region={region}&awssdk=v2",
        found=tuple(sorted(found)),
    )


def _found(prefix: str, provider: aws.Provider) -> set[str]:
    """What another machine's bootstrap made in this region."""
    asked = aws.resourcegroupstaggingapi.get_resources(
        tag_filters=[aws.resourcegroupstaggingapi.GetResourcesTagFilterArgs(key=TAG, values=[prefix])],
        resource_type_filters=["s3", "kms:key"],
        opts=pulumi.InvokeOptions(provider=provider),
    )
    kinds = {"s3": "bucket", "kms": "key"}
    return {kinds[one.resource_arn.split(":")[2]] for one in asked.resource_tag_mapping_lists}


class StateKey(Component):
    """A key with yearly rotation, deleted 30 days after somebody asks for it at the earliest. The account's IAM policies rule it."""

    def __init__(self, prefix: str, context: Context, opts: pulumi.ResourceOptions) -> None:
        super().__init__("state-key", context, opts)
        key = aws.kms.Key(
            "state-key",
            description="Encrypts Pulumi's state and the secrets in it",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            opts=self.lasting(),
        )
        aws.kms.Alias("state-alias", name=f"alias/{prefix}-state", target_key_id=key.key_id, opts=self.lasting())
        self.arn: pulumi.Output[str] = key.arn
        self.register_outputs({"arn": key.arn})


class StateBucket(Component):
    """Versioned, private, owner-enforced, encrypted by the key, TLS only; old versions of state are kept for 90 days."""

    def __init__(self, name: str, context: Context, key: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__("state-bucket", context, opts)
        self._bucket = aws.s3.Bucket("state", bucket=name, force_destroy=False, opts=self.lasting())
        self._close()
        self._encrypt(key)
        self._keep_versions()
        self.register_outputs({"bucket": self._bucket.bucket})

    def _close(self) -> None:
        closed = aws.s3.BucketPublicAccessBlock(
            "state-private",
            bucket=self._bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        aws.s3.BucketOwnershipControls(
            "state-ownership",
            bucket=self._bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self.child(),
        )
        # After the block: both at once is refused as a conflict.
        aws.s3.BucketPolicy(
            "state-tls",
            bucket=self._bucket.bucket,
            policy=self._bucket.arn.apply(_tls_only),
            opts=self.child(depends_on=[closed]),
        )

    def _encrypt(self, key: pulumi.Input[str]) -> None:
        by_default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms", kms_master_key_id=key
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            "state-encryption",
            bucket=self._bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=by_default, bucket_key_enabled=True
                )
            ],
            opts=self.child(),
        )

    def _keep_versions(self) -> None:
        versioning = aws.s3.BucketVersioning(
            "state-versions",
            bucket=self._bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self.child(),
        )
        aws.s3.BucketLifecycleConfiguration(
            "state-lifecycle",
            bucket=self._bucket.bucket,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="old-versions",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=90
                    ),
                )
            ],
            opts=self.child(depends_on=[versioning]),
        )


def _tls_only(arn: str) -> str:
    """Denies everything that does not come by TLS, which no identity's own rights can outdo."""
    statement = {
        "Sid": "OnlyByTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
