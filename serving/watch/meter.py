"""Counts requests: what one costs the event loop's thread is a lookup, some bisections and additions, nothing that waits."""

from __future__ import annotations

import threading
from bisect import bisect_left

from serving.calls import Call
from serving.watch.histograms import EXAMPLES, LATENCY_US, QUEUING_US, ROWS, SECONDS
from serving.watch.merging import beyond, copy, fold, moved, summed
from serving.watch.snapshots import OTHER, Batches, Cell, Loads, Snapshot

IDLE_SECONDS = 60.0
"""A version that was asked for within this time keeps its place; newcomers beyond the limit are summed up."""
LABELS = 32
"""So many label values of a counter are kept apart."""
LOADS = 256

_Key = tuple[str, int, str, str, bool]
_WITH_EXAMPLES = ("classify", "regress", "multi_inference")


class _Batched:
    """`seen` are the moments of the last batches: requests of several may be answered in turn."""

    __slots__ = ("at", "batches", "seen")

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.seen = [0.0] * 4
        self.at = 0


class Meter:
    """Everything that one process counts. Called from the event loop's thread, where nothing else is said.

    Args:
        versions: of a model that are counted apart; more are summed up, see `serving.watch.merging.fold`.
        models: likewise.
    """

    def __init__(self, versions: int = 4, models: int = 1000) -> None:
        self._versions = versions
        self._models = models
        self._cells: dict[_Key, Cell] = {}
        self._batches: dict[tuple[str, int], _Batched] = {}
        self._loads: dict[tuple[str, int, str], Loads] = {}
        self._whole = Snapshot()
        self._queuing = self._whole.queuing
        self._counting = threading.Lock()

    def observe(self, call: Call) -> None:
        """Count a request whose answer was handed to the socket."""
        key = (call.model, call.version, call.protocol, call.api, call.is_canary)
        cell = self._cells.get(key) or self._place(key, call)
        arrived, answered, parsed, status = call.arrived, call.answered, call.parsed, call.status
        cell.last = answered
        cell.rows += call.rows
        cell.request_bytes += call.request_bytes
        cell.response_bytes += call.response_bytes
        try:
            cell.statuses[status] += 1
        except KeyError:
            cell.statuses[status] = 1
        took = answered - arrived
        into = cell.whole
        into[bisect_left(SECONDS, took)] += 1
        into[-1] += took
        if status == 200 or not status:
            took *= 1e6
            into = cell.latency
            into[bisect_left(LATENCY_US, took)] += 1
            into[-1] += took
        if not parsed:
            return
        took = parsed - arrived
        into = cell.parse
        into[bisect_left(SECONDS, took)] += 1
        into[-1] += took
        if call.started:
            took = call.started - parsed
            into = cell.queue
            into[bisect_left(SECONDS, took)] += 1
            into[-1] += took
            took *= 1e6
            into = self._queuing
            into[bisect_left(QUEUING_US, took)] += 1
            into[-1] += took
            if call.computed and call.gathered:
                self._observe_run(cell, call)

    def _observe_run(self, cell: Cell, call: Call) -> None:
        gathered, computed = call.gathered, call.computed
        took = gathered - call.started
        into = cell.batch
        into[bisect_left(SECONDS, took)] += 1
        into[-1] += took
        took = computed - gathered
        into = cell.run
        into[bisect_left(SECONDS, took)] += 1
        into[-1] += took
        took *= 1e6
        into = cell.runtime
        into[bisect_left(LATENCY_US, took)] += 1
        into[-1] += took
        took = call.answered - computed
        into = cell.write
        into[bisect_left(SECONDS, took)] += 1
        into[-1] += took
        batched = self._batches.get((cell.model, cell.version))
        if batched is None or gathered not in batched.seen:
            self._count_batch(cell, call)
        if call.api in _WITH_EXAMPLES:
            cell.examples[bisect_left(EXAMPLES, call.rows)] += 1
            cell.examples[-1] += call.rows

    def _count_batch(self, cell: Cell, call: Call) -> None:
        """Every batch once: its requests have the same moment of gathering."""
        place = (cell.model, cell.version)
        batched = self._batches.get(place)
        if batched is None:
            batched = self._batches[place] = _Batched(Batches(cell.model, cell.version))
        batched.seen[batched.at] = call.gathered
        batched.at = (batched.at + 1) % len(batched.seen)
        batched.batches.last = call.gathered
        rows = batched.batches.rows
        rows[bisect_left(ROWS, call.batch_rows)] += 1
        rows[-1] += call.batch_rows

    def count(self, metric: str, label: str, more: int = 1) -> None:
        """Add to a counter, `skylift_shed_total` by reason for one. From any thread."""
        with self._counting:
            values = self._whole.counters.setdefault(metric, {})
            if label not in values and len(values) >= LABELS:
                label = "other"
            values[label] = values.get(label, 0) + more

    def loaded(self, model: str, version: int, path: str, seconds: float, *, is_loaded: bool, at: float) -> None:
        """A version was read from `path`, or could not be. `at`: by `time.monotonic` [s]."""
        loads = self._load(model, version, path, at)
        if is_loaded:
            loads.succeeded += 1
            loads.load_us += int(seconds * 1e6)
        else:
            loads.failed += 1

    def warmed(self, model: str, version: int, path: str, seconds: float, *, is_warm: bool, at: float) -> None:
        """A version was given its first requests."""
        loads = self._load(model, version, path, at)
        into = loads.warmed if is_warm else loads.not_warmed
        into[bisect_left(LATENCY_US, seconds * 1e6)] += 1
        into[-1] += seconds * 1e6

    def _load(self, model: str, version: int, path: str, at: float) -> Loads:
        key = (model, version, path)
        self._loads.setdefault(key, Loads(model, version, path)).last = at
        folded = fold(self._loads.values(), self._versions, min(self._models, LOADS))
        self._loads = {one.key: one for one in folded}
        return self._loads[key]

    def snapshot(self) -> Snapshot:
        """What was counted up to now, apart from what goes on."""
        whole = copy(self._whole)
        with self._counting:
            whole.counters = {metric: values.copy() for metric, values in self._whole.counters.items()}
        whole.cells = [copy(cell) for key, cell in self._cells.items() if key == cell.key]
        whole.batches = [copy(one.batches) for one in self._batches.values()]
        whole.loads = [copy(one) for one in self._loads.values()]
        return whole

    # bounds

    def _place(self, key: _Key, call: Call) -> Cell:
        """A cell for what was not seen yet: one of its own, or that of the rest where there are too many."""
        model, version = call.model, call.version
        if not self._has_room(model, version):
            self._free(call.answered)
        if not self._has_room(model, version):
            model = model if any(cell.model == model for cell in self._cells.values()) else ""
            version = OTHER
        made = Cell(model, version, call.protocol, call.api, call.is_canary)
        made = self._cells.setdefault(made.key, made)
        self._cells[key] = made
        return made

    def _has_room(self, model: str, version: int) -> bool:
        places = {(cell.model, cell.version) for cell in self._cells.values() if cell.version != OTHER}
        if (model, version) in places:
            return True
        models = {name for name, _ in places}
        if model not in models and len(models) >= self._models:
            return False
        return sum(name == model for name, _ in places) < self._versions

    def _free(self, now: float) -> None:
        """Sum up what was not asked for lately, and forget which keys went to the rest: there may be room for them now."""
        last: dict[tuple[str, int], float] = {}
        for cell in self._cells.values():
            last[cell.model, cell.version] = max(last.get((cell.model, cell.version), 0.0), cell.last)
        busy = frozenset(place for place, moment in last.items() if now - moment < IDLE_SECONDS)
        gone = beyond(last, self._versions - 1, self._models - max(self._models // 10, 1), busy)
        cells = {id(cell): cell for cell in self._cells.values()}
        self._cells = {cell.key: cell for cell in summed([moved(cell, gone) for cell in cells.values()])}
        batches = summed([moved(one.batches, gone) for one in self._batches.values()])
        self._batches = {one.key: _Batched(one) for one in batches}
