"""Where to cut: a search over measured numbers alone; nothing here knows of Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from skylift.errors import InputError

Objective = Literal["time", "memory"]

BALANCED = 1.1
"""Parts count as balanced where none costs more than this many times the best possible dearest part: timings vary by as much."""
MOST = 64


@dataclass(frozen=True)
class Layer:
    """What was measured of one step.

    Args:
        ms: by rows in a batch.
        variables: bytes of each variable it uses, by identity: one that several steps of a part share counts once.
        alive: bytes per row that are held while it computes.
        bytes_before: bytes per row that cross a cut in front of it.
        may_cut: whether the model can be cut in front of it.
        is_passive: it gives the numbers that it takes, as dropout does when a model is served.
    """

    name: str
    ms: Mapping[int, float]
    variables: Mapping[int, int]
    alive: int
    bytes_before: int
    may_cut: bool
    is_passive: bool


@dataclass(frozen=True)
class Wish:
    """What is asked of the cuts.

    Args:
        bandwidth: between two parts [Gbit/s].
        rows: in a batch, by which parts are balanced.
    """

    parts: int
    objective: Objective = "time"
    bandwidth: float = 10.0
    rows: int = 32

    def check(self) -> None:
        """Raises InputError where it cannot be meant."""
        if self.parts < 2:
            raise InputError(f"--parts {self.parts} cuts nothing", hint=f"give 2 to {MOST}")
        if self.parts > MOST:
            raise InputError(f"--parts {self.parts} is more than {MOST}", hint=f"give 2 to {MOST}")
        if not self.bandwidth > 0:
            raise InputError(f"--bandwidth {self.bandwidth:g} moves nothing", hint="give Gbit/s, such as 1 or 10")

    def transfer_ms(self, bytes_per_row: int) -> float:
        """How long a batch takes from one part to the next [ms]."""
        return bytes_per_row * self.rows * 8 / (self.bandwidth * 1e9) * 1e3


Cost = Callable[[int, int], float]


def choose(layers: Sequence[Layer], wish: Wish, name: str) -> list[int]:
    """The steps that parts end before, the last being their number.

    First the dearest part is made as cheap as can be; then, of all cuts whose dearest part is within BALANCED of that, those that
    send the fewest bytes. Time counts the receiving of what crosses the cut in front of a part.

    Raises:
        InputError: there are not so many places to cut.
    """
    wish.check()
    most = most_parts(layers)
    if wish.parts > most:
        raise InputError(
            f"{name} cannot be cut into {wish.parts} parts: it has {most - 1} place{'' if most == 2 else 's'} for cuts",
            hint=f"give --parts {most} or fewer" if most > 1 else "a model this small is served whole",
            details={"parts": wish.parts, "most": most},
        )
    cost = costs(layers, wish)
    _, best, _ = _search(layers, wish.parts, lambda first, end: (0, cost(first, end)))

    def thrifty(first: int, end: int) -> tuple[int, float] | None:
        own = cost(first, end)
        return (layers[first].bytes_before if first else 0, own) if own <= best * BALANCED else None

    return _search(layers, wish.parts, thrifty)[2]


def costs(layers: Sequence[Layer], wish: Wish) -> Cost:
    """What steps `first` to before `end` cost as one part: milliseconds for a batch, or bytes."""
    total = [0.0]
    for layer in layers:
        total.append(total[-1] + layer.ms[wish.rows])

    def time(first: int, end: int) -> float:
        return total[end] - total[first] + (wish.transfer_ms(layers[first].bytes_before) if first else 0.0)

    def memory(first: int, end: int) -> float:
        parameters, alive = memory_of(layers[first:end])
        return parameters + alive * wish.rows

    return time if wish.objective == "time" else memory


def memory_of(layers: Sequence[Layer]) -> tuple[int, int]:
    """Bytes of the variables, and the most bytes per row that are held at once."""
    variables: dict[int, int] = {}
    for layer in layers:
        variables.update(layer.variables)
    return sum(variables.values()), max(layer.alive for layer in layers)


def most_parts(layers: Sequence[Layer]) -> int:
    """How many parts there can be of which each computes something."""
    parts, computes = 0, False
    for layer in layers:
        if layer.may_cut and computes:
            parts, computes = parts + 1, False
        computes = computes or not layer.is_passive
    return max(parts + 1 if computes else parts, 1)


def _search(
    layers: Sequence[Layer], parts: int, price: Callable[[int, int], tuple[int, float] | None]
) -> tuple[int, float, list[int]]:
    """The cheapest cuts: least sum of bytes, then least cost of the dearest part. `price` gives both of a part, None forbids it."""
    places = [0, *(at for at in range(1, len(layers)) if layers[at].may_cut), len(layers)]
    works = [0]
    for layer in layers:
        works.append(works[-1] + (not layer.is_passive))
    row: dict[int, tuple[int, float, list[int]]] = {0: (0, 0.0, [])}
    for left in range(parts - 1, -1, -1):
        following: dict[int, tuple[int, float, list[int]]] = {}
        for first, (sent, dearest, ends) in row.items():
            for end in places if left else places[-1:]:
                if end <= first or works[end] == works[first]:
                    continue
                priced = price(first, end)
                if priced is None:
                    continue
                found = (sent + priced[0], max(dearest, priced[1]), [*ends, end])
                if end not in following or found[:2] < following[end][:2]:
                    following[end] = found
        row = following
    return row[len(layers)]
