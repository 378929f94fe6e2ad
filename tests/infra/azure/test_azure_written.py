"""Alarms on what the stack's own programs write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clouds.mocks import Recorded
from tests.infra.azure.azure_stacks import IMAGES, REGISTRY, context, declared

ENDPOINTS: dict[str, Any] = {"quick": {"request_seconds": 2.0}, "slow": {"request_seconds": 30.0}}
POOLS = {"default": {}, "gpu": {"accelerator": "T4"}}
MAIL = {"emails": ["ada@example.com"]}


def up(target: str, **more: Any) -> Recorded:
    return declared(target, images=IMAGES, registry=REGISTRY, pools=POOLS, endpoints=ENDPOINTS, alerts=MAIL, **more)


def rule(seen: Recorded, name: str) -> dict[str, Any]:
    found: dict[str, Any] = seen.one("ScheduledQueryRule", f"alarms-{name}").inputs
    return found


@pytest.mark.parametrize(
    ("target", "table"),
    [
        ("aks", "ContainerLogV2 | where PodNamespace == 'skylift' | extend line = tostring(LogMessage) |"),
        ("azure-vm", "Syslog | extend line = SyslogMessage |"),
    ],
)
def test_one_alarm_looks_at_errors_and_slowness_of_every_endpoint(target: str, table: str) -> None:
    seen = up(target)
    made = rule(seen, "answers")
    (condition,) = made["criteria"]["allOf"]
    assert condition["query"].startswith(table)
    assert "tostring(said.event) == 'requests'" in condition["query"]
    assert "100 * errors > 5 * requests" in condition["query"]
    for name in ENDPOINTS:
        allowed = context(target, endpoints=ENDPOINTS).endpoints[name].settings.request_seconds
        assert f"endpoint == '{name}', {allowed * 500:.1f}" in condition["query"]
    # Each endpoint and each trouble rings by itself, and the mail says which.
    assert [one["name"] for one in condition["dimensions"]] == ["endpoint", "trouble"]
    assert all(one["values"] == ["*"] for one in condition["dimensions"])
    (heard,) = made["actions"]["actionGroups"]
    assert heard.endswith(f"/{seen.one('ActionGroup').inputs['actionGroupName']}")


@pytest.mark.parametrize(("target", "table"), [("aks", "ContainerLogV2 |"), ("azure-vm", "Syslog |")])
def test_gpus_of_runs_that_do_nothing_ring_by_run(target: str, table: str) -> None:
    made = rule(up(target), "idle-runs")
    (condition,) = made["criteria"]["allOf"]
    assert condition["query"].startswith(table)
    assert "tostring(said.event) == 'gpu'" in condition["query"] and "idle >= 60" in condition["query"]
    assert [one["name"] for one in condition["dimensions"]] == ["run"] and made["severity"] == 2


def test_where_nothing_writes_nothing_is_looked_for() -> None:
    without = declared("azure-vm", registry=REGISTRY, pools=POOLS)
    assert {one.name for one in without.of("ScheduledQueryRule")} == {"alarms-reaper", "alarms-boot"}
    no_gpus = declared("azure-vm", images=IMAGES, registry=REGISTRY)
    assert {one.name for one in no_gpus.of("ScheduledQueryRule")} == {"alarms-reaper", "alarms-boot", "alarms-answers"}
