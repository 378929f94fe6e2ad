"""Looks at the account before anything is registered: read-only, few questions, and every mistake in one error.

Questions to AWS take about 0.1 s each, one after the other: one for the account, one for the machine types with their zones, one for each
quota that matters, one for each thing that the settings name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pulumi
import pulumi_aws as aws

from infra.aws import machines
from infra.aws.checks_references import Mistake, Reference, pure_mistakes, references
from infra.aws.names import Names
from infra.context import Context
from skylift.errors import CredentialsError, SettingsError

T = TypeVar("T")

_EXPIRED = re.compile(
    r"ExpiredToken|token .{0,40}expired|security token included in the request is expired", re.IGNORECASE
)
_NOBODY = re.compile(
    r"no valid credential|failed to refresh cached credentials|NoCredentialProviders|InvalidClientTokenId", re.I
)
_OTHER = re.compile(r"account ID not allowed: (\d{12})", re.IGNORECASE)
_DENIED = re.compile(r"AccessDenied|not authorized|UnauthorizedOperation|StatusCode: 403", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the questions told.

    Args:
        offered: zone -> machine types of the stack that it has.
        cidr: of the referenced VPC.
        subnets: referenced subnets, id -> zone.
    """

    offered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cidr: str = ""
    subnets: Mapping[str, str] = field(default_factory=dict)


def check(context: Context, provider: aws.Provider) -> Found:
    """Ask, and refuse what cannot work.

    Raises:
        CredentialsError: nobody is signed in, or no longer.
        SettingsError: the account is another one, or a setting names what is not there; all that was found.
    """
    options = pulumi.InvokeOptions(provider=provider)
    _account(context, options)
    mistakes: list[Mistake] = list(pure_mistakes(Names(context)))
    told: dict[str, Any] = {}
    for reference in references(Names(context), options):
        mistakes += _look(reference, told)
    offered = _offered(context, options)
    mistakes += _missing_machines(context, offered)
    mistakes += _quotas(context, options)
    if mistakes:
        raise SettingsError(
            f"AWS cannot do what the settings say: {len(mistakes)} {'mistake' if len(mistakes) == 1 else 'mistakes'}\n"
            + "\n".join(f"  {mistake['key']}: {mistake['problem']}" for mistake in mistakes),
            hint="correct the settings named above in the stack's file; nothing was changed",
            details={"mistakes": mistakes},
        )
    subnets = {key.removeprefix("subnet:"): zone for key, zone in told.items() if key.startswith("subnet:")}
    return Found(offered=offered, cidr=told.get("cidr", ""), subnets=subnets)


def _account(context: Context, options: pulumi.InvokeOptions) -> None:
    """The first question: it also tells whether anybody is signed in. The provider refuses other accounts by itself."""
    try:
        actual = aws.get_caller_identity(opts=options).account_id
    except Exception as error:
        text = str(error)
        other = _OTHER.search(text)
        if other is None:
            raise _credentials(text) from None
        actual = other[1]
    if actual != context.account:
        raise SettingsError(
            f"skylift:account is {context.account}, and the credentials in use are of account {actual}",
            hint=f"sign in to {context.account} (AWS_PROFILE), or set skylift:account to {actual}",
            details={"key": "skylift:account", "value": context.account, "actual": actual},
        )


def _credentials(text: str) -> CredentialsError:
    if _EXPIRED.search(text):
        return CredentialsError("the AWS session has expired", hint="sign in again: `aws sso login` or `aws login`")
    if _NOBODY.search(text):
        return CredentialsError(
            "nobody is signed in to AWS", hint="`aws configure sso`, or set AWS_PROFILE to a profile that is signed in"
        )
    return CredentialsError(
        f"AWS does not say who is signed in: {_short(text)}", hint="try `aws sts get-caller-identity`"
    )


def _look(reference: Reference, told: dict[str, Any]) -> Iterator[Mistake]:
    """Who may not look is let through: rights to read IAM are not asked of whoever brings his own identities."""
    try:
        found = reference.ask()
    except Exception as error:
        text = str(error)
        if _DENIED.search(text) and reference.may_be_hidden:
            pulumi.log.info(f"{reference.key}: {reference.value} was not looked at: you may not read it")
            return
        yield _mistake(reference.key, reference.value, f"{reference.value!r} {reference.absent} ({_short(text)})")
        return
    for problem in reference.judge(found, told):
        yield _mistake(reference.key, reference.value, f"{reference.value!r} {problem}")


def _offered(context: Context, options: pulumi.InvokeOptions) -> dict[str, list[str]]:
    """Zone -> machine types, among them the ordinary one by which a network's zones are chosen. SageMaker's own are in no list."""
    asked = (
        {machines.SYSTEM_MACHINE}
        if context.settings.kind == "managed"
        else {machines.SYSTEM_MACHINE, *machines.wanted(context)}
    )
    told = aws.ec2.get_instance_type_offerings(
        location_type="availability-zone",
        filters=[aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=sorted(asked))],
        opts=options,
    )
    offered: dict[str, list[str]] = {}
    for machine, zone in zip(told.instance_types, told.locations, strict=True):
        offered.setdefault(zone, []).append(machine)
    return offered


def _missing_machines(context: Context, offered: Mapping[str, Sequence[str]]) -> Iterator[Mistake]:
    if context.settings.kind == "managed":
        return
    there = {machine for all_ in offered.values() for machine in all_}
    for machine, keys in machines.wanted(context).items():
        if machine not in there:
            yield _mistake(
                keys[0],
                machine,
                f"{machine} is not offered in {context.region}; choose another of skylift:region, or another machine",
            )
    for name, pool in context.settings.pools.items():
        for zone in pool.zones:
            if not set(offered.get(zone, ())) & {shape.machine for shape in context.pools[name].shapes}:
                having = sorted(z for z, has in offered.items() if context.pools[name].shapes[0].machine in has)
                yield _mistake(
                    f"skylift:pools.{name}.zones",
                    zone,
                    f"{zone} has no machine of the pool; {', '.join(having) or 'no zone'} has",
                )


def _quotas(context: Context, options: pulumi.InvokeOptions) -> Iterator[Mistake]:
    for quota, key in machines.quotas(context):
        named: dict[str, str] = {"quota_code": quota.code} if quota.code else {"quota_name": quota.name}
        limit = _ask(
            lambda named=named, quota=quota: (
                aws.servicequotas.get_service_quota(  # type: ignore[misc]
                    service_code=quota.service, opts=options, **named
                ).value
            )
        )
        if limit == 0:
            way = "or set `accelerator: cpu`" if "accelerator" in key else "or choose another machine"
            yield _mistake(
                key,
                quota.name,
                f"the account's quota {quota.name!r} in {context.region} is 0 {quota.unit}: ask for more ({quota.hint}), {way}",
            )


def _ask(question: Callable[[], T]) -> T | None:
    """None where the answer is not to be had: a limit that cannot be read holds nobody back."""
    try:
        return question()
    except Exception as error:
        pulumi.log.info(f"a quota could not be read: {_short(str(error))}")
        return None


def _mistake(key: str, given: object, problem: str) -> Mistake:
    return {"key": key, "given": given, "problem": problem}


def _short(text: str) -> str:
    """The end of a provider's error, where the reason stands."""
    line = " ".join(text.split())
    return line if len(line) < 300 else f"…{line[-300:]}"
