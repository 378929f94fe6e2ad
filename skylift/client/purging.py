"""What a versioned bucket still holds of removed objects: purged where that is possible, else named with the day it goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from skylift.errors import SkyliftError

if TYPE_CHECKING:
    from skylift.client.stack import Stack


@dataclass(frozen=True)
class Purge:
    """How it went. `until` is when the last of it can no longer be restored, None where nothing can; `said` says it for people."""

    versions: int
    until: datetime | None
    said: str


def purge(stack: Stack, prefix: str) -> Purge:
    """Delete versions of removed objects below the folder `prefix` of the keep bucket for good, as far as rights and retention allow.

    Never raises for a bucket that keeps them: what was removed is removed, and the answer says until when it can be had back.
    """
    scheme, _, rest = stack.keep.url.partition("://")
    if scheme == "file":
        return Purge(0, None, "they were files of this machine: nothing keeps them")
    if scheme == "az":
        return _azure(stack)
    bucket, _, folder = rest.partition("/")
    whole = "/".join(part for part in (folder, prefix) if part) + "/"
    try:
        return _s3(stack, bucket, whole) if scheme == "s3" else _google(stack, bucket, whole)
    except SkyliftError as error:
        until = _after(stack.settings.retention.versions_days)
        return Purge(
            0, until, f"old versions could not be purged ({error.message}) and can be restored until {until:%d %b %Y}"
        )


def _s3(stack: Stack, bucket: str, prefix: str) -> Purge:
    from skylift.clouds.s3 import Versions

    gone, kept = Versions(bucket).purge(prefix)
    if not kept:
        return Purge(gone, None, f"{gone} old versions and marks are purged: S3 keeps nothing of it")
    until = _after(stack.settings.retention.versions_days)
    said = f"{gone} old versions are purged; S3 keeps {len(kept)} ({kept[0]}), which can be restored until {until:%d %b %Y}"
    return Purge(gone, until, said)


def _google(stack: Stack, bucket: str, prefix: str) -> Purge:
    from skylift.clouds import gcs
    from skylift.clouds.gcp import Client

    versions = gcs.Versions(bucket, Client(gcs.URL, stack.outputs.account))
    gone = versions.purge(prefix)
    seconds = versions.soft_delete_seconds()
    if not seconds:
        return Purge(gone, None, f"{gone} old versions are purged: Cloud Storage keeps nothing of it")
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    said = (
        f"{gone} old versions are purged; soft delete can restore them until {until:%d %b %Y}, which nobody can shorten"
    )
    return Purge(gone, until, said)


def _azure(stack: Stack) -> Purge:
    """Soft delete holds deleted blobs and versions alike; only an account that allows it lets them be deleted for good.

    https://learn.microsoft.com/azure/storage/blobs/soft-delete-blob-overview
    """
    days = min(stack.settings.retention.versions_days, 365)
    until = _after(days)
    return Purge(
        0, until, f"Azure's versions and soft delete keep it for {days} days: it can be restored until {until:%d %b %Y}"
    )


def _after(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)
