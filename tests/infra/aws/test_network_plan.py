"""How a network is divided."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.aws.network_plan import LEAST_ZONES, MOST_ZONES, choose_zones, interface_services, plan
from skylift.errors import SettingsError
from tests.infra.aws.stacks import context


@st.composite
def ranges(draw: st.DrawFn) -> str:
    """Private ranges of /16 to /20, as the settings take them."""
    bits = draw(st.integers(16, 20))
    start = draw(st.integers(0, 2 ** (bits - 8) - 1)) << (32 - bits)
    return str(ipaddress.IPv4Network((int(ipaddress.IPv4Address("10.0.0.0")) + start, bits)))


@given(ranges(), st.integers(LEAST_ZONES, MOST_ZONES), st.integers(0, LEAST_ZONES))
def test_subnets_lie_in_the_network_and_never_overlap(cidr: str, zones: int, public: int) -> None:
    laid = plan(cidr, [f"zone-{index}" for index in range(zones)], public=public)
    whole = ipaddress.ip_network(cidr)
    parts = [ipaddress.ip_network(part) for part in (*laid.private.values(), *laid.public.values())]
    assert (len(laid.private), len(laid.public)) == (zones, public)
    assert all(part.subnet_of(whole) for part in parts)  # type: ignore[arg-type]
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)
    assert all(part.num_addresses >= 256 for part in parts)


def test_zones_that_pools_name_come_first_then_those_that_offer_most() -> None:
    named = context(pools={"gpu": {"accelerator": "L4", "zones": ["us-east-1d"]}})
    offered = {"us-east-1a": ["g6.xlarge"], "us-east-1b": ["g6.xlarge", "m5.xlarge"], "us-east-1d": ["g6.xlarge"]}
    assert choose_zones(named, offered) == ("us-east-1d", "us-east-1b", "us-east-1a")


def test_a_region_with_one_fitting_zone_is_refused_with_a_way_out() -> None:
    with pytest.raises(SettingsError, match="in 1 zone") as raised:
        choose_zones(context(), {"us-east-1a": ["m5.xlarge"]})
    assert "network.id" in raised.value.hint


def test_more_zones_than_a_network_has_subnets_are_refused() -> None:
    pools = {"gpu": {"accelerator": "L4", "zones": [f"us-east-1{letter}" for letter in "abcd"]}}
    with pytest.raises(SettingsError, match="4 zones"):
        choose_zones(context(pools=pools), {})


def test_private_endpoints_are_paid_only_where_nothing_else_leads_there() -> None:
    assert interface_services(context()) == ()
    assert "ecr.dkr" in interface_services(context(stage="prod"))
    assert interface_services(context("sagemaker", network={"egress": "private"})) == ("sagemaker.runtime",)
    assert interface_services(context("sagemaker", endpoints={"default": {"exposure": "private"}})) == (
        "sagemaker.runtime",
    )
    assert "secretsmanager" in interface_services(context(stage="prod", secrets=["token"]))
