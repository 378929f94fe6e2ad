"""Which objects of keep are files, which go up in parts, and which are records, which are written once. Pure.

Put Blob asks for `blobs/add/action` or `blobs/write` where no blob is yet, and for `write` where it replaces one. Put Block and Put
Block List, by which the store uploads what is larger than 8 MiB, ask for `write` always:
https://learn.microsoft.com/rest/api/storageservices/put-block-list#permissions. So:

- **records** (runs, index pages, manifests, versions, deployments, approvals, vetoes) stay create-only: nobody has `write` on them;
- **files** of datasets, code and models are named by the digest of their manifest or content, which readers verify. They carry `write`,
  narrowed by a condition that leaves the records out: an overwritten file is refused at its next read, and the container's versions
  give it back. Azure does not stop that overwrite itself, as infra/aws/records.py says of S3.

Not checked against a cloud.
"""

from __future__ import annotations

from skylift.artifacts import layout

DATASETS, CODE, MODELS = (f"{part}/*" for part in (layout.DATASETS, layout.CODE, layout.MODELS))
"""Where files are."""

RECORDS = (
    f"{layout.DATASETS}/*/{layout.MANIFEST}",
    f"{layout.MODELS}/*/{layout.MANIFEST}",
    f"{layout.MODELS}/*/versions/*",
)
"""Records among the files. Those of `runs/`, `runs-index/`, `studies/` and `endpoints/` have no files beside them."""


def among(*prefixes: str) -> tuple[str, ...]:
    """The records that lie below these paths."""
    return tuple(one for one in RECORDS if one.partition("/")[0] in {prefix.partition("/")[0] for prefix in prefixes})
