"""Runs: asked for once, alive by heartbeat, ended once; found and listed by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from skylift.artifacts import index, layout, objects
from skylift.artifacts.records import FINAL, Cancel, RunResult, RunSpec, RunStatus, RunSummary, encode, now
from skylift.errors import InputError, RecordError, not_found
from skylift.store import ObjectExistsError, ObjectNotFoundError, Store

LOST_AFTER_S = 60.0
"""Seconds without a heartbeat, by the store's clock, after which a run counts as lost."""

UNREADABLE = "unreadable"
"""State in a listing of a run whose records are damaged, gone, or written by a newer release."""


@dataclass(frozen=True)
class RunView:
    """A run as it stands. `beat_age_s` is None where no heartbeat was ever written or the run has ended."""

    spec: RunSpec
    result: RunResult | None
    status: RunStatus | None
    state: str
    """A State of records, or `lost`: no result, not saved either, and no heartbeat for a minute."""
    beat_age_s: float | None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    def summary(self) -> RunSummary:
        spec, result = self.spec, self.result
        return RunSummary(
            id=spec.id,
            created=spec.created,
            by=spec.by,
            stack=spec.stack,
            recipe=spec.recipe,
            model=spec.model,
            state=self.state,
            ended=result.ended if result else None,
            metrics=result.metrics if result else {},
            published=result.model if result else None,
            study=spec.study,
            trial=spec.trial,
        )


# one run


def next_run_id(keep: Store, now: datetime) -> str:
    """An id for a new run, behind every indexed one even when the clock has jumped back."""
    return layout.new_run_id(now, after=index.last_indexed(keep))


def create_run(keep: Store, spec: RunSpec) -> None:
    """Write runs/<id>/run.json.

    Raises:
        ObjectExistsError: there is a run of that id.
        InputError: the id would lie before the end of the index.
    """
    layout.run_time(spec.id)
    index.refuse_indexed(keep, spec.id)
    objects.create(keep, layout.run_spec(spec.id), spec)


def read_spec(keep: Store, run_id: str) -> RunSpec:
    try:
        return objects.read(keep, layout.run_spec(run_id), RunSpec).record
    except ObjectNotFoundError:
        others = [other for other in keep.folders(layout.RUNS) if other != run_id]
        raise not_found("run", run_id, others, hint="`skylift runs` lists them") from None


def read_result(keep: Store, run_id: str) -> RunResult | None:
    found = objects.find(keep, layout.run_result(run_id), RunResult)
    return found.record if found else None


def write_result(keep: Store, result: RunResult) -> None:
    """Say how a run ended, once and for all.

    Raises:
        ObjectExistsError: somebody else said so before (a ConflictError).
    """
    objects.create(keep, layout.run_result(result.id), result)


def read_status(work: Store, run_id: str) -> RunStatus | None:
    found = objects.find(work, layout.live_status(run_id), RunStatus)
    return found.record if found else None


def write_status(work: Store, status: RunStatus) -> None:
    """A heartbeat; its age counts from when the store took it."""
    work.put(layout.live_status(status.id), encode(status))


def read_cancel(work: Store, run_id: str) -> Cancel | None:
    found = objects.find(work, layout.live_cancel(run_id), Cancel)
    return found.record if found else None


def request_cancel(work: Store, run_id: str, by: str, why: str = "") -> Cancel:
    """Ask a run to stop; the first request stands."""
    wish = Cancel(at=now(), by=by, why=why)
    try:
        objects.create(work, layout.live_cancel(run_id), wish)
    except ObjectExistsError:
        return read_cancel(work, run_id) or wish
    return wish


def view_run(keep: Store, work: Store, run_id: str) -> RunView:
    """What is asked, how it goes, how it ended.

    Raises:
        NotFoundError: there is no such run.
    """
    spec = read_spec(keep, run_id)
    return _view(keep, work, spec, read_result(keep, run_id), None)


def _view(keep: Store, work: Store, spec: RunSpec, result: RunResult | None, clock: datetime | None) -> RunView:
    beat = objects.find(work, layout.live_status(spec.id), RunStatus)
    status = beat.record if beat else None
    if result is not None:
        return RunView(spec, result, status, result.state, None)
    moment = clock or objects.clock(work)
    if beat is None:
        asked = keep.stat(layout.run_spec(spec.id))
        waited_s = (moment - asked.modified).total_seconds() if asked else 0.0
        return RunView(spec, None, None, "lost" if waited_s > LOST_AFTER_S else "queued", None)
    age_s = max((moment - beat.modified).total_seconds(), 0.0)
    at_rest = (
        beat.record.state in FINAL or beat.record.state == "preempted"
    )  # saved: nobody beats for it until it resumes
    state = "lost" if age_s > LOST_AFTER_S and not at_rest else beat.record.state
    return RunView(spec, None, status, state, age_s)


# many runs


def find_run(keep: Store, text: str) -> str:
    """The id that `text` means: a whole id, a beginning or an ending that only one run has, or `last`.

    Raises:
        NotFoundError: none does.
        InputError: several do.
    """
    ids = keep.folders(layout.RUNS)
    if text in ids:
        return text
    if text == "last" and ids:
        # A folder without run.json is no run: a full disk may leave one behind.
        return next((run_id for run_id in reversed(ids) if keep.stat(layout.run_spec(run_id)) is not None), ids[-1])
    found = [run_id for run_id in ids if text and (run_id.startswith(text) or run_id.endswith(text))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise not_found("run", text, ids, hint="`skylift runs` lists them")
    raise InputError(
        f"{len(found)} runs begin or end with {text!r}: {', '.join(found[-5:])}",
        hint="give more of the id",
        details={"runs": found[:50]},
    )


def list_runs(
    keep: Store, work: Store, *, limit: int | None = None, where: Callable[[RunSummary], bool] | None = None
) -> list[RunSummary]:
    """Runs, newest first. Reads index pages, the runs behind the last page, and those that had not ended when theirs was written.

    Args:
        where: which runs are wanted; the others do not count towards the limit.
    """
    return list(islice(filter(where, _newest(keep, work, limit or index.PAGE_SIZE)), limit))


def _newest(keep: Store, work: Store, at_once: int) -> Iterator[RunSummary]:
    rest = index.tail(keep)
    newest = sorted(rest.runs, reverse=True)
    for begin in range(0, len(newest), at_once):
        some = newest[begin : begin + at_once]
        yield from _summaries(keep, work, [(run_id, "result.json" in rest.runs[run_id]) for run_id in some])
    for page in reversed(range(rest.page)):
        yield from _current(keep, work, index.read_page(keep, page).runs)


def _current(keep: Store, work: Store, runs: Sequence[RunSummary]) -> Iterator[RunSummary]:
    """A page's runs, newest first, those that had not ended read anew."""
    stale = [(run.id, True) for run in runs if run.state not in FINAL]
    anew = {run.id: run for run in _summaries(keep, work, stale)}
    return (anew.get(run.id, run) for run in reversed(runs))


def _summaries(keep: Store, work: Store, runs: Sequence[tuple[str, bool]]) -> list[RunSummary]:
    """Summaries in order; the flag says whether to look for a result. A record that cannot be read hides no other run."""
    clock = objects.clock(work) if runs else None

    def read(run: tuple[str, bool]) -> RunSummary:
        try:
            return _summary(keep, work, *run, clock)
        except (RecordError, ObjectNotFoundError):
            asked = layout.run_time(run[0])
            return RunSummary(id=run[0], created=asked, by="", stack="", recipe="", model="", state=UNREADABLE)

    return objects.each(read, runs)


def _summary(keep: Store, work: Store, run_id: str, may_have_ended: bool, clock: datetime | None) -> RunSummary:
    result = read_result(keep, run_id) if may_have_ended else None
    spec = objects.read(keep, layout.run_spec(run_id), RunSpec).record
    if result is not None:
        return RunView(spec, result, None, result.state, None).summary()
    return _view(keep, work, spec, None, clock).summary()


def write_index(keep: Store, work: Store, *, page_size: int = index.PAGE_SIZE, margin: timedelta = index.MARGIN) -> int:
    """Add index pages where many old runs lie behind the last page; returns how many. Cheap where there is nothing to do."""
    return index.write_pages(
        keep,
        objects.clock(work),
        lambda ids: _summaries(keep, work, [(run_id, True) for run_id in ids]),
        page_size=page_size,
        margin=margin,
    )
