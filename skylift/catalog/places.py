"""Regions and zones, and which accelerator is where."""

from __future__ import annotations

from functools import cache

from skylift.catalog.machines import CLOUDS, offered
from skylift.catalog.tables import table
from skylift.errors import InputError, nearest, not_found

# Zones that do not follow the rule a, b, c: https://cloud.google.com/compute/docs/regions-zones
_GCP_ZONES = {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}


def regions(cloud: str, accelerator: str = "cpu") -> tuple[str, ...]:
    """The regions of a cloud; with an accelerator, those known to have it (empty where no list is known)."""
    if accelerator == "cpu":
        return _regions(cloud)
    return tuple(row["region"] for row in _availability(cloud, accelerator))


def check_region(cloud: str, region: str, accelerator: str = "cpu", *, key: str = "region") -> None:
    """Refuses a region that does not exist or is known to lack the accelerator.

    Where no complete list of an accelerator's regions is known, every region of the cloud passes.

    Args:
        key: the setting that the error names.

    Raises:
        InputError: with near misses, or with the regions that have the accelerator.
    """
    if region not in _regions(cloud):
        guess = nearest(region, _regions(cloud))
        raise InputError(
            f"{key}: {cloud} has no region {region!r}" + (f"; did you mean {guess!r}?" if guess else ""),
            hint=f"set {key} to one of {', '.join(_shown(accelerator, cloud))}",
            details={"key": key, "value": region, "known": list(_regions(cloud))},
        )
    if accelerator == "cpu" or accelerator not in offered(cloud):
        return
    rows = _availability(cloud, accelerator)
    having = [row["region"] for row in rows]
    if rows and region not in having:
        raise InputError(
            f"{key}: {cloud} has no {accelerator} in {region} (list as of {rows[0]['dated']}, not checked against a cloud)",
            hint=f"set {key} to one of {', '.join(having)}, or choose another accelerator",
            details={"key": key, "value": region, "accelerator": accelerator, "regions": having},
        )


def zones(cloud: str, region: str) -> tuple[str, ...]:
    """The names of a region's zones.

    Google: full names. Azure: "1", "2", "3", of which a region may have none. AWS: empty, for an account's letters are
    its own and the provider asks for them (`aws.get_availability_zones`).
    """
    if region not in _regions(cloud):
        raise not_found(f"region on {cloud}", region, _regions(cloud))
    if cloud == "gcp":
        return tuple(f"{region}-{letter}" for letter in _GCP_ZONES.get(region, "abc"))
    return ("1", "2", "3") if cloud == "azure" else ()


@cache
def _regions(cloud: str) -> tuple[str, ...]:
    if cloud not in CLOUDS:
        raise not_found("cloud", cloud, CLOUDS)
    return tuple(row["region"] for row in table("regions") if row["cloud"] == cloud)


@cache
def _availability(cloud: str, accelerator: str) -> tuple[dict[str, str], ...]:
    return tuple(row for row in table("availability") if (row["cloud"], row["accelerator"]) == (cloud, accelerator))


def _shown(accelerator: str, cloud: str) -> tuple[str, ...]:
    having = regions(cloud, accelerator) if accelerator in offered(cloud) else ()
    return having or _regions(cloud)
