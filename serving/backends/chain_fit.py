"""Whether parts of a model fit together, and what each must hand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from serving.signature import ModelSignature
from skylift.errors import DeployError

Takes = tuple[ModelSignature, Mapping[str, int]]
"""Of a part: its signature, and for each input the number of the part that gives it, counted from 1; 0: the request."""


def givers(parts: Sequence[Takes], whole: ModelSignature) -> dict[str, int]:
    """The part that gives each output of the whole.

    Raises:
        DeployError: something is taken that nobody gives, or of another type; all of it is named.
    """
    types = {(0, tensor.name): tensor.dtype for tensor in whole.inputs}
    mistakes = []
    for number, (own, sources) in enumerate(parts, start=1):
        for tensor in own.inputs:
            source = sources[tensor.name]
            given = types.get((source, tensor.name))
            if given != tensor.dtype:
                from_whom = f"part {source}" if source else "the request"
                got = f"gives {given}" if given else "does not give it"
                mistakes.append(f"part {number} takes {tensor.name!r} as {tensor.dtype}, {from_whom} {got}")
        types.update({(number, tensor.name): tensor.dtype for tensor in own.outputs})
    outputs = {}
    for tensor in whole.outputs:
        found = max((number for number, name in types if name == tensor.name and number), default=0)
        outputs[tensor.name] = found
        if types.get((found, tensor.name)) != tensor.dtype or not found:
            mistakes.append(f"no part gives {tensor.name!r} as {tensor.dtype}, which the manifest promises")
    if mistakes:
        raise DeployError(
            f"the parts do not fit together: {'; '.join(mistakes)}", hint="cut the model again: `skylift shard`"
        )
    return outputs


@dataclass(frozen=True)
class Plan:
    """What is computed for some of the whole's outputs.

    Args:
        outputs: the part that gives each.
        gives: by number of each part that is needed, in order, what later parts or the answer take of it.
        last_uses: by part, what nobody needs any more once it has computed: the giver's number and the name.
    """

    outputs: Mapping[str, int]
    gives: Mapping[int, Sequence[str]]
    last_uses: Mapping[int, Sequence[tuple[int, str]]]


def plan(parts: Sequence[Takes], outputs: Mapping[str, int]) -> Plan:
    """The parts from which these outputs follow, and no others."""
    taken: dict[int, set[str]] = {}
    for name, source in outputs.items():
        taken.setdefault(source, set()).add(name)
    for number in range(len(parts), 0, -1):
        if number in taken:
            for name, source in parts[number - 1][1].items():
                taken.setdefault(source, set()).add(name)
    gives = {number: sorted(taken[number]) for number in sorted(taken) if number}
    return Plan(outputs, gives, _last_uses(parts, gives, outputs))


def _last_uses(
    parts: Sequence[Takes], needed: Iterable[int], outputs: Mapping[str, int]
) -> dict[int, list[tuple[int, str]]]:
    last: dict[tuple[int, str], int] = {}
    for number in needed:
        last.update({(source, name): number for name, source in parts[number - 1][1].items()})
    kept = {(source, name) for name, source in outputs.items()}
    uses: dict[int, list[tuple[int, str]]] = {}
    for key, number in last.items():
        if key not in kept:
            uses.setdefault(number, []).append(key)
    return uses
