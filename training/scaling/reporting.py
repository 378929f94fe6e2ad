"""What was measured, beside what was to be expected."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from training.scaling.predicting import Alone, Wire, point, wire_of
from training.scaling.records import KINDS, Kind, Measured, Order, Point, Report, Speed

BEYOND = (2, 4, 8)
"""Multiples of the largest group that was measured, for which there is a prediction."""

TIMES_FOR_GIGABIT = 1e9 / 8


def report(order: Order, found: Sequence[Measured], gigabits: float = 0.0) -> Report:
    """The report of groups of 1, 2, … workers.

    Args:
        found: in order; the first is one worker alone.
        gigabits: of the network to predict for; 0 takes what was measured between the members.
    """
    single, cores = found[0].speeds[0], cores_here()
    alone = Alone(single.step_s, single.batch, single.cores, cores, found[0].gradient_bytes)
    wires = {each.workers: wire_of(each) for each in found if each.workers > 1}
    largest = wires.get(found[-1].workers)
    apart = _apart(largest, gigabits)
    points = []
    for kind in KINDS:
        points += [_point(alone, each, kind, wires.get(each.workers), apart) for each in found]
        if apart is not None:
            beyond = [found[-1].workers * times for times in BEYOND]
            points += [point(alone, workers, kind, None, None, apart) for workers in beyond]
    return Report(
        recipe=order.recipe,
        machine=f"{platform.machine()}, {cores} cores",
        cores=cores,
        cores_of_one=single.cores,
        batch_size=single.batch,
        step_s=single.step_s,
        gradient_bytes=alone.gradient_bytes,
        bandwidth=apart.bandwidth if apart is not None else None,
        hop_s=apart.hop_s if apart is not None else None,
        wire=_source_of(found[-1].workers, gigabits),
        points=points,
        notes=_notes(found[-1].workers, cores, single, gigabits),
    )


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _point(alone: Alone, measured: Measured, kind: Kind, own: Wire | None, apart: Wire | None) -> Point:
    speed = next((each for each in measured.speeds if each.kind == kind), measured.speeds[0])
    return point(alone, measured.workers, kind, speed, own, apart)


def _apart(measured: Wire | None, gigabits: float) -> Wire | None:
    if measured is None or not gigabits:
        return measured
    return Wire(measured.hop_s, gigabits * TIMES_FOR_GIGABIT)


def _source_of(workers: int, gigabits: float) -> str:
    if workers == 1:
        return "not measured: one worker tells nobody"
    between = f"measured between {workers} processes of this machine, through its loopback interface"
    return f"bandwidth as given, {gigabits:g} Gbit/s; hop {between}" if gigabits else between


def _notes(workers: int, cores: int, single: Speed, gigabits: float) -> list[str]:
    notes = []
    if workers > 1:
        bound = max(1.0, cores / max(single.cores, 1e-9))
        notes.append(
            f"All workers share {cores} cores, of which one alone keeps {single.cores:.1f} busy: here more than "
            f"{bound:.1f} times its speed cannot be, whatever the recipe. Efficiency is bounded by that."
        )
        if not gigabits:
            notes.append(
                "A network between machines is slower than this machine's loopback: say its bandwidth with --gigabits."
            )
    return notes
