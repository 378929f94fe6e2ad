"""Asked before anything is made, at preview too: whose subscription it is, and whether what the settings reference is there.

Only what the settings mention is asked for: one question where nothing is referenced. Quotas have no question in the provider's SDK
(`az vm list-usage` has): the cloud's own refusal is told by `up`, with the quota's name.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure import limits, references
from infra.azure.asking import Answers
from infra.azure.names import Names
from infra.context import Context
from skylift.errors import SettingsError


@dataclass(frozen=True)
class Facts:
    """What the cloud said.

    Args:
        tenant: of the subscription.
    """

    tenant: str


def check(context: Context, provider: azure.Provider) -> Facts:
    """Look at everything that can be known beforehand.

    Raises:
        SettingsError: with every mistake that was found, each naming setting, value and what would work.
        CredentialsError: nobody is signed in, or the sign-in is over.
    """
    impossible = limits.mistakes(context)
    if impossible:
        raise _wrong(context, impossible)
    answers = Answers(pulumi.InvokeOptions(provider=provider))
    tenant = answers.tenant(context)
    missing = references.mistakes(context, answers)
    if missing:
        raise _wrong(context, missing)
    _warn(context)
    return Facts(tenant)


def _wrong(context: Context, found: list[str]) -> SettingsError:
    count = "one mistake" if len(found) == 1 else f"{len(found)} mistakes"
    return SettingsError(
        f"stacks/Pulumi.{context.stack}.yaml has {count}:\n" + "\n".join(f"  {one}" for one in found),
        hint=f"mend stacks/Pulumi.{context.stack}.yaml; docs/settings.md explains every setting",
        details={"mistakes": found},
    )


def _warn(context: Context) -> None:
    settings = context.settings
    made = None in (settings.buckets.keep, settings.buckets.work)
    if made and not settings.network.allowed_ranges:
        pulumi.log.warn(
            "skylift:network.allowed_ranges is empty: the buckets can be reached from the stack's own network only. Name the range "
            "that you call from (`curl ifconfig.me`), or train, deploy and download from inside the network"
        )
    for kind in ("training", "serving"):
        image = getattr(settings.images, kind)
        if image is not None and image.partition("/")[0] != Names(context).registry_host:
            pulumi.log.warn(
                f"skylift:images.{kind} is not of the stack's registry ({Names(context).registry_host}), and its identities may pull "
                "from that one only: push it there, or name its registry in skylift:registry"
            )
    given = [kind for kind in ("keep", "work") if getattr(settings.buckets, kind) is not None]
    if given:
        pulumi.log.warn(
            f"skylift:buckets.{' and '.join(given)}: the stack gives no rights on a bucket that it did not make; "
            f"`skylift permissions {context.stack} --as train|release|…` prints what to grant"
        )
