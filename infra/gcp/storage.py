"""The two buckets."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import names

DAY = 86400
_ABANDONED_DAYS = 7
PASSING = ("live/", "events/", "logs/", "checkpoints/", "replicas/", "samples/")
"""What expires in work."""


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """
    Args:
        key: encryption key; None for Google's own.
    """

    context: Context
    key: pulumi.Input[str] | None = None


class Storage(Component):
    """keep and work, each made or referenced; what is referenced is used as it is.

    Made buckets take no access lists and can never be public; Google speaks TLS only and encrypts always, here with the stack's key
    where there is one. keep has versions (old ones expire) and seven days in which even a deleted version comes back; work has neither,
    and expires by leading prefix. Both are protected and retained unless the stack is disposable.

    Writes into the stack's own keep bucket are audited: the project then records each write of any bucket of it in Cloud Logging, about
    1 KB each at 0.50 USD a GiB beyond the project's free 50 GiB a month; monitoring.py keeps those of models/ and endpoints/. The
    setting belongs to the project, so it stays when the stack goes.

    Attributes:
        keep: the bucket's name, known once it is there.
        work: likewise.
    """

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._key = args.key
        context, retention = args.context, args.context.settings.retention
        self.keep = self._bucket(
            f"{name}-keep",
            names.bucket(context, "keep"),
            rules=[_expiry(days_since_noncurrent_time=retention.versions_days, with_state="ARCHIVED")],
            versions=True,
        )
        self.work = self._bucket(
            f"{name}-work",
            names.bucket(context, "work"),
            rules=[_expiry(age=retention.work_days, matches_prefixes=list(PASSING))],
            versions=False,
        )
        if names.bucket(context, "keep").own and names.makes(context):
            self._audit(name)
        self.register_outputs({"keep": self.keep, "work": self.work})

    def _bucket(
        self, name: str, place: names.Place, *, rules: list[gcp.storage.BucketLifecycleRuleArgs], versions: bool
    ) -> pulumi.Output[str]:
        if not place.own:
            return pulumi.Output.from_input(place.bucket)
        made = gcp.storage.Bucket(
            name,
            name=place.bucket,
            location=self.context.region,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=gcp.storage.BucketVersioningArgs(enabled=versions),
            soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(
                retention_duration_seconds=7 * DAY if versions and self.context.keeps_data else 0
            ),
            lifecycle_rules=[*rules, _abandoned()],
            encryption=None if self._key is None else gcp.storage.BucketEncryptionArgs(default_kms_key_name=self._key),
            force_destroy=not self.context.keeps_data,
            opts=self.lasting(),
        )
        return made.name

    def _audit(self, name: str) -> None:
        gcp.projects.IAMAuditConfig(
            f"{name}-audit",
            project=self.context.account,
            service="storage.googleapis.com",
            audit_log_configs=[gcp.projects.IAMAuditConfigAuditLogConfigArgs(log_type="DATA_WRITE")],
            opts=self.child(retain_on_delete=True),
        )


def _expiry(
    *,
    age: int | None = None,
    days_since_noncurrent_time: int | None = None,
    with_state: str | None = None,
    matches_prefixes: list[str] | None = None,
) -> gcp.storage.BucketLifecycleRuleArgs:
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(
            age=age,
            days_since_noncurrent_time=days_since_noncurrent_time,
            with_state=with_state,
            matches_prefixes=matches_prefixes,
        ),
    )


def _abandoned() -> gcp.storage.BucketLifecycleRuleArgs:
    """Uploads in parts that nobody finished: invisible and billed."""
    return gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="AbortIncompleteMultipartUpload"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=_ABANDONED_DAYS),
    )
