"""What somebody needs for a stack, as the cloud's own document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skylift.launch.asking import ask

PERSONS = ("up", "train", "release", "approve", "predict", "clean")


@dataclass(frozen=True)
class Permissions:
    """Rights of one person or CI.

    Args:
        who: the identity they stand for.
        documents: each with its name, to hand to the cloud: IAM policies that each fit, roles and bindings, or role definitions with
            scopes.
        files: the same in the forms that the commands take, by name.
        commands: what hands them over, for a shell.
        grants: each right with what it is for.
    """

    cloud: str
    who: str
    documents: list[dict[str, Any]]
    files: dict[str, str]
    commands: list[str]
    grants: list[dict[str, Any]]


def permissions(path: Path, stack: str, person: str) -> Permissions:
    """Exactly what a person needs: `up` also over state and its key.

    Args:
        path: the stack's file.
        person: one of PERSONS.

    Raises:
        SettingsError: the stack file has mistakes.
        InputError: the stack is on this machine.
    """
    return Permissions(**ask("infra.permissions", [str(path), stack, person]))
