"""Refusals under a flood."""

from __future__ import annotations

from serving.http.holding import FLOOD, HOLD_SECONDS, Holding
from serving.http.messages import Exchange, Request, Response


class Clock:
    """A loop whose time is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, object]] = []

    def call_later(self, seconds: float, callback: object) -> None:
        self.due.append((self.now + seconds, callback))

    def pass_by(self, seconds: float) -> None:
        ends = self.now + seconds
        while self.due and min(self.due, key=lambda one: one[0])[0] <= ends:
            first = min(self.due, key=lambda one: one[0])
            self.due.remove(first)
            self.now = first[0]
            first[1]()  # type: ignore[operator]
        self.now = ends


def refuse(holding: Holding, told: list[int], number: int) -> Exchange:
    exchange = Exchange(Request(b"POST", b"/", {}, b"x" * 1000), lambda _: told.append(number))
    holding.tell(exchange, Response(429))
    return exchange


def test_few_are_told_at_once_and_a_flood_in_turn_a_moment_later() -> None:
    clock, told = Clock(), []
    holding = Holding(clock, lambda: clock.now)  # type: ignore[arg-type]
    exchanges = [refuse(holding, told, number) for number in range(FLOOD + 100)]
    assert told == list(range(FLOOD))
    assert not exchanges[-1].request.body  # what is refused takes no memory while it waits
    clock.pass_by(HOLD_SECONDS / 2)
    assert len(told) == FLOOD
    clock.pass_by(HOLD_SECONDS)
    assert told == list(range(FLOOD + 100))
    refuse(holding, told, -1)
    assert told[-1] == -1


def test_whoever_left_meanwhile_is_no_trouble() -> None:
    clock, told = Clock(), []
    holding = Holding(clock, lambda: clock.now)  # type: ignore[arg-type]
    exchanges = [refuse(holding, told, number) for number in range(FLOOD + 2)]
    exchanges[-1].forget()
    clock.pass_by(1.0)
    assert told == list(range(FLOOD + 1))
