"""Whose simulated cloud it is: the account, project or subscription and the place that identifiers are made of."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class World:
    account: str = "123456789012"
    region: str = "us-east-1"
    project: str = "example-project"
    project_number: str = "987654321098"
    google_region: str = "us-central1"
    subscription: str = "00000000-1111-2222-3333-444444444444"
    tenant: str = "55555555-6666-7777-8888-999999999999"
    location: str = "eastus"
    seed: str = ""


@dataclass(frozen=True)
class Facts:
    """What a resource's computed outputs are made from. The same facts give the same outputs."""

    token: str
    logical: str
    name: str
    """The physical name; the logical one where the resource has no name of its own."""
    inputs: dict[str, Any]
    world: World
    salt: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def hex(self, length: int, label: str = "") -> str:
        return digest(self.world.seed, self.token, self.logical, self.name, self.salt, label)[:length]

    def number(self, length: int, label: str = "") -> str:
        return "1" + str(int(digest(self.token, self.logical, self.name, self.salt, label), 16))[: length - 1]

    def uuid(self, label: str = "") -> str:
        return str(uuid.UUID(self.hex(32, label)))

    def get(self, key: str, default: Any = "") -> Any:
        found = self.inputs.get(key)
        return default if found is None else found


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


MOMENT = "2026-01-02T03:04:05Z"
"""When everything in a simulated cloud was made: a clock would make two runs differ."""
