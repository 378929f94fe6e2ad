"""Prints what somebody needs for a stack, as the cloud's own document: `python -P -m infra.permissions FILE STACK PERSON`.

`skylift permissions` starts it. It imports no SDK: the grants are data (infra/grants.py), the same that the components make real.
One JSON document on standard output: `documents` to hand to the cloud, as `files` with the `commands` that use them, and `grants`,
each with what it is for; or `error`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from infra import grants, state_rights
from infra.context import Context
from infra.handover import handover
from skylift.errors import InputError, SkyliftError
from skylift.stack.settings import load


def permissions(path: Path, stack: str, person: str) -> dict[str, Any]:
    """What a person or CI needs.

    Args:
        person: one of grants.PERSONS.

    Raises:
        SettingsError: the stack file has mistakes.
        InputError: the stack is on this machine, where nobody is granted anything.
    """
    settings = load(path)
    if settings.cloud == "local":
        raise InputError(
            f"stack {stack} is on this machine: whoever may write its folder may do everything",
            hint="permissions are for stacks on clouds; `skylift init --target ec2` and the like make one",
        )
    context, who = Context(settings=settings, stack=stack), grants.PERSONS[person]
    room = grants.room(settings.cloud)
    found = tuple(grant for grant in room.grants(context) if grant.who == who)
    document = room.document(context, who)
    if who == "up":
        rights = state_rights.rights(context.account, settings.backend, _secrets_provider(path))
        found += rights
        document = state_rights.added(document, settings.cloud, rights)
    handed = handover(settings.cloud, context.account, f"{context.base}-{person}", document)
    return {
        "cloud": settings.cloud,
        "who": who,
        "documents": [{"name": name, "document": one} for name, one in handed.documents.items()],
        "files": handed.files,
        "commands": [*_by_name(person), *handed.commands],
        "grants": [asdict(grant) for grant in found],
    }


def _by_name(person: str) -> list[str]:
    """Of those whom the settings can name."""
    if person == "up":
        return []
    return [
        f"# Whoever stands in skylift:access.{person} gets this from `up` itself; these commands are for anybody else."
    ]


def _secrets_provider(path: Path) -> str | None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    named = document.get("secretsprovider")
    return named if isinstance(named, str) else None


def main(arguments: Sequence[str]) -> int:
    """Print the answer; the exit code of the error where there is one."""
    parser = argparse.ArgumentParser(prog="infra.permissions")
    parser.add_argument("file", type=Path)
    parser.add_argument("stack")
    parser.add_argument("person", choices=grants.PERSONS)
    asked = parser.parse_args(arguments)
    try:
        answer = permissions(asked.file, asked.stack, asked.person)
    except SkyliftError as error:
        print(json.dumps(error.to_dict()))
        return error.exit_code
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
