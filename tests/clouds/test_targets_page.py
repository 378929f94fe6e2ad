"""docs/targets.md shows what the components declare."""

from __future__ import annotations

import pytest

from tests import targets_page

pytestmark = pytest.mark.slow


def test_the_tables_are_what_the_components_declare() -> None:
    current = targets_page.PAGE.read_text(encoding="utf-8")
    assert targets_page.page(current) == current, "run `python -m tests.targets_page`"


def test_everything_that_costs_at_rest_is_in_the_table() -> None:
    """A load balancer, NAT gateway, endpoint or cluster of a new kind has to be priced."""
    dear = (
        "LoadBalancer",
        "NatGateway",
        "Cluster",
        "ManagedCluster",
        "PrivateEndpoint",
        "BastionHost",
        "ForwardingRule",
    )
    for cloud, prices in targets_page.PRICES.items():
        for target in (one for one in targets_page.settings.TARGETS if targets_page.settings.CLOUDS[one] == cloud):
            for one in targets_page.own(targets_page.declared(target, "prod")):
                kind = targets_page.kind_of(one)
                known = kind in prices or kind == "containerservice:ManagedCluster"
                assert known or not kind.endswith(tuple(f":{name}" for name in dear)), f"{target}: {kind} has no price"
