"""Looks at what the settings name in place of what the stack would make: is it there, here, and fit?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, get_args

import pulumi
import pulumi_gcp as gcp

from infra.context import Context
from infra.gcp import names

Mistake = dict[str, Any]
_HIDDEN = re.compile(r"permission.{0,40}denied|forbidden|\b403\b", re.IGNORECASE)


def mistakes(context: Context, number: str, ask: pulumi.InvokeOptions) -> Iterator[Mistake]:
    """What is wrong with each thing that is named. Who may not look at one is let through: the service itself will say."""
    for key, given, look in _all(context, number, ask):
        try:
            for problem in look():
                yield {"key": key, "given": given, "problem": f"{given!r} {problem}"}
        except Exception as error:
            if _HIDDEN.search(str(error)):
                pulumi.log.info(f"{key}: {given} was not looked at: you may not read it")
                continue
            yield {"key": key, "given": given, "problem": f"{given!r} is not there ({brief(str(error))})"}


def brief(text: str) -> str:
    """The beginning of what the provider says, without the engine's frame around it."""
    return " ".join(text.split()).removeprefix("Exception: ").rpartition("returned an error: ")[2][:160]


Bucket = Literal["keep", "work"]
Look = tuple[str, str, Callable[[], Iterator[str]]]


def _all(context: Context, number: str, ask: pulumi.InvokeOptions) -> Iterator[Look]:
    settings = context.settings
    for kind in get_args(Bucket):
        place = names.bucket(context, kind)
        if not place.own:
            yield f"skylift:buckets.{kind}", place.url, partial(_bucket, context, place, number, ask)
    if settings.network.id is not None:
        path = settings.network.id
        yield "skylift:network.id", path, partial(_network, path, ask)
        for subnet in settings.network.subnets:
            yield "skylift:network.subnets", subnet, partial(_subnet, context, subnet, ask)
    for who in names.wanted(context):
        email = names.given(context, who)
        if email is not None:
            yield f"skylift:identities.{who}", email, partial(_account, context, email, ask)
    if settings.registry is not None:
        yield "skylift:registry", settings.registry, partial(_repository, context, ask)
    key = context.encryption_key
    if key not in ("provider", "stack"):
        yield "skylift:encryption_key", key, partial(_key, context, key, ask)
    if settings.kind == "cluster" and settings.cluster.name is not None:
        name = settings.cluster.name
        yield "skylift:cluster.name", name, partial(_cluster, context, name, ask)


def _bucket(context: Context, place: names.Place, number: str, ask: pulumi.InvokeOptions) -> Iterator[str]:
    found = gcp.storage.get_bucket(name=place.bucket, opts=ask)
    if str(found.project_number) != number:
        yield f"belongs to another project (number {found.project_number}), not to {context.account}"
    where = found.location.lower()
    if where != context.region and not context.region.startswith(
        {"us": "us-", "eu": "europe-", "asia": "asia-"}.get(where, "-")
    ):
        yield f"lies in {where}, and the stack in {context.region}: traffic between them is slow and billed"
    if not found.uniform_bucket_level_access and names.makes(context):
        yield "has access lists of its own, with which grants for a part of it do not work: turn on uniform access"


def _network(path: str, ask: pulumi.InvokeOptions) -> Iterator[str]:
    form = re.fullmatch(r"(?:https://.+/)?projects/([^/]+)/global/networks/([^/]+)", path)
    if form is None:
        yield "is no network: give projects/PROJECT/global/networks/NAME"
        return
    gcp.compute.get_network(project=form[1], name=form[2], opts=ask)


def _subnet(context: Context, path: str, ask: pulumi.InvokeOptions) -> Iterator[str]:
    form = re.fullmatch(r"(?:https://.+/)?projects/([^/]+)/regions/([^/]+)/subnetworks/([^/]+)", path)
    if form is None:
        yield "is no subnet: give projects/PROJECT/regions/REGION/subnetworks/NAME"
        return
    if form[2] != context.region:
        yield f"lies in {form[2]}, and the stack in {context.region}"
        return
    found = gcp.compute.get_subnetwork(project=form[1], region=form[2], name=form[3], opts=ask)
    network = str(context.settings.network.id)
    if not str(found.network).endswith(network.partition("projects/")[2]):
        yield f"belongs to another network than skylift:network.id, to {found.network}"
    if not found.private_ip_google_access:
        yield "has Private Google Access off: machines without a public address would not reach their buckets"
    ranges = {one.range_name for one in found.secondary_ip_ranges}
    if context.settings.kind == "cluster" and not {"pods", "services"} <= ranges:
        yield "lacks the secondary ranges `pods` and `services`, which a cluster needs"


def _account(context: Context, email: str, ask: pulumi.InvokeOptions) -> Iterator[str]:
    project = re.fullmatch(r"[^@]+@([^.]+)\.iam\.gserviceaccount\.com", email)
    if project is not None and project[1] != context.account:
        yield f"belongs to project {project[1]}, not to {context.account}"
        return
    found = gcp.serviceaccount.get_account(account_id=email, project=context.account, opts=ask)
    if found.disabled:
        yield "is disabled"


def _repository(context: Context, ask: pulumi.InvokeOptions) -> Iterator[str]:
    _, project, _, location, _, name = names.repository(context).split("/")
    found = gcp.artifactregistry.get_repository(project=project, location=location, repository_id=name, opts=ask)
    if found.format != "DOCKER":
        yield f"holds {found.format}, not Docker images"


def _key(context: Context, path: str, ask: pulumi.InvokeOptions) -> Iterator[str]:
    form = re.fullmatch(r"(projects/[^/]+/locations/([^/]+)/keyRings/[^/]+)/cryptoKeys/([^/]+)", path)
    if form is None:
        yield "is no key: give projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY"
        return
    if form[2] != context.region:
        yield f"lies in {form[2]}; Google encrypts what is in {context.region} with keys of that region only"
        return
    found = gcp.kms.get_kms_crypto_key(key_ring=form[1], name=form[3], opts=ask)
    if found.purpose != "ENCRYPT_DECRYPT":
        yield f"is for {found.purpose}, not for ENCRYPT_DECRYPT"


def _cluster(context: Context, name: str, ask: pulumi.InvokeOptions) -> Iterator[str]:
    found = gcp.container.get_cluster(name=name, location=context.region, project=context.account, opts=ask)
    if not any(one.workload_pool for one in found.workload_identity_configs):
        yield "has no workload identity: pods would have the nodes' rights"
