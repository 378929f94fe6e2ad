from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skylift.artifacts import index, layout, runs
from skylift.artifacts.records import RunResult, RunSpec, RunStatus, encode, now
from skylift.errors import ConflictError, InputError, NotFoundError, RecordError
from skylift.store import Store, open_store
from tests.artifacts.racing import race
from tests.artifacts.watched import Watched
from tests.store.disks import make_read_only, small_disk

Spec = Callable[..., RunSpec]
Result = Callable[..., RunResult]
Age = Callable[..., None]
LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)
AT_ONCE = timedelta(0)


def run_ids(count: int, since: datetime = LONG_AGO) -> list[str]:
    return [f"{since + timedelta(minutes=n):%Y%m%dt%H%M%S}-{n:06x}" for n in range(count)]


def status(run_id: str, state: str = "running", beat: datetime | None = None) -> RunStatus:
    return RunStatus(id=run_id, state=state, beat=beat or now())  # type: ignore[arg-type]


class TestOneRun:
    def test_from_asking_to_the_result(self, keep: Store, work: Store, spec: Spec, result: Result) -> None:
        run_id = runs.next_run_id(keep, now())
        runs.create_run(keep, spec(run_id, hyperparameters={"epochs": 3}))
        assert runs.view_run(keep, work, run_id).state == "queued"
        runs.write_status(work, status(run_id))
        running = runs.view_run(keep, work, run_id)
        assert running.state == "running" and running.beat_age_s is not None and running.beat_age_s < 10
        runs.write_result(keep, result(run_id, metrics={"accuracy": 0.97}))
        ended = runs.view_run(keep, work, run_id)
        assert ended.is_final and ended.state == "succeeded" and ended.beat_age_s is None
        assert ended.spec.hyperparameters == {"epochs": 3}
        assert ended.summary().metrics == {"accuracy": 0.97}

    def test_a_run_is_asked_for_once(self, keep: Store, spec: Spec) -> None:
        runs.create_run(keep, spec(run_ids(1)[0]))
        with pytest.raises(ConflictError):
            runs.create_run(keep, spec(run_ids(1)[0], by="eve"))
        assert runs.read_spec(keep, run_ids(1)[0]).by == "ada"

    def test_the_second_result_is_refused(self, keep: Store, result: Result) -> None:
        run_id = run_ids(1)[0]
        runs.write_result(keep, result(run_id, "cancelled"))
        with pytest.raises(ConflictError):
            runs.write_result(keep, result(run_id, "succeeded"))
        found = runs.read_result(keep, run_id)
        assert found is not None and found.state == "cancelled"

    def test_of_two_processes_one_says_how_it_ended(self, keep: Store, work: Store) -> None:
        won = race("result", keep.url, 40)
        for run_id in [f"20260301t000000-{n:06x}" for n in range(40)]:
            winners = [name for name, ids in won.items() if run_id in ids]
            found = runs.read_result(keep, run_id)
            assert found is not None and [found.failure.message if found.failure else ""] == winners

    def test_cancel_keeps_the_first_request(self, work: Store) -> None:
        assert runs.read_cancel(work, "r") is None
        runs.request_cancel(work, "r", "ada", "enough")
        assert runs.request_cancel(work, "r", "bob").by == "ada"
        found = runs.read_cancel(work, "r")
        assert found is not None and (found.by, found.why) == ("ada", "enough")

    def test_an_unknown_run_names_its_neighbours(self, keep: Store, work: Store, spec: Spec) -> None:
        known = run_ids(1)[0]
        runs.create_run(keep, spec(known))
        with pytest.raises(NotFoundError, match=f"did you mean '{known}'"):
            runs.view_run(keep, work, known[:-1] + "f")

    def test_a_newer_schema_says_upgrade(self, keep: Store, work: Store, spec: Spec) -> None:
        old, new = run_ids(2)
        runs.create_run(keep, spec(old))
        keep.create(layout.run_spec(new), b'{"schema": 2, "id": "whatever it will look like"}')
        with pytest.raises(RecordError, match="schema 2") as caught:
            runs.view_run(keep, work, new)
        assert "upgrade" in caught.value.hint
        assert [(run.id, run.state) for run in runs.list_runs(keep, work)] == [(new, "unreadable"), (old, "queued")]


class TestLost:
    """A run is lost by the store's clock; what the machines believe does not matter."""

    def test_no_beat_for_a_minute(self, keep: Store, work: Store, spec: Spec, age: Age) -> None:
        run_id = run_ids(1)[0]
        runs.create_run(keep, spec(run_id))
        runs.write_status(work, status(run_id, beat=now() + timedelta(days=1)))
        age(work, layout.live_status(run_id), timedelta(seconds=61))
        view = runs.view_run(keep, work, run_id)
        assert view.state == "lost" and view.beat_age_s is not None and 60 < view.beat_age_s < 70

    def test_a_wrong_clock_loses_nothing(self, keep: Store, work: Store, spec: Spec) -> None:
        run_id = run_ids(1)[0]
        runs.create_run(keep, spec(run_id))
        runs.write_status(work, status(run_id, beat=now() - timedelta(days=1)))
        assert runs.view_run(keep, work, run_id).state == "running"

    def test_a_beat_from_the_future_has_no_negative_age(self, keep: Store, work: Store, spec: Spec, age: Age) -> None:
        run_id = run_ids(1)[0]
        runs.create_run(keep, spec(run_id))
        runs.write_status(work, status(run_id))
        age(work, layout.live_status(run_id), -timedelta(hours=1))
        assert runs.view_run(keep, work, run_id).beat_age_s == 0

    def test_never_a_beat(self, keep: Store, work: Store, spec: Spec, age: Age) -> None:
        run_id = run_ids(1)[0]
        runs.create_run(keep, spec(run_id))
        age(keep, layout.run_spec(run_id), timedelta(seconds=61))
        assert runs.view_run(keep, work, run_id).state == "lost"

    def test_an_ended_run_is_never_lost(self, keep: Store, work: Store, spec: Spec, result: Result, age: Age) -> None:
        run_id = run_ids(1)[0]
        runs.create_run(keep, spec(run_id))
        runs.write_status(work, status(run_id))
        runs.write_result(keep, result(run_id, "failed"))
        age(work)
        assert runs.view_run(keep, work, run_id).state == "failed"

    def test_whoever_may_only_read_sees_it_too(self, keep: Store, tmp_path: Path, spec: Spec) -> None:
        with small_disk(tmp_path / "disk", "4m") as disk:
            work = open_store(disk.as_uri())
            run_id = run_ids(1)[0]
            runs.create_run(keep, spec(run_id))
            runs.write_status(work, status(run_id))
            make_read_only(disk)
            assert runs.view_run(keep, work, run_id).state == "running"


class TestFinding:
    def test_by_beginning_ending_and_last(self, keep: Store, spec: Spec) -> None:
        first, second = run_ids(2)
        for run_id in (first, second):
            runs.create_run(keep, spec(run_id))
        assert runs.find_run(keep, first) == runs.find_run(keep, first[-6:]) == first
        assert runs.find_run(keep, second[:15]) == runs.find_run(keep, "last") == second
        with pytest.raises(InputError, match="2 runs"):
            runs.find_run(keep, "2026")
        for unknown in ("nothing", ""):
            with pytest.raises(NotFoundError):
                runs.find_run(keep, unknown)

    def test_a_folder_that_a_full_disk_left_is_not_the_last_run(self, keep: Store, spec: Spec) -> None:
        first, second = run_ids(2)
        runs.create_run(keep, spec(first))
        keep.create(f"runs/{second}/.half", b"")
        assert runs.find_run(keep, "last") == first
        with pytest.raises(NotFoundError, match=f"no run '{second}': did you mean '{first}'"):
            runs.read_spec(keep, second)

    def test_no_run_at_all(self, keep: Store) -> None:
        with pytest.raises(NotFoundError, match="no run at all"):
            runs.find_run(keep, "last")


class TestListing:
    @pytest.fixture
    def many(self, keep: Store, work: Store, spec: Spec, result: Result, age: Age) -> list[str]:
        """1,050 old runs; each hundredth has not ended. Ten pages of a hundred hold the first thousand."""
        ids = run_ids(1050)
        for n, run_id in enumerate(ids):
            keep.put(layout.run_spec(run_id), encode(spec(run_id)))
            if n % 100 != 50:
                runs.write_result(keep, result(run_id, metrics={"accuracy": n / 1050}))
        age(keep)
        assert runs.write_index(keep, work, page_size=100) == 10
        return ids

    def test_pages_stand_for_the_runs_in_them(self, keep: Store, work: Store, many: list[str], result: Result) -> None:
        watched = Watched(keep)
        listed = runs.list_runs(watched, work)
        assert [run.id for run in listed] == many[::-1]
        assert listed[-1].metrics == {"accuracy": 0.0}
        read = {match[0] for key in watched.asked if (match := re.search(r"\d{8}t\d{6}-\w{6}", key))}
        unended = {many[n] for n in range(50, 1050, 100)}
        assert read == unended | set(many[1000:])

    def test_a_limit_reads_the_newest_only(self, keep: Store, work: Store, many: list[str]) -> None:
        watched = Watched(keep)
        assert [run.id for run in runs.list_runs(watched, work, limit=5)] == many[:-6:-1]
        assert sum("runs-index" in key for key in watched.asked) == 1
        assert len({key for key in watched.asked if key.startswith("runs/")}) <= 10
        assert len(runs.list_runs(keep, work, limit=200)) == 200

    def test_a_run_that_ended_later_is_read_anew(
        self, keep: Store, work: Store, many: list[str], result: Result
    ) -> None:
        before = {run.id: run.state for run in runs.list_runs(keep, work)}
        assert before[many[50]] == "lost"
        runs.write_result(keep, result(many[50], "cancelled"))
        after = {run.id: run.state for run in runs.list_runs(keep, work)}
        assert after.pop(many[50]) == "cancelled"
        before.pop(many[50])
        assert after == before

    def test_the_clock_jumps_back_and_the_new_run_is_listed(
        self, keep: Store, work: Store, many: list[str], spec: Spec
    ) -> None:
        run_id = runs.next_run_id(keep, LONG_AGO - timedelta(days=400))
        assert run_id > many[999]
        runs.create_run(keep, spec(run_id))
        assert run_id in [run.id for run in runs.list_runs(keep, work)]

    def test_an_id_that_would_lie_hidden_is_refused(self, keep: Store, many: list[str], spec: Spec) -> None:
        with pytest.raises(InputError, match="sorts before"):
            runs.create_run(keep, spec("20260228t000000-abcdef"))

    def test_an_unreadable_index_page_is_named(self, keep: Store, work: Store, many: list[str]) -> None:
        keep.put(layout.runs_index_page(4), b'{"schema": 9}')
        with pytest.raises(RecordError, match=r"00000004\.json has schema 9"):
            runs.list_runs(keep, work)


class TestIndex:
    def test_few_runs_make_no_page(self, keep: Store, work: Store, spec: Spec, age: Age) -> None:
        for run_id in run_ids(9):
            runs.create_run(keep, spec(run_id))
        age(keep)
        assert runs.write_index(keep, work, page_size=10) == 0

    def test_young_runs_are_left_out(self, keep: Store, work: Store, spec: Spec) -> None:
        for run_id in run_ids(20, since=now() - timedelta(minutes=30)):
            runs.create_run(keep, spec(run_id))
        assert runs.write_index(keep, work, page_size=10) == 0
        assert runs.write_index(keep, work, page_size=10, margin=-timedelta(days=1)) == 2

    def test_a_late_comer_stops_the_page(self, keep: Store, work: Store, spec: Spec, age: Age) -> None:
        """An old id written just now, by a machine whose clock is behind: others like it may still be on their way."""
        ids = run_ids(20)
        for run_id in ids:
            runs.create_run(keep, spec(run_id))
        age(keep)
        keep.put(layout.run_spec(ids[12]), encode(spec(ids[12])))
        assert runs.write_index(keep, work, page_size=10) == 1
        assert index.last_indexed(keep) == ids[9]

    def test_two_writers_at_once_write_each_run_once(self, keep: Store, work: Store, spec: Spec, age: Age) -> None:
        ids = run_ids(200)
        for run_id in ids:
            keep.put(layout.run_spec(run_id), encode(spec(run_id)))
        age(keep)
        race("index", f"{keep.url} {work.url}", 10)
        pages = [index.read_page(keep, number) for number in index.page_numbers(keep)]
        assert [page.page for page in pages] == list(range(20))
        assert [run.id for page in pages for run in page.runs] == ids
