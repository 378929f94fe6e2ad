"""What can be told from the settings alone, before the account is asked: names that AWS would not take, scripts that are too long. Pure.

The engine makes things while the program still runs: an error in the middle would leave half a stack.
"""

from __future__ import annotations

from infra.aws import grants, scripts
from infra.aws.names import Names
from infra.aws.trust import wanted
from infra.context import Context
from infra.grants import Who
from infra.handover import AWS_INLINE, length
from skylift.errors import SettingsError


def check(context: Context) -> None:
    """Form every name, policy and script once.

    Raises:
        SettingsError: a name or a policy is too long; names the settings to shorten.
        InputError: a machine's script cannot be written.
    """
    names = Names(context)
    for who in wanted(names):
        names.role(who)
        _fits(context, who)
    _ = (names.keep, names.work, names.audit_bucket, names.trail, names.key_alias, names.registry)
    for endpoint in context.endpoints:
        names.endpoint(endpoint) if context.settings.kind == "managed" else names.group(endpoint)
    if context.settings.kind == "vm":
        _scripts(names)


def _fits(context: Context, who: Who) -> None:
    """identity.py puts a role's rights inline; the account would refuse a policy that is too long halfway."""
    long = length(grants.document(context, who))
    if long > AWS_INLINE:
        raise SettingsError(
            f"the rights of {who} take {long} characters, and AWS takes {AWS_INLINE} for the policies of a role: "
            f"{len(context.endpoints)} endpoints and {len(context.settings.secrets)} secrets name too many things",
            hint="give some of skylift:endpoints or skylift:secrets to another stack, or shorten their names",
            details={"who": who, "characters": long, "most": AWS_INLINE},
        )


def _scripts(names: Names) -> None:
    context, images = names.context, names.context.settings.images
    for pool in context.pools.values() if images.training else ():
        for shape in pool.shapes:
            scripts.training_script(names, pool, images.training or "", shape)
    for endpoint in context.endpoints.values() if images.serving else ():
        scripts.serving_script(names, endpoint, images.serving or "")
