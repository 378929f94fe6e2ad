"""Managed instance groups, by plain requests. A group has no labels of its own: its run stands in what it gives all its instances."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from . import core
from .rest import RestError, ask

COMPUTE = "https://compute.googleapis.com/compute/v1"
METADATA = "http://metadata.google.internal/computeMetadata/v1"


def handler(request: object) -> str:
    """What Cloud Run functions call; an exception becomes status 500, which the scheduler's alarm counts."""
    return f"removed {len(run(datetime.now(UTC)))}\n"


def run(now: datetime, compute: str = COMPUTE, metadata: str = METADATA) -> list[str]:
    """One round."""
    stack, project = os.environ["SKYLIFT_STACK"], os.environ["SKYLIFT_PROJECT"]
    # https://cloud.google.com/run/docs/securing/service-identity#fetching_access_tokens_using_the_metadata_server
    got = ask("GET", f"{metadata}/instance/service-accounts/default/token", {"Metadata-Flavor": "Google"})
    headers = {"Authorization": f"Bearer {got['access_token']}"}

    def remove(group: core.Group) -> None:
        # https://cloud.google.com/compute/docs/reference/rest/v1/regionInstanceGroupManagers/delete
        try:
            ask("DELETE", f"{compute}/projects/{project}/{group.id}", headers)
        except RestError as error:
            if error.status != 404 and "resourceNotReady" not in error.text:  # gone, or going since the last round
                raise

    return core.reap(_groups(f"{compute}/projects/{project}", headers), remove, stack, now)


def _groups(project: str, headers: dict[str, str]) -> Iterator[core.Group]:
    # https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/aggregatedList
    url, lost = f"{project}/aggregated/instanceGroupManagers?returnPartialSuccess=true", set[str]()
    page: dict[str, Any] = {"nextPageToken": ""}
    while "nextPageToken" in page:
        token = page["nextPageToken"]
        page = ask("GET", url + (f"&pageToken={quote(token, safe='')}" if token else ""), headers)
        for scope, found in page.get("items", {}).items():
            yield from (_group(scope, group) for group in found.get("instanceGroupManagers", []))
        lost.update(page.get("unreachables", []))
    if lost:
        raise core.ReaperError(f"not told: {', '.join(sorted(lost))}")


def _group(scope: str, group: dict[str, Any]) -> core.Group:
    given = group.get("allInstancesConfig", {}).get("properties", {}).get("labels", {})
    born = group.get("creationTimestamp")
    return core.Group(
        id=f"{scope}/instanceGroupManagers/{group['name']}",
        tags=given,
        born=datetime.fromisoformat(born) if born else None,
    )
