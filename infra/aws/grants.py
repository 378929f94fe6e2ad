"""Every right of a stack on AWS, as data, and as the policy documents that identity.py attaches and `skylift permissions` prints.

Pure: from the settings alone; no SDK is imported. An action that is the ARN of a policy of AWS' own stands for that policy
(`managed`), as a predefined role does on Google.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.aws import grants_data, grants_services, grants_targets, records
from infra.aws.names import Names
from infra.aws.rights import up
from infra.context import Context
from infra.grants import Grant, Who

_OWN_KEEP_WRITES: tuple[Who, ...] = ("training", "serving", "launcher", "releaser", "approver")
_ONLY_MACHINES: tuple[Who, ...] = ("host",)


def grants(context: Context) -> tuple[Grant, ...]:
    """Every right that the stack gives or needs."""
    return tuple(_all(Names(context)))


def document(context: Context, who: Who) -> dict[str, Any]:
    """The rights of one identity as an IAM policy, without those that policies of AWS' own bring.

    AWS takes 10,240 characters for the inline policies of a role; `up` alone is longer, and handover.py splits it.
    """
    names = Names(context)
    statements = [_statement(index, grant) for index, grant in enumerate(_of(names, who))]
    if who in _OWN_KEEP_WRITES:
        statements += records.create_only(names.keep)
    return {"Version": "2012-10-17", "Statement": statements}


def managed(context: Context, who: Who) -> tuple[str, ...]:
    """ARNs of AWS' own policies that an identity has beside its document."""
    granted = (grant for grant in grants(context) if grant.who == who)
    return tuple(action for grant in granted for action in grant.actions if action.startswith("arn:"))


def _all(names: Names) -> Iterator[Grant]:
    kind = names.context.settings.kind
    without = () if kind == "vm" else _ONLY_MACHINES
    yield from (grant for grant in grants_data.grants(names) if grant.who not in without)
    of_target = {"vm": grants_targets.machines, "cluster": grants_targets.cluster, "managed": grants_targets.managed}
    yield from of_target[kind](names)
    yield from grants_services.grants(names)
    yield from up(names)


def _of(names: Names, who: Who) -> Iterator[Grant]:
    return (grant for grant in _all(names) if grant.who == who and not grant.actions[0].startswith("arn:"))


def _statement(index: int, grant: Grant) -> dict[str, Any]:
    """Sids are letters and digits: the first words of what it is for, and a number that makes it unique."""
    words = "".join(word.capitalize() for word in "".join(c if c.isalnum() else " " for c in grant.what).split()[:6])
    statement: dict[str, Any] = {
        "Sid": f"{words}{index}",
        "Effect": "Allow",
        "Action": list(grant.actions),
        "Resource": list(grant.on),
    }
    return statement | ({"Condition": dict(grant.condition)} if grant.condition else {})
