"""Versions of objects in Google Cloud Storage, which obstore does not know: found and deleted by its JSON interface.

https://cloud.google.com/storage/docs/json_api/v1/objects. Not checked against a cloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from skylift.clouds.gcp import Client
from skylift.errors import NotFoundError

URL = "https://storage.googleapis.com/storage/v1"


class Versions:
    """Versions of a bucket that no listing shows."""

    def __init__(self, bucket: str, client: Client) -> None:
        self._bucket, self._client = bucket, client

    def purge(self, prefix: str) -> int:
        """Delete old and deleted versions of objects whose keys begin so; how many. What is there in plain sight stays.

        Where the bucket has soft delete (`soft_delete_seconds`), Google can restore them for that long all the same.

        Raises:
            CredentialsError: not allowed, or a retention forbids it.
            UnreachableError: no answer.
        """
        gone = 0
        for one in list(self._list(prefix)):
            try:
                self._client.delete(f"{self._root}/o/{quote(one['name'], safe='')}?generation={one['generation']}")
            except NotFoundError:
                continue  # somebody else was quicker, or a first try did it and its answer was lost
            gone += 1
        return gone

    def soft_delete_seconds(self) -> int:
        """How long soft delete keeps what is deleted; 0 where it is off."""
        policy = self._client.get(f"{self._root}?fields=softDeletePolicy").get("softDeletePolicy", {})
        return int(policy.get("retentionDurationSeconds", 0))

    @property
    def _root(self) -> str:
        return f"b/{quote(self._bucket, safe='')}"

    def _list(self, prefix: str) -> Iterator[dict[str, Any]]:
        asked = {"versions": "true", "prefix": prefix, "fields": "items(name,generation,timeDeleted),nextPageToken"}
        while True:
            page = self._client.get(f"{self._root}/o?{urlencode(asked)}")
            yield from (one for one in page.get("items", []) if "timeDeleted" in one)
            if "nextPageToken" not in page:
                return
            asked["pageToken"] = page["nextPageToken"]
