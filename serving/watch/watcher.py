"""The one thing that a worker tells of its requests."""

from __future__ import annotations

import platform
from collections.abc import Callable

from serving import log
from serving.calls import Call
from serving.watch.access_log import AccessLog
from serving.watch.meter import Meter
from serving.watch.options import WatchOptions
from serving.watch.process import process_of_ours
from serving.watch.request_ids import RequestIds
from serving.watch.snapshots import Gauges, Snapshot
from skylift import __version__

_Watching = Callable[[Call], None]


class Watcher:
    """Metrics, access log and the rest of one worker. A fault in one of them is counted and never reaches a request.

    Everything but `close` is called from the event loop's thread.

    Args:
        gauges: how the worker is right now, asked for each snapshot.

    Raises:
        InputError: something that is asked for cannot be had.
    """

    def __init__(self, options: WatchOptions, *, gauges: Callable[[], Gauges] = Gauges) -> None:
        self._gauges = gauges
        self._info = {"version": __version__, "python": platform.python_version()}
        self.meter = Meter(options.versions, options.models)
        self.request_ids = RequestIds()
        self._watching: list[tuple[str, _Watching]] = [("meter", self.meter.observe)]
        self._access_log: AccessLog | None = None
        if options.access_log != "off":
            self._access_log = AccessLog(options.access_log, options.access_log_rate, self._line_dropped)
            self._watching.append(("access_log", self._access_log.write))
        self._faults: set[str] = set()

    def done(self, call: Call) -> None:
        """A request's answer was handed to the socket. Its tensors are not kept."""
        for part, watch in self._watching:
            try:
                watch(call)
            except Exception as error:
                self._fault(part, error)

    def shed(self, reason: str) -> None:
        """A request was turned away early: `queue_full`, `rate_limit`, `deadline`, `memory`, `draining`, …"""
        self.meter.count("skylift_shed_total", reason)

    def snapshot(self) -> Snapshot:
        """All that was counted since the start."""
        whole = self.meter.snapshot()
        whole.gauges = self._gauges()
        whole.process = process_of_ours()
        whole.info = self._info
        return whole

    def reopen(self) -> None:
        """Go on in new log files: the old ones were moved away."""
        if self._access_log is not None:
            self._access_log.reopen()

    def close(self) -> None:
        """Write what is left. Takes seconds at most; nothing is watched any more."""
        if self._access_log is not None:
            self._access_log.close()

    def _line_dropped(self, lines: int) -> None:
        self.meter.count("skylift_log_lines_dropped_total", "access", lines)

    def _fault(self, part: str, error: Exception) -> None:
        self.meter.count("skylift_watch_errors_total", part)
        if part not in self._faults:
            self._faults.add(part)
            log.event("watching_failed", part=part, message=f"{type(error).__name__}: {error}")
