"""Which groups go, which are told of, which are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.reaper.function.core import GRACE, PATIENCE, Group, ReaperError, judge, moment, reap
from skylift.artifacts import layout

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def group(
    name: str, *, end: datetime | str | None = None, stack: str | None = "prod", run: bool = True, hours: float = 1
) -> Group:
    tags = {"owner": "me"}
    if stack is not None:
        tags["skylift-stack"] = stack
    if run:
        tags["skylift-run"] = "20261122t234501-3f9a0c"
    if end is not None:
        tags["skylift-end"] = end if isinstance(end, str) else f"{end:%Y%m%dt%H%M%Sz}"
    return Group(id=name, tags=tags, born=NOW - timedelta(hours=hours))


LATE = NOW - GRACE - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("one", "removed", "told"),
    [
        (group("late", end=LATE), True, False),
        (group("in its grace", end=NOW - GRACE / 2), False, False),
        (group("still working", end=NOW + timedelta(hours=1)), False, False),
        (group("another stack's", end=LATE, stack="dev"), False, False),
        (group("nobody's", end=LATE, stack=None), False, False),
        (group("one that serves", run=False, hours=1000), False, False),
        (group("one that serves and has an end", end=LATE, run=False), False, False),
        (group("young, without an end"), False, False),
        (group("old, without an end", hours=PATIENCE / timedelta(hours=1)), False, True),
        (group("with a wrong end", end="yesterday"), False, True),
        (group("with an impossible end", end="20261399t000000z"), False, True),
        (group("with a local end", end="20261123t000000"), False, True),
        (Group(id="of unknown age", tags=group("x").tags, born=None), False, True),
    ],
    ids=lambda value: value.id if isinstance(value, Group) else "",
)
def test_each_group_is_removed_told_of_or_left_alone(one: Group, removed: bool, told: bool) -> None:
    verdict = judge([one], "prod", NOW)
    assert bool(verdict.remove) is removed
    assert bool(verdict.report) is told


@given(st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC)))
def test_a_time_survives_its_tag_and_every_cloud_takes_the_tag(time: datetime) -> None:
    text = f"{time:%Y%m%dt%H%M%Sz}"
    assert moment(text) == time
    assert layout.NAME.fullmatch(text) and "." not in text  # what Google's labels take, the strictest


@given(st.text(max_size=20))
def test_no_other_text_is_taken_for_a_time(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text + "?")


def test_a_group_that_resists_keeps_none_from_going_and_rings_the_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    gone: list[str] = []

    def remove(one: Group) -> None:
        if one.id == "b":
            raise PermissionError("denied")
        gone.append(one.id)

    def pages() -> Iterator[Group]:
        yield from (group(name, end=LATE) for name in "abc")
        raise RuntimeError("page 2")

    with pytest.raises(ReaperError) as wrong:
        reap(pages(), remove, "prod", NOW)
    assert str(wrong.value) == "listing: RuntimeError: page 2; b: PermissionError: denied"
    assert gone == ["a", "c"]
    assert '"removed": ["a", "c"]' in capsys.readouterr().out


def test_without_a_stack_nothing_is_touched() -> None:
    with pytest.raises(ReaperError, match="SKYLIFT_STACK"):
        reap([group("late", end=LATE, stack="")], pytest.fail, "", NOW)
