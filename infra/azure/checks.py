"""Asked before anything is made, at preview too: whose subscription it is, and whether what the settings reference is there.

Only what the settings mention is asked for: one question where nothing is referenced and no accelerator wanted. What the provider has
no question for (quotas, and where an address leads) is asked of the resource manager itself, with the provider's sign-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_azure_native as azure

from infra.azure import addresses, limits, quotas, references
from infra.azure.asking import Answers
from infra.azure.names import KINDS, Names
from infra.context import Context
from skylift.errors import SettingsError


@dataclass(frozen=True)
class Facts:
    """What the cloud said.

    Args:
        tenant: of the subscription.
        ids: resource ids of buckets, registry and key that the settings name by their address.
    """

    tenant: str
    ids: Mapping[str, str] = field(default_factory=dict)


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
    located = addresses.locate(context, answers)
    found = [*references.mistakes(context, answers, located.ids), *located.mistakes, *quotas.mistakes(context, answers)]
    if found:
        raise _wrong(context, found)
    _warn(context, located.ids)
    return Facts(tenant, located.ids)


def look(context: Context, provider: azure.Provider) -> Facts:
    """The same facts without a judgement on the settings."""
    answers = Answers(pulumi.InvokeOptions(provider=provider))
    return Facts(answers.tenant(context), addresses.locate(context, answers).ids)


def _wrong(context: Context, found: list[str]) -> SettingsError:
    count = "one mistake" if len(found) == 1 else f"{len(found)} mistakes"
    return SettingsError(
        f"stacks/Pulumi.{context.stack}.yaml has {count}:\n" + "\n".join(f"  {one}" for one in found),
        hint=f"mend stacks/Pulumi.{context.stack}.yaml; docs/settings.md explains every setting",
        details={"mistakes": found},
    )


def _warn(context: Context, ids: Mapping[str, str]) -> None:
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
    given = {f"buckets.{kind}": Names(context).bucket_given(kind) for kind in KINDS}
    given["registry"] = settings.registry if Names(context).registry_id is None else None
    unknown = [key for key, address in given.items() if address is not None and address not in ids]
    if unknown:
        pulumi.log.warn(
            f"skylift:{' and '.join(unknown)}: Azure did not tell where that is, so the stack gives no rights on it; "
            f"`skylift permissions {context.stack} --as train|release|…` prints what to grant"
        )
