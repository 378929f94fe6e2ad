"""Plain values become settings strictly, and all that is wrong with them is said at once."""

from typing import Any

import msgspec
import pytest

from skylift.errors import SettingsError
from skylift.stack.settings import EndpointSettings, PoolSettings, Settings, check, describe
from skylift.stack.settings.base import Section
from skylift.stack.settings.building import Builder

REQUIRED: dict[type[Section], dict[str, Any]] = {Settings: {"target": "local"}}
EC2 = {"target": "ec2", "region": "us-east-1", "account": "123456789012"}


def said(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        check(raw, "x")
    return [describe(mistake) for mistake in caught.value.details["mistakes"]]


@pytest.mark.parametrize("section", Section.__subclasses__(), ids=lambda section: section.__name__)
def test_the_defaults_of_a_section_are_what_it_would_take(section: type[Section]) -> None:
    default = section(**REQUIRED.get(section, {}))
    plain = msgspec.to_builtins(default)
    builder = Builder("")
    assert builder.section(section, plain) == default, builder.found
    assert msgspec.convert(plain, section) == default


def test_each_mistake_has_its_key_and_its_sentence() -> None:
    wrong = {
        "target": "ec3",
        "owner": "a" * 64,
        "buckets": {"keep": "http://models"},
        "endpoints": {"A b": {}, "e": {"port": "8501", "workers": True, "prot": 1, "threads": -1}, "f": None},
        "stage": None,
        "tags": {"a": 1, 2: "b"},
        "network": {"allowed_ranges": ["10.0.0.0/8", "10.0.0.1/8"]},
        "cluster": {"version": "1.33\n"},
        "pools": {"p": {"machines": ["m"] * 9, "max_hours": 0, "disk_gib": 1.5, "spot": "no", "zones": "a"}},
        "retention": {"logs_days": 31},
        "budget": {"monthly": float("nan"), 1: 2},
        "alerts": {"emails": ["ada"]},
        "acess": {},
    }
    assert [one.partition(" (allowed: ")[0] for one in said(wrong)] == [
        "skylift:target = 'ec3' is not allowed; did you mean 'ec2'?",
        f"skylift:owner = {'a' * 64!r} must be at most 63 characters long",
        "skylift:buckets.keep = 'http://models' must be a URL: file:///folder, s3://bucket, gs://bucket or az://account/container",
        "skylift:endpoints.A b = 'A b' may hold a-z 0-9 . _ - only, and must begin and end with a letter or digit",
        "skylift:endpoints.e.port = '8501' must be a whole number",
        "skylift:endpoints.e.workers = True must be a whole number",
        "skylift:endpoints.e.threads = -1 must be at least 0",
        "skylift:endpoints.e.prot = 1 is no setting; did you mean 'skylift:endpoints.e.port'?",
        "skylift:endpoints.f = None must be a section with keys of its own",
        "skylift:stage = None is not allowed",
        "skylift:tags.a = 1 must be text; put it in quotes",
        "skylift:tags.2 = 2 must be text; put it in quotes",
        "skylift:network.allowed_ranges.1 = '10.0.0.1/8' must be a range of addresses such as 10.64.0.0/16, without bits behind the mask",
        r"skylift:cluster.version = '1.33\n' must be of the form ^1\.\d\d$",
        f"skylift:pools.p.machines = {['m'] * 9} may hold 8 at the most",
        "skylift:pools.p.zones = 'a' must be a list",
        "skylift:pools.p.spot = 'no' must be true or false",
        "skylift:pools.p.max_hours = 0 must be more than 0",
        "skylift:pools.p.disk_gib = 1.5 must be a whole number",
        "skylift:retention.logs_days = 31 is not allowed",
        "skylift:budget.monthly = nan must be more than 0",
        "skylift:budget.1 = 2 is no setting",
        "skylift:alerts.emails.0 = 'ada' must be of the form " + r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        "skylift:acess = {} is no setting; did you mean 'skylift:access'?",
    ]


def test_a_missing_target_is_answered_with_all_of_them() -> None:
    (sentence,) = said({})
    assert sentence.startswith("skylift:target is missing (allowed: local, gce, ")


def test_a_number_too_large_for_a_float_is_refused() -> None:
    assert said(EC2 | {"budget": {"monthly": 10**400}})[0].endswith("must be a number")


def test_a_whole_number_is_taken_as_a_float_and_a_url_without_its_last_slash() -> None:
    settings = check(EC2 | {"pools": {"p": {"max_hours": 5}}, "buckets": {"keep": "s3://models/"}}, "x")
    assert isinstance(settings.pools["p"].max_hours, float)
    assert settings.buckets.keep == "s3://models"


def test_settings_never_change_and_share_nothing() -> None:
    one, other = check(EC2, "x"), check(EC2, "x")
    assert one == other
    with pytest.raises(AttributeError):
        one.stage = "prod"  # type: ignore[misc]
    assert one.secrets is not other.secrets and one.pools is not other.pools
    assert (one.pools, one.endpoints) == ({"default": PoolSettings()}, {"default": EndpointSettings()})
