"""Where the members of a run find each other: in the work bucket, anew for every attempt.

Each writes `live/<run>/members/<attempt>/<index>.json` with its address, and waits until all are there. What the service told of the
others must be the same on all: a group that disagrees would wait for itself for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from skylift.artifacts import layout
from skylift.artifacts.records import Record, decode, encode
from skylift.errors import InputError, MachineError
from skylift.store import ObjectNotFoundError, Store
from training.cluster.description import Cluster
from training.cluster.surroundings import Surroundings

POLL_SECONDS = 0.2
ARRIVAL_SECONDS = 600.0
"""How long the members that came wait for the others [s]; a cloud needs minutes to replace a machine."""


class Member(Record, frozen=True, kw_only=True):
    """One that has come."""

    index: int
    address: str
    told: tuple[str, ...] = ()
    """Addresses of all, where its surroundings tell them."""


def meet(
    work: Store,
    run: str,
    attempt: int,
    here: Surroundings,
    address: str,
    *,
    ps: int = 0,
    gone: Callable[[], bool] = lambda: False,
    seconds: float = ARRIVAL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Cluster | None:
    """Say that this member is here and wait for the others; None where `gone` says that nobody waits any more.

    Args:
        ps: parameter servers among them.

    Raises:
        MachineError: fewer came than the run has workers.
        InputError: their surroundings disagree.
    """
    own = Member(index=here.index, address=address, told=here.addresses)
    work.put(layout.live_member(run, attempt, here.index), encode(own))
    begun = clock()
    while True:
        found = _present(work, run, attempt, here.count)
        if len(found) == here.count:
            return _agreed([found[index] for index in range(here.count)], here, ps)
        if gone():
            return None
        if clock() - begun > seconds:
            lacking = [str(index) for index in range(here.count) if index not in found]
            raise MachineError(
                f"{len(found)} of {here.count} members came within {seconds:.0f} s; missing: number {', '.join(lacking)}",
                hint="look whether their machines run, or start the run with fewer `--workers`",
            )
        sleep(POLL_SECONDS)


def address_of(work: Store, run: str, attempt: int, index: int) -> str | None:
    """What a member said in that attempt, when it came for the first time."""
    key = layout.live_member(run, attempt, index)
    try:
        return decode(work.get(key).data, Member, work.where(key)).address
    except ObjectNotFoundError:
        return None


def _present(work: Store, run: str, attempt: int, count: int) -> dict[int, Member]:
    found = {}
    for stat in work.names(layout.live_members(run, attempt)):
        try:
            member = decode(work.get(stat.key).data, Member, work.where(stat.key))
        except ObjectNotFoundError:
            continue
        if member.index < count:
            found[member.index] = member
    return found


def _agreed(members: list[Member], here: Surroundings, ps: int) -> Cluster:
    told = {tuple(each.told) for each in members}
    if len(told) > 1:
        first, other = members[0], next(each for each in members if each.told != members[0].told)
        raise InputError(
            f"members disagree on who they are: number {first.index} was told {', '.join(first.told) or 'nothing'}, "
            f"number {other.index} {', '.join(other.told) or 'nothing'}",
            hint="start all members by the same launcher, with the same TF_CONFIG but for its task",
        )
    return Cluster(here.addresses or tuple(each.address for each in members), here.index, ps)
