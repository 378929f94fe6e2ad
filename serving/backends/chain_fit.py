"""Whether parts of a model fit together, and what each must hand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def handed_on(number: int, parts: Sequence[Takes], outputs: Mapping[str, int]) -> list[str]:
    """What later parts or the whole's answer take of a part."""
    taken = [*(sources for _, sources in parts), outputs]
    return sorted({name for sources in taken for name, source in sources.items() if source == number})


def last_uses(parts: Sequence[Takes], outputs: Mapping[str, int]) -> dict[int, list[tuple[int, str]]]:
    """By part, what nobody needs any more once it has computed: the giver's number and the name."""
    last: dict[tuple[int, str], int] = {}
    for number, (_, sources) in enumerate(parts, start=1):
        last.update({(source, name): number for name, source in sources.items()})
    kept = {(source, name) for name, source in outputs.items()}
    uses: dict[int, list[tuple[int, str]]] = {}
    for key, number in last.items():
        if key not in kept:
            uses.setdefault(number, []).append(key)
    return uses
