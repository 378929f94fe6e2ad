"""The one thing that a worker tells of its requests."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from serving import log
from serving.calls import Call
from serving.watch import traces
from serving.watch.access_log import AccessLog
from serving.watch.meter import Meter
from serving.watch.options import WatchOptions
from serving.watch.process import process_of_ours
from serving.watch.request_ids import RequestIds
from serving.watch.snapshots import Gauges, Snapshot
from skylift import __version__

if TYPE_CHECKING:
    from serving.watch.drift import Drift
    from serving.watch.samples import Sampler
    from skylift.artifacts.profile_records import Profile

_Count = Callable[[str, int], None]


class Watcher:
    """Metrics, access log, traces, samples and drift of one worker. A fault in one of them is counted and never reaches a request.

    Everything but `close` is called from the event loop's thread.

    Args:
        gauges: how the worker is right now, asked for each snapshot.
        worker: this process among the replica's, for the names of what it writes.

    Raises:
        InputError: something that is asked for cannot be had.
    """

    def __init__(self, options: WatchOptions, *, gauges: Callable[[], Gauges] = Gauges, worker: int = 0) -> None:
        self._options = options
        self._gauges = gauges
        self._info = {"version": __version__, "python": platform.python_version()}
        self._told: set[str] = set()
        self.meter = Meter(options.versions, options.models)
        self.request_ids = RequestIds()
        self._watching: list[tuple[str, Callable[[Call], None]]] = [("metrics", self.meter.observe)]
        self._access_log: AccessLog | None = None
        self._drift: Drift | None = None
        if options.access_log != "off":
            dropped = self._counter("skylift_log_lines_dropped_total")
            self._access_log = AccessLog(
                options.access_log, options.access_log_rate, lambda lines: dropped("access", lines)
            )
            self._watching.append(("access_log", self._access_log.write))
        service = options.samples.endpoint or "skylift"
        self._tracer = traces.from_environment(os.environ, service, self._counter("skylift_spans_total"))
        if self._tracer is not None:
            self._watching.append(("traces", self._tracer.observe))
        self._sampler = self._make_sampler(worker)
        if self._sampler is not None:
            self._watching.append(("samples", self._sampler.observe))

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

    def loaded(
        self,
        model: str,
        version: int,
        path: str,
        seconds: float,
        *,
        is_loaded: bool = True,
        profile: Profile | None = None,
    ) -> None:
        """A version was read from `path`, or could not be.

        Args:
            profile: of its manifest: its requests are compared with it from now on.
        """
        self.meter.loaded(model, version, path, seconds, is_loaded=is_loaded, at=time.monotonic())
        if profile is None or not is_loaded or not self._options.drift.windows:
            return
        if self._drift is None:
            from serving.watch.drift import Drift

            self._drift = Drift(self._options.drift, self._counter("skylift_drift_skipped_total"))
            self._watching.append(("drift", self._drift.observe))
        self._drift.follow(model, version, profile)

    def warmed(self, model: str, version: int, path: str, seconds: float, *, is_warm: bool = True) -> None:
        """A version was given its first requests."""
        self.meter.warmed(model, version, path, seconds, is_warm=is_warm, at=time.monotonic())

    def unloaded(self, model: str, version: int) -> None:
        """A version was let go; what it has counted stays."""
        if self._drift is not None:
            self._drift.forget(model, version)

    def snapshot(self) -> Snapshot:
        """All that was counted since the start."""
        whole = self.meter.snapshot()
        whole.gauges = self._gauges()
        whole.process = process_of_ours()
        whole.info = self._info
        if self._drift is not None:
            whole.drift = self._drift.gauges()
        return whole

    def reopen(self) -> None:
        """Go on in new log files: the old ones were moved away."""
        if self._access_log is not None:
            self._access_log.reopen()

    def close(self) -> None:
        """Write and send what is left: seconds at most, not for the event loop's thread. Nothing is watched any more."""
        for part in (self._access_log, self._tracer, self._sampler, self._drift):
            if part is not None:
                part.close()

    def _make_sampler(self, worker: int) -> Sampler | None:
        options = self._options.samples
        if not options.work or not options.rate:
            return None
        from serving.supervisor.bucket import Bucket
        from serving.watch.redaction import KEY_VARIABLE
        from serving.watch.samples import Sampler

        bucket = Bucket(options.work)
        return Sampler(
            options,
            lambda key, raw: bucket.store().create(key, raw),
            self._counter("skylift_samples_total"),
            key=os.environ.get(KEY_VARIABLE, "").encode(),
            worker=worker,
        )

    def _counter(self, metric: str) -> _Count:
        return lambda label, more: self.meter.count(metric, label, more)

    def _fault(self, part: str, error: Exception) -> None:
        self.meter.count("skylift_watch_errors_total", part)
        if part not in self._told:
            self._told.add(part)
            log.event("watching_failed", part=part, message=f"{type(error).__name__}: {error}")
