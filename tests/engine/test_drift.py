"""What a refresh found and nobody is to mend."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.engine.drift import mendable
from skylift.engine.events import ResourceStep, Summary

GROUP = "urn:pulumi:lab::skylift::aws:autoscaling/group:Group::group"


def step(op: str, *changed: str) -> Summary:
    return Summary({op: 1, "same": 2}, (ResourceStep(op, "group", "Group", GROUP, "done", changed),))


def state(*ignored: str) -> list[dict[str, Any]]:
    return [{"urn": GROUP, "ignoreChanges": list(ignored)}, {"urn": "urn:other"}]


@pytest.mark.parametrize(
    ("changed", "ignored"),
    [(["desiredCapacity"], ["desiredCapacity"]), (["sku.capacity"], ["sku.capacity"]), (["disks[0].size"], ["disks"])],
)
def test_a_size_that_an_autoscaler_set_is_no_drift(changed: list[str], ignored: list[str]) -> None:
    found = mendable(step("update", *changed), state(*ignored))
    assert not found.changed and found.steps == () and found.changes == {"same": 3}


@pytest.mark.parametrize(
    ("found", "ignored"),
    [
        (step("update", "desiredCapacity", "maxSize"), ["desiredCapacity"]),
        (step("update", "tags"), []),
        (step("update"), ["desiredCapacity"]),
        (step("update", "counter"), ["count"]),
        (step("delete", "desiredCapacity"), ["desiredCapacity"]),
    ],
)
def test_everything_else_is(found: Summary, ignored: list[str]) -> None:
    assert mendable(found, state(*ignored)) == found
