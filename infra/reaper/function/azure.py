"""Scale sets of one resource group, by plain requests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from . import core
from .rest import RestError, ask

ARM = "https://management.azure.com"
VERSION = "2024-07-01"


def handler() -> list[str]:
    """What the timer of `function_app.py` calls."""
    return run(datetime.now(UTC))


def run(now: datetime, arm: str = ARM) -> list[str]:
    """One round."""
    stack, subscription = os.environ["SKYLIFT_STACK"], os.environ["SKYLIFT_SUBSCRIPTION"]
    within = f"/subscriptions/{subscription}/resourceGroups/{os.environ['SKYLIFT_RESOURCE_GROUP']}"
    headers = {"Authorization": f"Bearer {_token()}"}

    def remove(group: core.Group) -> None:
        # https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-sets/delete
        try:
            ask("DELETE", f"{arm}{group.id}?api-version={VERSION}&forceDeletion=true", headers)
        except RestError as error:
            if error.status != 404:
                raise

    return core.reap(_groups(arm, within, headers), remove, stack, now)


def _token() -> str:
    # https://learn.microsoft.com/azure/app-service/overview-managed-identity#connect-to-azure-services-in-app-code
    url = f"{os.environ['IDENTITY_ENDPOINT']}?api-version=2019-08-01&resource={ARM}/&client_id={os.environ['AZURE_CLIENT_ID']}"
    return str(ask("GET", url, {"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]})["access_token"])


def _groups(arm: str, within: str, headers: dict[str, str]) -> Iterator[core.Group]:
    # https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-sets/list
    url = f"{arm}{within}/providers/Microsoft.Compute/virtualMachineScaleSets?api-version={VERSION}"
    while url:
        page = ask("GET", url, headers)
        yield from (_group(one) for one in page.get("value", []) if not _is_going(one))
        url = page.get("nextLink") or ""
        if url and not url.startswith(f"{arm}/"):
            raise core.ReaperError("the next page lies on another server, which is not given the token")


def _is_going(group: dict[str, Any]) -> bool:
    return bool(group.get("properties", {}).get("provisioningState") == "Deleting")


def _group(group: dict[str, Any]) -> core.Group:
    born = group.get("properties", {}).get("timeCreated")
    # Azure tells seven digits of a second, Python takes six.
    moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", born)) if born else None
    return core.Group(id=group["id"], tags=group.get("tags") or {}, born=moment)
