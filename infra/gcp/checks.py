"""What is asked of Google before anything is declared. Read-only; every mistake that can be found comes in one error.

Questions: one for the project, one for its zones and one for each of them where machines are made, one for each accelerator's quota, one
for each thing that the settings name. In which zones T4 and V100 can be put into an N1 machine the SDK does not tell, so that is not
looked at. None was checked against a cloud."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_gcp as gcp

from infra.context import Context
from infra.gcp import references
from infra.gcp.machines import Need, needs, quota_ids, system_machine
from infra.gcp.references import Mistake, brief
from skylift.errors import CredentialsError, SettingsError

_NOBODY = re.compile(r"could not find default credentials|no credentials|invalid_rapt|reauth", re.IGNORECASE)
_EXPIRED = re.compile(r"invalid_grant|token.{0,30}expired|expired.{0,30}token", re.IGNORECASE)
_DISABLED = re.compile(r"SERVICE_DISABLED|has not been used in project|is disabled", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    Attributes:
        number: the project's number.
        zones: of the region, by machine type those that sell it; empty where nobody makes machines.
    """

    number: str
    zones: Mapping[str, Sequence[str]] = field(default_factory=dict)


def check(context: Context, provider: gcp.Provider) -> Found:
    """Ask, and refuse what cannot work.

    Raises:
        CredentialsError: nobody is signed in, or no longer.
        SettingsError: the project cannot be reached, or settings name what is not there; all of them.
    """
    ask = pulumi.InvokeOptions(provider=provider)
    number = _number(context, ask)
    mistakes = list(references.mistakes(context, number, ask))
    zones = _zones(context, ask) if context.settings.kind != "managed" else {}
    mistakes += _places(context, zones)
    mistakes += _quotas(context, ask)
    if mistakes:
        raise SettingsError(
            f"Google Cloud cannot do what the settings say, {len(mistakes)} {'mistake' if len(mistakes) == 1 else 'mistakes'}:\n"
            + "\n".join(f"  {one['key']}: {one['problem']}" for one in mistakes),
            hint="correct what is named above in the stack's file; nothing was changed",
            details={"mistakes": mistakes},
        )
    return Found(number=number, zones=_offering(zones, context))


def _number(context: Context, ask: pulumi.InvokeOptions) -> str:
    """The first question: it also tells whether anybody is signed in."""
    try:
        return str(gcp.organizations.get_project(project_id=context.account, opts=ask).number)
    except Exception as error:
        raise _refused(context, str(error)) from None


def _refused(context: Context, text: str) -> CredentialsError | SettingsError:
    if _EXPIRED.search(text):
        return CredentialsError("the Google sign-in has expired", hint="`gcloud auth application-default login`")
    if _NOBODY.search(text):
        return CredentialsError(
            "nobody is signed in to Google Cloud",
            hint="`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
        )
    if _DISABLED.search(text):
        return SettingsError(
            f"project {context.account} does not answer: the service that tells of projects is off",
            hint=f"gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com --project {context.account}",
        )
    return SettingsError(
        f"skylift:account: project {context.account!r} is not there, or you may not see it ({brief(text)})",
        hint="set skylift:account to the id of a project that you work in: `gcloud projects list`",
        details={"key": "skylift:account", "value": context.account},
    )


def _zones(context: Context, ask: pulumi.InvokeOptions) -> dict[str, list[str]]:
    """Of each zone of the region, those machine types of the stack that it sells."""
    machines = sorted({need.machine for need in needs(context)} | system_machine(context))
    wanted = " OR ".join(f'(name = "{machine}")' for machine in machines)
    names = gcp.compute.get_zones(project=context.account, region=context.region, opts=ask).names
    found = {}
    for zone in names:
        told = gcp.compute.get_machine_types(project=context.account, zone=zone, filter=wanted, opts=ask)
        found[zone] = [one.name for one in told.machine_types]
    return found


def _places(context: Context, zones: Mapping[str, Sequence[str]]) -> Iterator[Mistake]:
    if not zones:
        return
    for name, plan in context.pools.items():
        for zone in plan.settings.zones:
            if zone not in zones:
                key = f"skylift:pools.{name}.zones"
                yield _mistake(key, zone, f"{zone!r} is no zone of {context.region}: it has {', '.join(sorted(zones))}")
    for need in needs(context):
        at = [zone for zone, sold in zones.items() if need.machine in sold and zone in (need.zones or zones)]
        if not at:
            where = ", ".join(need.zones) or context.region
            having = sorted(zone for zone, sold in zones.items() if need.machine in sold)
            elsewhere = (
                f"{', '.join(having)} sell it" if having else "choose another machine type, accelerator or region"
            )
            yield _mistake(need.key, need.machine, f"{where} does not sell {need.machine}; {elsewhere}")


def _offering(zones: Mapping[str, Sequence[str]], context: Context) -> dict[str, list[str]]:
    machines = {need.machine for need in needs(context)} | system_machine(context)
    return {one: sorted(zone for zone, sold in zones.items() if one in sold) for one in machines}


def _quotas(context: Context, ask: pulumi.InvokeOptions) -> Iterator[Mistake]:
    """Quotas of zero. What cannot be read (the service of quotas may be off) is no mistake."""
    for identifier, need in quota_ids(context).items():
        service, quota = identifier
        try:
            told = gcp.cloudquota.get_s_quota_info(
                parent=f"projects/{context.account}", service=service, quota_id=quota, opts=ask
            )
        except Exception as error:
            pulumi.log.debug(f"quota {quota} was not looked at: {brief(str(error))}")
            continue
        limit = _limit(told, context.region, need)
        if limit == 0:
            key = f"{need.key.rpartition('.')[0]}.accelerator"
            yield _mistake(
                key,
                need.accelerator,
                f"the quota {quota} of project {context.account} in {context.region} is 0: set it to cpu, "
                f"or ask for more ({need.quota_hint})",
            )


def _limit(told: gcp.cloudquota.GetSQuotaInfoResult, region: str, need: Need) -> int | None:
    """The limit that holds in a region; None where the answer does not say. -1 is without limit."""
    for info in told.dimensions_infos:
        family = info.dimensions.get("gpu_family")
        here = region in info.applicable_locations or info.dimensions.get("region") == region
        if here and family in (None, need.family):
            return next((int(detail.value) for detail in info.details), None)
    return None


def _mistake(key: str, given: str, problem: str) -> Mistake:
    return {"key": key, "given": given, "problem": problem}
