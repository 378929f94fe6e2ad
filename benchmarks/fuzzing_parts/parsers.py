"""Readers of what clients and files bring, each with seeds, and what must be true of whatever they are given.

A target is a function of bytes: it may raise the errors that its reader documents and nothing else. The first two bytes choose what they
are read for, so that the same function serves mutation here and coverage-guided fuzzing (atheris).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.fuzzing_parts import parsers_grpc, parsers_json, parsers_media, parsers_text
from benchmarks.fuzzing_parts.parsing import Reader


@dataclass(frozen=True)
class Target:
    """
    Args:
        weight: its share of the cases.
    """

    name: str
    read: Callable[[bytes], None]
    seeds: list[bytes]
    weight: int


def _targets() -> dict[str, Target]:
    found: list[Reader] = [*parsers_json.READERS, *parsers_media.READERS, *parsers_grpc.READERS, *parsers_text.READERS]
    return {one.name: Target(one.name, one.read, one.seeds(), one.weight) for one in found}


TARGETS = _targets()
