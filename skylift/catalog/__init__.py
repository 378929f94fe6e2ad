"""What the clouds sell: accelerators, machine shapes, regions, zones, quota names and dated prices.

All of it are tables beside this file, each row with its source and date. Nothing here asks a cloud, and nothing was
checked against one: a list says what was public on its date. What a table does not know is allowed, never refused.
"""

from __future__ import annotations

from skylift.catalog.machines import ACCELERATORS, CLOUDS, Shape, offered, shape, shapes, smallest
from skylift.catalog.places import check_region, regions, zones
from skylift.catalog.prices import Price, Resting, price, resting
from skylift.catalog.quotas import Quota, quota

__all__ = [
    "ACCELERATORS",
    "CLOUDS",
    "Price",
    "Quota",
    "Resting",
    "Shape",
    "check_region",
    "offered",
    "price",
    "quota",
    "regions",
    "resting",
    "shape",
    "shapes",
    "smallest",
    "zones",
]
