"""What `down --compute` lets go of; the whole way runs in tests/clouds/test_keeping.py."""

from __future__ import annotations

from typing import Any

from skylift.engine import resting
from skylift.engine.events import Summary

SUBNET: dict[str, Any] = {
    "type": "azure-native:network:Subnet",
    "urn": "urn:subnet",
    "inputs": {"natGateway": {"id": "nat"}},
}
ACCOUNT = {"type": "azure-native:storage:StorageAccount", "urn": "urn:account", "protect": True}


def test_a_subnet_lets_go_of_its_gateway_where_data_keeps_it() -> None:
    assert resting.holders([ACCOUNT, SUBNET]) == ["urn:subnet"]
    assert resting.holders([SUBNET]) == [], "where nothing is protected, all of it goes"
    assert resting.holders([ACCOUNT, {**SUBNET, "inputs": {}}]) == [], "it holds on to nothing"
    assert resting.holders([ACCOUNT, {"type": "aws:ec2/subnet:Subnet", "urn": "urn:other"}]) == []


def test_the_update_reaches_what_holds_and_nothing_else() -> None:
    assert resting.arguments(["urn:a", "urn:b"])[-4:] == ["--target", "urn:a", "--target", "urn:b"]


def test_two_operations_are_told_as_one() -> None:
    first, second = Summary({"delete": 3, "same": 1}, (), 2.0), Summary({"delete": 2}, (), 1.5)
    assert resting.both(first, second) == Summary({"delete": 5, "same": 1}, (), 3.5)
