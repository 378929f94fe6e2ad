"""What can be told from the settings alone, before the account is asked: names that AWS would not take, scripts that are too long. Pure.

The engine makes things while the program still runs: an error in the middle would leave half a stack.
"""

from __future__ import annotations

from infra.aws import grants, scripts
from infra.aws.names import Names
from infra.aws.trust import wanted
from infra.context import Context


def check(context: Context) -> None:
    """Form every name, policy and script once.

    Raises:
        SettingsError: a name is too long; names the settings to shorten.
        InputError: a machine's script cannot be written.
    """
    names = Names(context)
    for who in wanted(names):
        names.role(who)
        grants.document(context, who)
    _ = (names.keep, names.work, names.audit_bucket, names.trail, names.key_alias, names.registry)
    for endpoint in context.endpoints:
        names.endpoint(endpoint) if context.settings.kind == "managed" else names.group(endpoint)
    if context.settings.kind == "vm":
        _scripts(names)


def _scripts(names: Names) -> None:
    context, images = names.context, names.context.settings.images
    for pool in context.pools.values() if images.training else ():
        for shape in pool.shapes:
            scripts.training_script(names, pool, images.training or "", shape)
    for endpoint in context.endpoints.values() if images.serving else ():
        scripts.serving_script(names, endpoint, images.serving or "")
