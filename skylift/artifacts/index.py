"""Pages that list runs, so that a listing of ten thousand reads some twenty objects.

A page is create-only and holds runs in order of id; together the pages hold every run up to the last indexed id. Runs after it are
looked for one by one. A page takes a run only when it is old by its id and by the store's clock, so that no id that is still on its
way into the bucket can sort before the end of the last page; `next_run_id` takes ids behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from skylift.artifacts import layout, objects
from skylift.artifacts.records import IndexPage, RunSummary
from skylift.errors import InputError
from skylift.store import ObjectExistsError, Stat, Store

PAGE_SIZE = 500
MARGIN = timedelta(hours=1)
"""How old a run must be before a page takes it."""


@dataclass(frozen=True)
class Tail:
    """The runs that no page holds: id to the names of the objects right below its folder."""

    page: int
    """The number that the next page gets."""
    runs: Mapping[str, Mapping[str, Stat]]


def page_numbers(keep: Store) -> list[int]:
    return objects.numbered(keep, layout.RUNS_INDEX)


def read_page(keep: Store, page: int) -> IndexPage:
    return objects.read(keep, layout.runs_index_page(page), IndexPage).record


def last_indexed(keep: Store, pages: Sequence[int] | None = None) -> str:
    """The id that the last page ends with, or an empty string."""
    numbers = page_numbers(keep) if pages is None else pages
    return read_page(keep, numbers[-1]).runs[-1].id if numbers else ""


def tail(keep: Store) -> Tail:
    """The runs behind the last page, in order of id; one listing, nothing of them is read."""
    pages = page_numbers(keep)
    last = last_indexed(keep, pages)
    runs: dict[str, dict[str, Stat]] = {}
    for found in keep.list(layout.RUNS, after=f"{layout.run(last)}/~" if last else ""):
        _, run_id, name = found.key.split("/", 2) if found.key.count("/") > 1 else ("", "", "")
        if layout.RUN_ID.fullmatch(run_id) and run_id > last:
            runs.setdefault(run_id, {})[name] = found
    whole = {run_id: found for run_id, found in sorted(runs.items()) if "run.json" in found}
    return Tail(pages[-1] + 1 if pages else 0, whole)


def write_pages(
    keep: Store,
    now: datetime,
    summarise: Callable[[Sequence[str]], Sequence[RunSummary]],
    *,
    page_size: int = PAGE_SIZE,
    margin: timedelta = MARGIN,
) -> int:
    """Add pages while enough old runs lie behind the last one; how many this call wrote. Safe to call from many places at once.

    Args:
        now: the store's clock.
        summarise: reads runs, in the given order.
    """
    written = 0
    rest = tail(keep)
    while len(old := list(islice(_old(rest, now - margin), page_size))) == page_size:
        page = IndexPage(page=rest.page, runs=list(summarise(old)))
        try:
            objects.create(keep, layout.runs_index_page(rest.page), page)
        except ObjectExistsError:
            rest = tail(keep)  # somebody else wrote it; look again
        else:
            written += 1
            rest = Tail(rest.page + 1, {run_id: found for run_id, found in rest.runs.items() if run_id > old[-1]})
    return written


def _old(rest: Tail, limit: datetime) -> Iterator[str]:
    for run_id, found in rest.runs.items():
        if layout.run_time(run_id) > limit or found["run.json"].modified > limit:
            return
        yield run_id


def refuse_indexed(keep: Store, run_id: str) -> None:
    """Raise InputError for an id that would lie hidden before the end of the last page."""
    last = last_indexed(keep)
    if last and run_id <= last:
        raise InputError(
            f"run id {run_id} sorts before {last}, which is indexed already", hint="take a new id with next_run_id"
        )
