"""docs/production.md: the settings that make a stack ready are few, pass the checks and declare what they promise."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from skylift.stack import settings
from tests.clouds.mocks import Recorded, provision
from tests.clouds.world import World

PAGE = Path(__file__).parents[2] / "docs" / "production.md"
MOST = 15
TARGETS = [target for target in settings.TARGETS if target != "local"]
CLOUDS = ("aws", "gcp", "azure")


def words(cloud: str) -> list[tuple[str, str]]:
    """Of each row of the page's table what stands in the files, and this cloud's in its place; the longest first."""
    table = PAGE.read_text(encoding="utf-8").partition("<!-- words -->")[2].partition("\n\n")[0]
    rows = [re.findall(r"`([^`]+)`", line) for line in table.splitlines()]
    pairs = [(row[0], row[CLOUDS.index(cloud)]) for row in rows if row]
    return sorted(pairs, key=lambda pair: -len(pair[0]))


def ready(target: str) -> dict[str, Any]:
    """The page's settings for a target."""
    text = PAGE.read_text(encoding="utf-8").partition(f"<!-- {settings.KINDS[target]} -->\n```yaml\n")[2]
    text = text.partition("```")[0]
    for theirs, ours in words(settings.CLOUDS[target]):
        text = text.replace(theirs, ours)
    return {key.removeprefix("skylift:"): value for key, value in yaml.safe_load(text)["config"].items()}


def declared(target: str) -> Recorded:
    checked = settings.check(ready(target), "stacks/Pulumi.prod.yaml")
    room = importlib.import_module(f"infra.{checked.cloud}.target")
    account, region = checked.account or "", checked.region or ""
    worlds = {
        "aws": World(account=account, region=region),
        "gcp": World(project=account, google_region=region),
        "azure": World(subscription=account, location=region),
    }
    return provision(lambda: room.provision(checked, "prod", Path()), world=worlds[checked.cloud], stack="prod")


@pytest.mark.parametrize("target", TARGETS)
def test_few_settings_make_a_stack_ready(target: str) -> None:
    chosen = ready(target)
    checked = settings.check(chosen, "stacks/Pulumi.prod.yaml")
    assert checked.target == target and len(chosen) <= MOST
    assert checked.stage == "prod" and checked.owner and checked.budget.monthly and checked.alerts.emails
    assert checked.access.train and checked.access.approve and checked.images.training and checked.images.serving
    assert any(pool.accelerator != "cpu" for pool in checked.pools.values()) and checked.endpoints
    for endpoint in checked.endpoints.values():
        assert endpoint.exposure != "public" or (endpoint.certificate and endpoint.hostname)


QUICK = ("ec2", "gke", "azureml")


@pytest.mark.parametrize(
    "target", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in TARGETS]
)
def test_they_declare_a_pool_a_served_address_a_budget_and_alarms(target: str) -> None:
    recorded = declared(target)
    promised = recorded.result
    assert set(promised.pools) == {"gpu"} and promised.pools["gpu"].accelerator == "T4"
    assert list(promised.endpoints) == ["digits"] and promised.endpoints["digits"].resource
    assert promised.endpoints["digits"].approval
    kinds = Counter(one.type.rpartition(":")[2] for one in recorded.resources)
    assert kinds["Budget"] == 1
    assert any(kinds[kind] for kind in ("MetricAlarm", "AlertPolicy", "MetricAlert", "ScheduledQueryRule")), kinds
    assert any(kinds[kind] for kind in ("Key", "CryptoKey")), "prod encrypts with a key of the stack"


def test_the_page_counts_right() -> None:
    assert {len(ready(target)) for target in TARGETS} == {13}
    assert PAGE.read_text(encoding="utf-8").split("\n\n")[1].startswith("Thirteen settings")
