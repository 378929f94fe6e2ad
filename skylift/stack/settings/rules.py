"""What holds between settings, and which of them have a meaning on which target."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from skylift import catalog
from skylift.errors import SkyliftError
from skylift.stack.settings.endpoints import LOCAL_FIELDS, NOT_ON_CLOUDS, EndpointSettings
from skylift.stack.settings.mistakes import Mistake
from skylift.stack.settings.model import Settings

Found = Iterator[tuple[str, object, str]]
"""Key without prefix, given value, what is wrong with it."""

Check = Callable[[Settings], Found]

ON_LOCAL = ("target", "backend", "owner", "disposable", "buckets", "endpoints")

ACCOUNTS = {
    "aws": (r"\d{12}", "an AWS account id: 12 digits"),
    "gcp": (r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a Google project id: 6 to 30 of a-z 0-9 -"),
    "azure": (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "an Azure subscription id"),
}

LONG = 160
"""A hint with more letters lists everything there is, which drowns the other mistakes."""

SCHEMES = {"local": ("file",), "aws": ("s3",), "gcp": ("gs",), "azure": ("az",)}


def broken_rules(settings: Settings, raw: Mapping[str, Any], prefix: str) -> list[Mistake]:
    """Every rule that the settings break, as mistakes.

    Args:
        raw: the plain values that they come from, which tell what was named.
    """
    checks = _local(raw) if settings.target == "local" else _cloud(raw)
    return [
        {"key": f"{prefix}{key}", "problem": problem} | ({} if given is None else {"given": given})
        for check in (_endpoints, _buckets, *checks)
        for key, given, problem in check(settings)
    ]


def _local(raw: Mapping[str, Any]) -> tuple[Check, ...]:
    return _ports, partial(_local_only, raw)


def _cloud(raw: Mapping[str, Any]) -> tuple[Check, ...]:
    named = partial(_without_meaning, raw), partial(_network, raw)
    return _place, *named, _exposure, _replicas, _pools, _access, _region, _machines


def _named(raw: Mapping[str, Any], *section: str) -> set[str]:
    """The settings that a section of the plain values names."""
    for part in section:
        raw = raw.get(part, {})
    return set(raw)


def _endpoints(settings: Settings) -> Found:
    for name, endpoint in settings.endpoints.items():
        if endpoint.max_batch_rows > endpoint.queue_rows:
            yield (
                f"endpoints.{name}.max_batch_rows",
                endpoint.max_batch_rows,
                f"is more than queue_rows ({endpoint.queue_rows})",
            )


def _buckets(settings: Settings) -> Found:
    keep, work = settings.buckets.keep, settings.buckets.work
    if keep is not None and keep == work:
        yield "buckets.work", work, "must not be the same bucket as keep"
    for kind, url in (("keep", keep), ("work", work)):
        schemes = SCHEMES[settings.cloud]
        if settings.cloud != "local" and url is not None and url.partition(":")[0] not in schemes:
            yield f"buckets.{kind}", url, f"must be a {schemes[0]}:// URL on target {settings.target}"


def _ports(settings: Settings) -> Found:
    taken: dict[int, str] = {}
    for name, endpoint in settings.endpoints.items():
        if endpoint.port and endpoint.port in taken:
            yield f"endpoints.{name}.port", endpoint.port, f"is the port of endpoint {taken[endpoint.port]!r} already"
        taken.setdefault(endpoint.port, name)


def _local_only(raw: Mapping[str, Any], settings: Settings) -> Found:
    default = Settings(target="local")
    for key in sorted(_named(raw) - set(ON_LOCAL)):
        if getattr(settings, key) != getattr(default, key):
            yield key, None, "has no meaning on target local"
    for name, endpoint in settings.endpoints.items():
        for key in sorted(_named(raw, "endpoints", name) - set(LOCAL_FIELDS)):
            yield f"endpoints.{name}.{key}", getattr(endpoint, key), "has no meaning on target local"


def _place(settings: Settings) -> Found:
    if settings.region is None:
        yield "region", None, f"is missing: target {settings.target} needs the region to work in"
    if settings.account is None:
        yield "account", None, f"is missing: {ACCOUNTS[settings.cloud][1]}, which guards against working in another"
    elif not re.fullmatch(ACCOUNTS[settings.cloud][0], settings.account):
        yield "account", settings.account, f"must be {ACCOUNTS[settings.cloud][1]}"


def _without_meaning(raw: Mapping[str, Any], settings: Settings) -> Found:
    said = f"has no meaning on target {settings.target}"
    if settings.kind != "cluster" and _named(raw, "cluster"):
        yield "cluster", None, said
    if settings.workspace is not None and settings.target != "azureml":
        yield "workspace", settings.workspace, said
    if settings.permissions_boundary is not None and settings.cloud != "aws":
        yield "permissions_boundary", settings.permissions_boundary, said
    if settings.network.bastion and settings.cloud != "azure":
        yield "network.bastion", True, said
    if settings.budget.billing_account is not None and settings.cloud != "gcp":
        yield "budget.billing_account", settings.budget.billing_account, said
    for name, endpoint in settings.endpoints.items():
        for key in NOT_ON_CLOUDS:
            if key in _named(raw, "endpoints", name):
                yield f"endpoints.{name}.{key}", getattr(endpoint, key), said


def _network(raw: Mapping[str, Any], settings: Settings) -> Found:
    network = settings.network
    if (network.id is None) != (not network.subnets):
        missing = "subnets" if network.subnets == [] else "id"
        yield f"network.{missing}", None, "is missing: a network of yours needs both `id` and `subnets`"
    if network.id is not None and "cidr" in _named(raw, "network"):
        yield "network.cidr", network.cidr, "has no meaning beside network.id"
    block = ipaddress.ip_network(network.cidr)
    if block.version != 4 or not 16 <= block.prefixlen <= 20 or not block.is_private:
        yield "network.cidr", network.cidr, "must be private IPv4 addresses, /16 to /20, such as 10.64.0.0/16"
    for range_ in network.allowed_ranges:
        if ipaddress.ip_network(range_).prefixlen == 0:
            yield "network.allowed_ranges", range_, "is the whole internet; name the ranges that you call from"
        elif ipaddress.ip_network(range_).version == block.version and ipaddress.ip_network(range_).overlaps(block):
            said = f"overlaps network.cidr ({network.cidr}), the stack's own addresses: name ranges outside, or another cidr"
            yield "network.allowed_ranges", range_, said


def _exposure(settings: Settings) -> Found:
    managed = settings.kind == "managed"
    for name, endpoint in settings.endpoints.items():
        at = f"endpoints.{name}"
        if managed and endpoint.exposure == "public":
            yield f"{at}.exposure", "public", "is not offered by managed services: iam or private"
        if not managed and endpoint.exposure == "iam":
            yield f"{at}.exposure", "iam", "is for managed services: private or public"
        if not managed and endpoint.exposure == "public" and not (endpoint.certificate and endpoint.hostname):
            yield f"{at}.exposure", "public", f"needs TLS: give {at}.certificate and {at}.hostname, or keep it private"
        if endpoint.allowed_ranges and endpoint.exposure != "public":
            yield f"{at}.allowed_ranges", endpoint.allowed_ranges, "needs exposure: public"
        yield from _meaningless_on_managed(at, endpoint, settings) if managed else ()


def _meaningless_on_managed(at: str, endpoint: EndpointSettings, settings: Settings) -> Found:
    for key in ("certificate", "hostname", "api_keys"):
        if getattr(endpoint, key):
            yield f"{at}.{key}", getattr(endpoint, key), f"has no meaning on target {settings.target}"


def _replicas(settings: Settings) -> Found:
    for name, endpoint in settings.endpoints.items():
        if endpoint.min_replicas and endpoint.max_replicas and endpoint.max_replicas < endpoint.min_replicas:
            yield (
                f"endpoints.{name}.max_replicas",
                endpoint.max_replicas,
                f"is less than min_replicas ({endpoint.min_replicas})",
            )


def _pools(settings: Settings) -> Found:
    for name, pool in settings.pools.items():
        if pool.spot and pool.checkpoint_minutes == 0:
            yield (
                f"pools.{name}.checkpoint_minutes",
                0,
                "leaves a spot pool without checkpoints: an interrupted run would begin anew; give minutes, or spot: false",
            )
        if pool.accelerator == "cpu" and pool.count != 1:
            yield f"pools.{name}.count", pool.count, "counts accelerators; with accelerator cpu choose a larger machine"


def _access(settings: Settings) -> Found:
    both = sorted(set(settings.access.release) & set(settings.access.approve))
    if both:
        yield "access.approve", both, "also stand in access.release: nobody approves his own release"
    forms: dict[str, Callable[[str], bool]] = {
        "aws": lambda text: re.fullmatch(r"arn:aws[\w-]*:(iam|sts)::\d{12}:.+", text) is not None,
        "gcp": lambda text: text.startswith(("user:", "group:", "serviceAccount:", "principal:", "principalSet:")),
        "azure": lambda text: re.fullmatch(r"(user:|group:|sp:)?[0-9a-f-]{36}", text) is not None,
    }
    for key in settings.access.names():
        for principal in getattr(settings.access, key):
            if not forms[settings.cloud](principal):
                yield f"access.{key}", principal, f"names nobody on target {settings.target}: see docs/settings.md"


def _machines(settings: Settings) -> Found:
    """Region, accelerators and machine types against the catalog."""
    wanted: list[tuple[str, str, int | None, list[str]]] = [
        (f"pools.{name}", pool.accelerator, pool.count, pool.machines) for name, pool in settings.pools.items()
    ]
    wanted += [
        (f"endpoints.{name}", endpoint.accelerator, None, [endpoint.machine] if endpoint.machine else [])
        for name, endpoint in settings.endpoints.items()
    ]
    for at, accelerator, count, machines in wanted:
        key = f"{at}.accelerator"
        one = partial(catalog.smallest, settings.cloud, accelerator)
        yield from _refused(
            key, accelerator, one if count is None else partial(catalog.shapes, settings.cloud, accelerator, count)
        )
        for machine in machines:
            yield from _machine(settings, at, accelerator, count, machine)


def _region(settings: Settings) -> Found:
    """The region against the catalog: one mistake for an unknown one, else one for each accelerator that it lacks."""
    if settings.region is None:
        return
    wanted = {pool.accelerator for pool in settings.pools.values()}
    wanted |= {endpoint.accelerator for endpoint in settings.endpoints.values()}
    said: set[str] = set()
    for accelerator in sorted(wanted):
        look = partial(catalog.check_region, settings.cloud, settings.region, accelerator, key="region")
        for key, given, problem in _refused("region", settings.region, look):
            if problem not in said:
                yield key, given, problem
            said.add(problem)


def _machine(settings: Settings, at: str, accelerator: str, count: int | None, machine: str) -> Found:
    key = f"{at}.machines" if at.startswith("pools") else f"{at}.machine"
    try:
        catalog.shape(settings.cloud, machine, accelerator, None if accelerator == "cpu" else count)
    except SkyliftError as error:
        yield key, machine, _sentence(error)


def _refused(key: str, given: object, look: Callable[[], Any]) -> Found:
    try:
        look()
    except SkyliftError as error:
        yield key, given, _sentence(error)


def _sentence(error: SkyliftError) -> str:
    message = error.message.removeprefix("region: ")
    return f"is refused: {message}" + (f" ({error.hint})" if error.hint and len(error.hint) < LONG else "")
