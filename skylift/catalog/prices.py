"""Dated prices: of machines by the hour, and of what rests by the month. All in US dollars before tax and discounts."""

from __future__ import annotations

from dataclasses import dataclass

from skylift.catalog.tables import table

HOURS_PER_MONTH = 730  # as the clouds' own calculators have it


@dataclass(frozen=True, slots=True)
class Price:
    """What a machine costs while it runs, as a public source had it on a date.

    Attributes:
        usd_per_hour: for the whole machine with its accelerators [USD/h].
        region: where; prices differ between regions by up to a half.
        dated: the date of the source, or what is known of it.
        source: where the figure is from.
    """

    usd_per_hour: float
    region: str
    spot: bool
    dated: str
    source: str


@dataclass(frozen=True, slots=True)
class Resting:
    """What something costs that exists and is not used.

    Attributes:
        item: what it is, in words.
        usd_per_month: per `unit` over 730 hours [USD/month].
        unit: of what the price is one.
        remark: what the price leaves out.
    """

    cloud: str
    key: str
    item: str
    usd_per_month: float
    unit: str
    remark: str
    dated: str
    source: str


def price(
    cloud: str,
    machine: str,
    *,
    spot: bool = False,
    region: str | None = None,
    accelerator: str | None = None,
    count: int | None = None,
) -> Price | None:
    """What a machine costs by the hour, or None where no table knows it.

    Only one region per machine is known; where `region` is given and another one, the answer is None, never a guess.
    `accelerator` and `count` tell Google's N1 apart; without them the machine's own row is meant.
    """
    if accelerator is None and machine.startswith("n1-"):
        accelerator = "cpu"
    for row in table("prices"):
        if (
            row["cloud"] == cloud
            and row["machine"] == machine
            and row["market"] == ("spot" if spot else "on-demand")
            and region in (None, row["region"])
            and accelerator in (None, row["accelerator"])
            and count in (None, int(row["count"]))
        ):
            return Price(float(row["usd_per_hour"]), row["region"], spot, row["dated"], row["source"])
    return None


def resting(cloud: str, key: str | None = None) -> tuple[Resting, ...]:
    """What rests in a cloud at a price: all of it, or what `key` names (`nat`, `interface-endpoint`, …)."""
    return tuple(
        Resting(
            cloud=row["cloud"],
            key=row["key"],
            item=row["item"],
            usd_per_month=float(row["usd_per_month"]),
            unit=row["unit"],
            remark=row["remark"],
            dated=row["dated"],
            source=row["source"],
        )
        for row in table("resting")
        if row["cloud"] == cloud and key in (None, row["key"])
    )
