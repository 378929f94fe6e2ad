"""Which objects are records, and the statements that keep them as they were written. Pure.

S3 lets a policy demand `If-None-Match` of the requests that make an object visible, PutObject and CompleteMultipartUpload; the other
parts of a multipart upload are exempt by `s3:ObjectCreationOperation`:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html

Our store completes multipart uploads (files over 8 MiB) without that header, for its library offers no other way. So:

- **records** (runs, index pages, manifests, version numbers, deployments, approvals, vetoes) are create-only for everybody, enforced by
  the bucket's policy and again by each identity's own, which holds in a referenced bucket too;
- `current.json` needs `If-Match`, or `If-None-Match` the first time: nobody replaces a pointer that he has not read;
- **files** of datasets, code and models are named by the digest of their manifest or content, which readers verify; an overwritten
  file is therefore refused at its next read, and the bucket's versions give it back. IAM does not stop the overwrite itself.
"""

from __future__ import annotations

from typing import Any

from infra.aws.names import Bucket
from skylift.artifacts import layout

RECORDS = (
    f"{layout.RUNS}/*",
    f"{layout.RUNS_INDEX}/*",
    f"{layout.DATASETS}/*/{layout.MANIFEST}",
    f"{layout.MODELS}/*/{layout.MANIFEST}",
    f"{layout.MODELS}/*/versions/*",
    f"{layout.ENDPOINTS}/*/deployments/*",
    f"{layout.ENDPOINTS}/*/approvals/*",
    f"{layout.ENDPOINTS}/*/vetoes/*",
)
"""Keys of keep that are written once. All are far below 8 MiB."""

POINTERS = (f"{layout.ENDPOINTS}/*/current.json",)

_VISIBLE = {"Bool": {"s3:ObjectCreationOperation": "true"}}


def create_only(keep: Bucket) -> list[dict[str, Any]]:
    """Deny statements without a principal: complete in a role's policy, a bucket's adds `Principal: *`."""
    return [
        {
            "Sid": "RecordsAreCreateOnly",
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": list(keep.objects(*RECORDS)),
            "Condition": {"Null": {"s3:if-none-match": "true"}, **_VISIBLE},
        },
        {
            "Sid": "PointersAreReplacedAsRead",
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": list(keep.objects(*POINTERS)),
            "Condition": {"Null": {"s3:if-match": "true", "s3:if-none-match": "true"}, **_VISIBLE},
        },
    ]


def tls_only(bucket: Bucket) -> dict[str, Any]:
    """Refuses whoever comes without TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket.arn, f"{bucket.arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def bucket_policy(bucket: Bucket, *, records: bool) -> dict[str, Any]:
    """The policy of a bucket of ours: it allows nothing, rights come from the identities."""
    denied = create_only(bucket) if records else []
    return {
        "Version": "2012-10-17",
        "Statement": [tls_only(bucket), *({**statement, "Principal": "*"} for statement in denied)],
    }
