"""Regions and zones, and which accelerator is where."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from skylift.catalog.machines import CLOUDS, offered
from skylift.catalog.tables import table
from skylift.errors import InputError, nearest, not_found

# Zones that do not follow the rule a, b, c: https://cloud.google.com/compute/docs/regions-zones
_GCP_ZONES = {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}

SHOWN = 4
"""Regions that a hint names: all of them would drown the mistake, and hints that are long are left out beside other mistakes."""


def regions(cloud: str, accelerator: str = "cpu") -> tuple[str, ...]:
    """The regions of a cloud that are not known to lack the accelerator."""
    return tuple(region for region in _regions(cloud) if accelerator == "cpu" or _may_have(cloud, accelerator, region))


def check_region(cloud: str, region: str, accelerator: str = "cpu", *, key: str = "region") -> None:
    """Refuses a region that does not exist or is known to lack the accelerator.

    Where nothing is known of an accelerator, every region of the cloud passes.

    Args:
        key: the setting that the error names.

    Raises:
        InputError: with near misses, or with the regions that may have the accelerator.
    """
    known = _regions(cloud)
    if region not in known:
        guess = nearest(region, known)
        raise InputError(
            f"{key}: {cloud} has no region {region!r}" + (f"; did you mean {guess!r}?" if guess else ""),
            hint=f"set {key} to one of {_some(regions(cloud, accelerator), region)}",
            details={"key": key, "value": region, "known": list(known)},
        )
    if accelerator == "cpu" or accelerator not in offered(cloud) or _may_have(cloud, accelerator, region):
        return
    having = regions(cloud, accelerator)
    dated = _availability(cloud, accelerator)[0]["dated"]
    known_since = f"list of {dated}, " if dated[:4].isdigit() else ""
    raise InputError(
        f"{key}: {cloud} has no {accelerator} in {region} ({known_since}not checked against a cloud)",
        hint=f"set {key} to one of {_some(having, region)}, or choose another accelerator",
        details={"key": key, "value": region, "accelerator": accelerator, "regions": list(having)},
    )


def _some(having: Sequence[str], near: str) -> str:
    """A few of many, those of the same part of the world first; the error's details have all."""
    ordered = sorted(having, key=lambda one: (one[:3] != near[:3], one))
    return ", ".join(ordered[:SHOWN]) + (f" (and {len(ordered) - SHOWN} more)" if len(ordered) > SHOWN else "")


def zones(cloud: str, region: str, accelerator: str = "cpu") -> tuple[str, ...]:
    """The names of a region's zones, with an accelerator of those that are known to have it.

    Google: full names. Azure: "1", "2", "3", of which a region may have none. AWS: empty, for an account's letters are
    its own and the provider asks for them (`aws.get_availability_zones`).
    """
    if region not in _regions(cloud):
        raise not_found(f"region on {cloud}", region, _regions(cloud))
    if cloud == "gcp":
        having = next((row["zones"] for row in _availability(cloud, accelerator) if row["region"] == region), "")
        return tuple(f"{region}-{letter}" for letter in having or _GCP_ZONES.get(region, "abc"))
    return ("1", "2", "3") if cloud == "azure" else ()


@cache
def _regions(cloud: str) -> tuple[str, ...]:
    if cloud not in CLOUDS:
        raise not_found("cloud", cloud, CLOUDS)
    return tuple(row["region"] for row in table("regions") if row["cloud"] == cloud)


@cache
def _availability(cloud: str, accelerator: str) -> tuple[dict[str, str], ...]:
    return tuple(row for row in table("availability") if (row["cloud"], row["accelerator"]) == (cloud, accelerator))


def _may_have(cloud: str, accelerator: str, region: str) -> bool:
    rows = _availability(cloud, accelerator)
    return not rows or any(row["region"] == region for row in rows)
