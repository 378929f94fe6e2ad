"""What the settings name that must exist already: what is wrong with a name by itself, and the question that finds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.aws.network_plan import LEAST_ZONES

Mistake = dict[str, Any]
Judge = Callable[[Any, dict[str, Any]], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One thing to look for.

    Args:
        absent: what is said when the question fails.
        judge: what is wrong with what was found; may leave facts in the dictionary.
        may_be_hidden: whether who may not read it is let through.
    """

    key: str
    value: str
    ask: Callable[[], Any]
    absent: str = "is not there"
    judge: Judge = lambda found, told: iter(())
    may_be_hidden: bool = True


def pure_mistakes(names: Names) -> Iterator[Mistake]:
    """What an ARN or a host says by itself: service, region, account."""
    context = names.context
    settings, account, region = context.settings, context.account, context.region
    for who in settings.identities.names():
        arn = getattr(settings.identities, who)
        kind = "(role|instance-profile)" if who == "host" else "role"
        if arn is not None:
            yield from _arn(f"skylift:identities.{who}", arn, rf"arn:aws:iam::{account}:{kind}/.+", account, "")
    if context.encryption_key not in ("provider", "stack"):
        pattern = rf"arn:aws:kms:{region}:{account}:key/.+"
        yield from _arn("skylift:encryption_key", context.encryption_key, pattern, account, region)
    if settings.registry is not None and not re.fullmatch(
        rf"\d{{12}}\.dkr\.ecr\.{region}\.amazonaws\.com/[a-z0-9][a-z0-9._/-]*", settings.registry
    ):
        example = f"{account}.dkr.ecr.{region}.amazonaws.com/ours"
        yield _mistake(
            "skylift:registry", settings.registry, f"must be an ECR registry of {region} with a path, such as {example}"
        )
    for name, endpoint in settings.endpoints.items():
        if endpoint.certificate is not None and settings.kind == "vm":
            pattern = rf"arn:aws:acm:{region}:{account}:certificate/.+"
            yield from _arn(f"skylift:endpoints.{name}.certificate", endpoint.certificate, pattern, account, region)
            if endpoint.hostname is None:
                said = "is missing: callers check the certificate against the name that they call"
                yield _mistake(f"skylift:endpoints.{name}.hostname", None, said)
    for kind, image in (("training", settings.images.training), ("serving", settings.images.serving)):
        if image is not None and not image.startswith(f"{names.registry}/"):
            yield _mistake(
                f"skylift:images.{kind}", image, f"is not of this stack's registry: push it to {names.registry}/{kind}"
            )


def references(names: Names, options: pulumi.InvokeOptions) -> Iterator[Reference]:
    """The questions, only for what passed by itself."""
    broken = {mistake["key"] for mistake in pure_mistakes(names)}
    for reference in _all(names, options):
        if reference.key not in broken:
            yield reference


def _all(names: Names, options: pulumi.InvokeOptions) -> Iterator[Reference]:
    context = names.context
    settings = context.settings
    yield from _network(names, options)
    for kind, bucket in (("keep", names.keep), ("work", names.work)):
        if not bucket.made:
            yield Reference(
                key=f"skylift:buckets.{kind}",
                value=bucket.url,
                ask=lambda bucket=bucket: aws.s3.get_bucket(bucket=bucket.name, opts=options),  # type: ignore[misc]
                absent=f"does not exist, or belongs to another account than {context.account}",
                judge=_in_region(context.region),
                may_be_hidden=False,
            )
    for who in settings.identities.names():
        if getattr(settings.identities, who) is not None:
            yield Reference(
                key=f"skylift:identities.{who}",
                value=getattr(settings.identities, who),
                ask=lambda who=who: aws.iam.get_role(name=names.role_name(who), opts=options),  # type: ignore[misc]
            )
    if context.encryption_key not in ("provider", "stack"):
        yield Reference(
            key="skylift:encryption_key",
            value=context.encryption_key,
            ask=lambda: aws.kms.get_key(key_id=context.encryption_key, opts=options),
            judge=_usable_key,
        )
    if settings.registry is not None:
        for kind in ("training", "serving"):
            path = names.repository(kind)
            yield Reference(
                key="skylift:registry",
                value=settings.registry,
                ask=lambda path=path: aws.ecr.get_repository(  # type: ignore[misc]
                    name=path, registry_id=names.registry.split(".")[0], opts=options
                ),
                absent=f"has no repository {path}: make it, or leave the setting out",
            )


def _network(names: Names, options: pulumi.InvokeOptions) -> Iterator[Reference]:
    network = names.context.settings.network
    if network.id is None:
        return

    def vpc(found: Any, told: dict[str, Any]) -> Iterator[str]:
        told["cidr"] = found.cidr_block
        yield from ()

    def subnet(found: Any, told: dict[str, Any]) -> Iterator[str]:
        told[f"subnet:{found.id}"] = found.availability_zone
        if found.vpc_id != network.id:
            yield f"belongs to {found.vpc_id}, not to skylift:network.id ({network.id})"
        if found.map_public_ip_on_launch:
            yield "gives its machines public addresses: name private subnets"
        zones = {zone for key, zone in told.items() if key.startswith("subnet:")}
        if found.id == network.subnets[-1] and len(zones) < LEAST_ZONES:
            yield f"is in {found.availability_zone} as all the others: name subnets in {LEAST_ZONES} zones"

    yield Reference(
        key="skylift:network.id",
        value=network.id,
        ask=lambda: aws.ec2.get_vpc(id=network.id, opts=options),
        absent=f"is not a VPC of account {names.context.account} in {names.context.region}",
        judge=vpc,
        may_be_hidden=False,
    )
    for one in network.subnets:
        yield Reference(
            key="skylift:network.subnets",
            value=one,
            ask=lambda one=one: aws.ec2.get_subnet(id=one, opts=options),  # type: ignore[misc]
            absent=f"is not a subnet of account {names.context.account} in {names.context.region}",
            judge=subnet,
            may_be_hidden=False,
        )


def _in_region(region: str) -> Judge:
    def judge(found: Any, told: dict[str, Any]) -> Iterator[str]:
        if found.bucket_region != region:
            yield f"is in {found.bucket_region}, not in skylift:region ({region})"

    return judge


def _usable_key(found: Any, told: dict[str, Any]) -> Iterator[str]:
    if not found.enabled:
        yield "is disabled or about to be deleted"
    elif found.key_usage != "ENCRYPT_DECRYPT" or found.key_spec != "SYMMETRIC_DEFAULT":
        yield f"is a key for {found.key_usage} ({found.key_spec}); a symmetric one for ENCRYPT_DECRYPT is needed"


def _arn(key: str, value: str, pattern: str, account: str, region: str) -> Iterator[Mistake]:
    if re.fullmatch(pattern, value) is None:
        where = f"account {account}" + (f" and region {region}" if region else "")
        yield _mistake(key, value, f"{value!r} is no ARN of {where}, such as {pattern.replace('.+', '…')}")


def _mistake(key: str, given: object, problem: str) -> Mistake:
    return {"key": key, "given": given, "problem": problem}
