"""The state bucket and its key on Google Cloud; see infra/bootstrap.py."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from infra.bootstrap import Made
from infra.component import Component
from infra.context import Context

KEY = "state"


def provision(context: Context, *, made_here: bool) -> Made:
    project, region, name = context.account, context.region, f"{context.settings.name_prefix}-state"
    provider = gcp.Provider("gcp", project=project, region=region, default_labels=context.tags)
    ask = pulumi.InvokeOptions(provider=provider)
    bucket = f"{name}-{project}"
    found = set() if made_here else _found(context, bucket, name, ask)
    options = pulumi.ResourceOptions(providers=[provider])
    if "key" not in found:
        StateKey(name, context, options)
    if "bucket" not in found:
        StateBucket(bucket, context, options)
    key = f"projects/{project}/locations/{region}/keyRings/{name}/cryptoKeys/{KEY}"
    return Made(backend=f"gs://{bucket}", secrets_provider=f"gcpkms://{key}", found=tuple(sorted(found)))


def _found(context: Context, bucket: str, ring: str, ask: pulumi.InvokeOptions) -> set[str]:
    """What another machine's bootstrap made in this project."""
    found = set()
    buckets = gcp.storage.get_buckets(project=context.account, prefix=bucket, opts=ask)
    if any(one.name == bucket for one in buckets.buckets):
        found.add("bucket")
    rings = gcp.kms.get_key_rings(project=context.account, location=context.region, opts=ask)
    if any(one.name.rpartition("/")[2] == ring for one in rings.key_rings):
        found.add("key")
    return found


class StateKey(Component):
    """A key with a new version every 90 days. Key rings can never be deleted, so the name is used up once it is made."""

    def __init__(self, name: str, context: Context, opts: pulumi.ResourceOptions) -> None:
        super().__init__("state-key", context, opts)
        service = gcp.projects.Service(
            "kms-api", service="cloudkms.googleapis.com", disable_on_destroy=False, opts=self.child()
        )
        ring = gcp.kms.KeyRing(
            "state-ring", name=name, location=context.region, opts=self.lasting(depends_on=[service])
        )
        key = gcp.kms.CryptoKey(
            "state-key",
            name=KEY,
            key_ring=ring.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period="7776000s",
            opts=self.lasting(),
        )
        self.register_outputs({"key": key.id})


class StateBucket(Component):
    """Versioned, uniform access, never public, encrypted by Google; old versions of state are kept for 90 days.

    Google encrypts it by a key of its own: with the state key it would lock out everybody at a mistake with that key's rights, and the
    secrets inside are encrypted by the state key already.
    """

    def __init__(self, name: str, context: Context, opts: pulumi.ResourceOptions) -> None:
        super().__init__("state-bucket", context, opts)
        old_versions = gcp.storage.BucketLifecycleRuleArgs(
            action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
            condition=gcp.storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=90),
        )
        bucket = gcp.storage.Bucket(
            "state",
            name=name,
            location=context.region,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=gcp.storage.BucketVersioningArgs(enabled=True),
            lifecycle_rules=[old_versions],
            force_destroy=False,
            opts=self.lasting(),
        )
        self.register_outputs({"bucket": bucket.name})
