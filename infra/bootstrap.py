"""What a team needs before its first stack: a bucket for Pulumi's state, and a key that encrypts the secrets in it.

`skylift bootstrap` runs this program with the same engine, settings and providers as any stack, and is no script of REST calls: what
it would make can be previewed, a run that broke off is completed by the next one, and tests drive it against simulated clouds. Its own
state stays in the hidden folder of the machine that ran it first, for the bucket it would belong in is only being made. Whoever runs
it elsewhere has no such state; so it looks first, and what it finds under its names is referred to and left as it is.

Nothing of it is ever deleted: bucket and key are protected and retained. One bucket, versioned, private, encrypted, TLS only; one key,
with rotation where the cloud rotates keys that still decrypt. The bucket costs cents; the key 1 USD a month on AWS, 0.06 USD on Google,
nothing on Azure but its operations. Nothing here was tried on a cloud account.
"""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import dataclass
from typing import Protocol, cast

import pulumi

from infra.context import Context
from infra.extras import lacking
from infra.program import said
from skylift.errors import SkyliftError
from skylift.stack.settings import from_pulumi

MADE_HERE = "skylift-bootstrap:made_here"
"""Configuration: whether this machine's state holds what an earlier run made, so that there is nothing to look for."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the stacks of the team then name.

    Args:
        backend: URL for `skylift:backend`.
        secrets_provider: URL for `secretsprovider`.
        found: what was there already: `bucket`, `key`.
    """

    backend: pulumi.Input[str]
    secrets_provider: pulumi.Input[str]
    found: tuple[str, ...] = ()


class Room(Protocol):
    """What infra.<cloud>.bootstrap offers."""

    def provision(self, context: Context, *, made_here: bool) -> Made: ...


def main() -> None:
    """Run the program in the engine that started this process."""
    config = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    try:
        settings = from_pulumi(config, pulumi.get_stack())
        context = Context(settings=settings, stack="bootstrap")
        room = cast(Room, importlib.import_module(f"infra.{context.settings.cloud}.bootstrap"))
        made = room.provision(context, made_here=config.get(MADE_HERE) == "true")
    except ModuleNotFoundError as missing:
        raise pulumi.RunError(said(lacking(missing, settings.target))) from None
    except SkyliftError as error:
        raise pulumi.RunError(said(error)) from None
    pulumi.export("backend", made.backend)
    pulumi.export("secrets_provider", made.secrets_provider)
    pulumi.export("found", list(made.found))
