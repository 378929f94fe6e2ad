"""How a network is divided."""

import ipaddress
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.aws.network_plan import choose_zones, interface_services, plan
from skylift.errors import SettingsError
from tests.infra.aws.stacks import context


@st.composite
def ranges(draw: st.DrawFn) -> str:
    """Private ranges of /16 to /20, as the settings take them."""
    bits = draw(st.integers(16, 20))
    start = draw(st.integers(0, 2 ** (bits - 8) - 1)) << (32 - bits)
    return str(ipaddress.IPv4Network((int(ipaddress.IPv4Address("10.0.0.0")) + start, bits)))


LETTERS = st.sets(st.sampled_from("abcdefg"), min_size=2).map(sorted)


def zones_of(letters: Iterable[str]) -> list[str]:
    return [f"us-east-1{letter}" for letter in letters]


@given(ranges(), LETTERS, LETTERS)
def test_subnets_lie_in_the_network_and_never_overlap(cidr: str, letters: list[str], public: list[str]) -> None:
    laid = plan(cidr, zones_of(letters), zones_of(public))
    whole = ipaddress.ip_network(cidr)
    parts = [ipaddress.ip_network(part) for part in (*laid.private.values(), *laid.public.values())]
    assert (len(laid.private), len(laid.public)) == (len(letters), len(public))
    assert all(part.subnet_of(whole) for part in parts)  # type: ignore[arg-type]
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)
    assert all(part.num_addresses >= 64 for part in parts)


@given(ranges(), LETTERS, LETTERS)
def test_a_zone_more_or_less_moves_no_other(cidr: str, before: list[str], after: list[str]) -> None:
    one, other = plan(cidr, zones_of(before)).private, plan(cidr, zones_of(after)).private
    assert all(other[zone] == part for zone, part in one.items() if zone in other)


def test_the_zones_of_a_network_do_not_move_with_the_settings() -> None:
    offered = {
        "us-east-1a": ["g6.xlarge", "m5.xlarge"],
        "us-east-1b": ["m5.xlarge"],
        "us-east-1d": ["m5.xlarge", "p5.48xlarge"],
        "us-east-1e": ["t3.large"],
    }
    settings: tuple[dict[str, Any], ...] = (
        {"default": {}},
        {"gpu": {"accelerator": "L4"}},
        {"gpu": {"accelerator": "H100", "zones": ["us-east-1d"]}},
    )
    for pools in settings:
        assert choose_zones(context(pools=pools), offered) == ("us-east-1a", "us-east-1b", "us-east-1d")


def test_a_region_without_that_machine_takes_what_it_has() -> None:
    assert choose_zones(context(), {"mx-central-1a": ["g6.xlarge"], "mx-central-1b": ["g6.xlarge"]}) == (
        "mx-central-1a",
        "mx-central-1b",
    )


def test_a_region_with_one_fitting_zone_is_refused_with_a_way_out() -> None:
    with pytest.raises(SettingsError, match="in 1 zone") as raised:
        choose_zones(context(), {"us-east-1a": ["m5.xlarge"]})
    assert "network.id" in raised.value.hint


def test_private_endpoints_are_paid_only_where_nothing_else_leads_there() -> None:
    assert interface_services(context()) == ()
    assert "ecr.dkr" in interface_services(context(stage="prod"))
    assert interface_services(context("sagemaker", network={"egress": "private"})) == ("sagemaker.runtime",)
    assert interface_services(context("sagemaker", endpoints={"default": {"exposure": "private"}})) == (
        "sagemaker.runtime",
    )
    assert "secretsmanager" in interface_services(context(stage="prod", secrets=["token"]))
