"""What is loaded and unloaded when, by itself and over arbitrary histories."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.interface import Code, ModelConfig, StatusError, VersionStatus
from serving.sources.policy import IN_MEMORY, Mode, check_labels
from serving.sources.reconcile import ENDED_KEPT, Action, Load, Reconciler, Unload


def folder(version: int) -> Path:
    return Path(f"/models/m/{version}")


def want(model: Reconciler, *versions: int) -> None:
    model.want({version: folder(version) for version in versions})


def load(model: Reconciler, version: int, now: float = 0.0) -> None:
    assert model.next(now) == Load("m", version, folder(version))
    model.loaded(version)


def states(model: Reconciler) -> dict[int, str]:
    return {one.version: one.state for one in model.statuses()}


def test_the_new_version_answers_before_the_old_one_goes() -> None:
    model = Reconciler("m")
    want(model, 1)
    assert states(model) == {1: "START"}
    load(model, 1)
    want(model, 2)
    assert model.next(0) == Load("m", 2, folder(2))
    assert states(model) == {1: "AVAILABLE", 2: "LOADING"}
    assert model.next(0) is None
    model.loaded(2)
    assert model.next(0) == Unload("m", 1)
    assert states(model) == {1: "UNLOADING", 2: "AVAILABLE"}
    model.unloaded(1)
    assert states(model) == {1: "END", 2: "AVAILABLE"}
    assert model.is_settled
    assert model.next(0) is None


def test_a_bad_version_never_replaces_a_good_one() -> None:
    model = Reconciler("m", max_retries=0)
    want(model, 1)
    load(model, 1)
    want(model, 2)
    model.next(0)
    model.failed(2, Code.INVALID_ARGUMENT, "it is no model", 0)
    assert model.next(1e9) is None
    assert list(model.statuses()) == [
        VersionStatus(1, "AVAILABLE"),
        VersionStatus(2, "END", Code.INVALID_ARGUMENT, "it is no model"),
    ]
    assert model.available == [1]


def test_a_failed_version_is_tried_again_ever_later_and_then_given_up() -> None:
    model = Reconciler("m", max_retries=5, retry_seconds=10)
    want(model, 1)
    now, pauses = 100.0, []
    for _ in range(5):
        assert isinstance(model.next(now), Load)
        model.failed(1, Code.UNAVAILABLE, "no way there", now)
        assert model.statuses()[0] == VersionStatus(1, "LOADING", Code.UNAVAILABLE, "no way there")
        due = model.due()
        assert due is not None
        assert model.next(due - 0.01) is None
        pauses.append(due - now)
        now = due
    assert pauses == [1, 2, 4, 8, 10]
    model.next(now)
    model.failed(1, Code.UNAVAILABLE, "no way there", now)
    assert states(model) == {1: "END"}
    assert model.due() is None
    assert model.next(now + 1e9) is None
    assert model.is_settled


def test_a_success_after_failures_leaves_no_error() -> None:
    model = Reconciler("m")
    want(model, 1)
    model.next(0)
    model.failed(1, Code.UNAVAILABLE, "no way there", 0)
    load(model, 1, now=1)
    assert list(model.statuses()) == [VersionStatus(1, "AVAILABLE")]


def test_a_given_up_version_is_tried_again_when_its_files_were_replaced() -> None:
    model = Reconciler("m", max_retries=0)
    want(model, 1)
    model.next(0)
    model.failed(1, Code.INVALID_ARGUMENT, "bad", 0)
    want(model, 1)
    assert model.next(0) is None
    model.want({1: Path("/cache/other")})
    assert model.next(0) == Load("m", 1, Path("/cache/other"))


def test_a_given_up_version_is_tried_again_when_it_comes_again() -> None:
    model = Reconciler("m", max_retries=0)
    want(model, 1)
    model.next(0)
    model.failed(1, Code.INVALID_ARGUMENT, "bad", 0)
    want(model)
    want(model, 1)
    load(model, 1)


def test_some_errors_need_no_second_attempt() -> None:
    model = Reconciler("m")
    want(model, 1)
    model.next(0)
    model.failed(1, Code.INVALID_ARGUMENT, "bad", 0, is_final=True)
    assert states(model) == {1: "END"}


def test_of_several_new_versions_the_newest_comes_first() -> None:
    model = Reconciler("m", max_loads=2)
    want(model, 1, 2, 3)
    assert [model.next(0) for _ in range(3)] == [Load("m", 3, folder(3)), Load("m", 2, folder(2)), None]


def test_a_version_that_is_no_longer_wanted_is_not_begun() -> None:
    model = Reconciler("m")
    want(model, 1)
    want(model, 2)
    load(model, 2)
    assert states(model) == {1: "END", 2: "AVAILABLE"}


def test_wanting_nothing_unloads_everything() -> None:
    model = Reconciler("m")
    want(model, 1, 2)
    load(model, 2)
    load(model, 1)
    want(model)
    for version in (1, 2):
        assert model.next(0) == Unload("m", version)
        model.unloaded(version)
    assert model.is_gone
    assert model.folders == set()


def test_a_version_wanted_again_while_it_goes_comes_back() -> None:
    model = Reconciler("m")
    want(model, 1)
    load(model, 1)
    want(model)
    model.next(0)
    want(model, 1)
    assert model.next(0) is None
    model.unloaded(1)
    load(model, 1)
    assert states(model) == {1: "AVAILABLE"}


def test_short_of_memory_the_old_one_goes_first() -> None:
    model = Reconciler("m", mode="resources")
    want(model, 1)
    load(model, 1)
    want(model, 2)
    assert model.next(0) == Unload("m", 1)
    assert model.next(0) is None
    model.unloaded(1)
    load(model, 2)
    assert model.available == [2]


def test_short_of_memory_the_old_one_returns_when_the_new_one_is_bad() -> None:
    model = Reconciler("m", mode="resources", max_retries=1)
    want(model, 1)
    load(model, 1)
    want(model, 2)
    model.next(0)
    model.unloaded(1)
    for now in (0.0, 1.0):
        assert model.next(now) == Load("m", 2, folder(2))
        model.failed(2, Code.INTERNAL, "bad", now)
        assert folder(1) in model.folders
    load(model, 1)
    assert states(model) == {1: "AVAILABLE", 2: "END"}
    assert model.next(1e9) is None
    want(model, 3)
    assert model.next(0) == Unload("m", 1)
    model.unloaded(1)
    load(model, 3)
    assert model.folders == {folder(3)}


def test_a_status_does_not_grow_for_ever() -> None:
    model = Reconciler("m")
    for version in range(1, 3 * ENDED_KEPT):
        want(model, version)
        load(model, version)
        if version > 1:
            model.next(0)
            model.unloaded(version - 1)
    assert len(model.statuses()) <= ENDED_KEPT + 2


class Histories(RuleBasedStateMachine):
    """Any order of wishes, results and times. Versions divisible by 3 are bad."""

    mode: Mode = "availability"

    def __init__(self) -> None:
        super().__init__()
        self.model = Reconciler("m", mode=self.mode, max_retries=1)
        self.now = 0.0
        self.wanted: set[int] = set()
        self.under_way: list[Action] = []
        self.has_answered = False

    @rule(versions=st.sets(st.integers(1, 7), min_size=1, max_size=3))
    def wish(self, versions: set[int]) -> None:
        self.wanted = versions
        want(self.model, *versions)

    @rule()
    def begin(self) -> None:
        action = self.model.next(self.now)
        if action is None:
            return
        if isinstance(action, Load) and self.mode == "resources":
            in_memory = [version for version, phase in self.phases().items() if phase in IN_MEMORY]
            assert len(in_memory) <= max(1, len(self.wanted))
        if isinstance(action, Unload):
            assert action.version not in self.wanted
        self.under_way.append(action)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        action = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if isinstance(action, Unload):
            self.model.unloaded(action.version)
        elif action.version % 3:
            self.model.loaded(action.version)
            self.has_answered = True
        else:
            self.model.failed(action.version, Code.INTERNAL, "bad", self.now)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def phases(self) -> dict[int, str]:
        return {version: one.phase for version, one in self.model._known.items()}

    @invariant()
    def one_load_at_a_time(self) -> None:
        assert sum(isinstance(one, Load) for one in self.under_way) <= 1

    @invariant()
    def it_never_stops_answering(self) -> None:
        if self.mode == "availability" and self.has_answered:
            assert self.model.available

    def teardown(self) -> None:
        """Left alone, it ends with every good version answering and, where there is none, with what answered before."""
        for _ in range(60):
            while self.under_way:
                action = self.under_way.pop()
                if isinstance(action, Unload):
                    self.model.unloaded(action.version)
                elif action.version % 3:
                    self.model.loaded(action.version)
                    self.has_answered = True
                else:
                    self.model.failed(action.version, Code.INTERNAL, "bad", self.now)
            self.now += 1000
            self.begin()
        good = {version for version in self.wanted if version % 3}
        if good:
            assert set(self.model.available) == good
        elif self.has_answered:
            assert self.model.available
        assert self.model.is_settled or not self.wanted


class ShortOfMemory(Histories):
    mode: Mode = "resources"


TestAvailability = Histories.TestCase
TestAvailability.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestShortOfMemory = ShortOfMemory.TestCase
TestShortOfMemory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("before", [{}, {"canary": 2}, {"canary": 1}])
def test_a_label_names_what_answers(is_first: bool, allowed: bool, before: dict[str, int]) -> None:
    config = ModelConfig("m", "/m", labels={"stable": 1, "canary": 2})
    known = [VersionStatus(1, "AVAILABLE"), VersionStatus(2, "LOADING")]

    def check() -> None:
        check_labels(config, known, before, is_first=is_first, allow_unavailable=allowed)

    if is_first or (allowed and before != {"canary": 1}):
        check()
        return
    with pytest.raises(StatusError) as raised:
        check()
    assert raised.value.code == Code.FAILED_PRECONDITION
    assert raised.value.message == (
        "Request to assign label to version 2 of model m, which is not currently available for inference"
    )
