"""What a virtual machine runs at its first boot: one small script, its cloud parts apart.

`render` is pure and quick, so that callers whose values are Outputs resolve them (`pulumi.Output.all`) and call it inside `apply`.
The script carries no secret: a machine signs in as itself, with what its metadata server hands out.
`ACTIONS` says what the script asks of the machine's identity. docs/boot.md tells the whole life of a machine.
"""

from __future__ import annotations

from infra.boot.grants import ACTIONS, Grant
from infra.boot.script import LIMIT, render
from infra.boot.spec import BootSpec, Cloud, Mode

__all__ = ["ACTIONS", "LIMIT", "BootSpec", "Cloud", "Grant", "Mode", "render"]
