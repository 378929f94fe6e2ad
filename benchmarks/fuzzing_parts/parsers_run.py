"""Mutated seeds into the parsers."""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from benchmarks.fuzzing_parts.mutations import spoil, spoil_json
from benchmarks.fuzzing_parts.parsers import TARGETS, Target

MOST_SECONDS = 2.0
"""Of processor time, for one input of some kilobytes."""
MOST_FAILURES = 20


@dataclass
class Parsed:
    counts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def run(seed: int, count: int, *, first: int = 0, until: float = float("inf"), only: Collection[str] = ()) -> Parsed:
    """So many cases from `first` on, spread over the targets by their weights, or until a time by `time.monotonic`."""
    done = Parsed()
    chosen = [target for name, target in TARGETS.items() if not only or name in only]
    weights = [target.weight for target in chosen]
    for number in range(first, first + count):
        target = random.Random(f"{seed}/{number}").choices(chosen, weights)[0]
        began = time.thread_time()
        problem = attempt(target, seed, number)
        took = time.thread_time() - began
        done.counts[target.name] += 1
        done.seconds[target.name] += took  # type: ignore[assignment]
        if took > MOST_SECONDS:
            problem = problem or f"took {took:.1f} s"
        if problem:
            done.failures.append(f"{target.name}:{number} --seed {seed}: {problem}")
        if len(done.failures) >= MOST_FAILURES or (number % 64 == 0 and time.monotonic() >= until):
            break
    return done


def attempt(target: Target, seed: int, number: int) -> str:
    """What went wrong, if anything."""
    data = case(target, seed, number)
    try:
        with np.errstate(over="ignore"):  # as a worker has it
            target.read(data)
    except Exception as problem:
        where = traceback.extract_tb(problem.__traceback__)[-1]
        return f"{type(problem).__name__} at {where.filename}:{where.lineno}: {str(problem)[:500]}\n{data[:1000]!r}"
    return ""


def case(target: Target, seed: int, number: int) -> bytes:
    """Always the same for a target, a seed and a number."""
    rng = random.Random(f"{seed}/{target.name}/{number}")
    made = rng.choice(target.seeds)
    choice = rng.random()
    if choice < 0.45 and made[2:3] in (b"{", b"["):
        return made[:2] + spoil_json(made[2:], rng)
    if choice < 0.9:
        return made[:2] + spoil(made[2:], rng)
    if choice < 0.97:
        return bytes((rng.randrange(256), rng.randrange(256))) + spoil(made[2:], rng)
    other = rng.choice(target.seeds)
    at = rng.randrange(len(made) + 1)
    return made[:at] + other[rng.randrange(len(other) + 1) :]
