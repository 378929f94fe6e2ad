"""Lets go of what data does not need but holds on to, so that `down --compute` can take it away.

On Azure the firewalls of storage accounts and vaults name the subnet of the machines, and that subnet names its NAT gateway, which is
billed by the hour. Azure keeps a gateway that a subnet names, and a firewall forgets a subnet that was deleted, so neither can simply
go: the subnet is changed to name none, in an update of itself alone, by a program that declares the network so. The next `up` makes
the gateway anew, at another address, and the subnet names it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skylift.engine.events import Summary

if TYPE_CHECKING:
    from skylift.stack.outputs import Outputs

AT_REST = "SKYLIFT_AT_REST"
"""Set for infra/program.py: a file with the outputs that the stack shall keep. It then declares what rests, and nothing else."""
_SUBNET = "azure-native:network:Subnet"


def holders(resources: Sequence[dict[str, Any]]) -> list[str]:
    """URNs in state of what still holds on to what is billed, where data is what keeps it there."""
    if not any(one.get("protect") for one in resources):
        return []
    return [one["urn"] for one in resources if one["type"] == _SUBNET and (one.get("inputs") or {}).get("natGateway")]


def arguments(urns: Sequence[str]) -> list[str]:
    """Of the update that lets go."""
    return ["up", "--yes", "--skip-preview", *(part for urn in urns for part in ("--target", urn))]


def write(outputs: Outputs | None, folder: Path) -> Path:
    """The file that AT_REST names: too long, with its machines' scripts, for a variable of an environment."""
    from skylift.stack.outputs import encode

    path = folder / "outputs.json"
    path.write_text(json.dumps(encode(outputs) if outputs is not None else {}), encoding="utf-8")
    return path


def both(first: Summary, second: Summary) -> Summary:
    """Two operations as one."""
    counts = {op: first.changes.get(op, 0) + second.changes.get(op, 0) for op in {*first.changes, *second.changes}}
    return Summary(counts, (*first.steps, *second.steps), first.seconds + second.seconds)
