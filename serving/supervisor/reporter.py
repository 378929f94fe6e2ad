"""Writes what this replica serves and how it fares into the work bucket: on change, else once a minute."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from serving import log
from serving.supervisor.bucket import Bucket
from skylift.artifacts import endpoints
from skylift.artifacts.records import ReplicaReport
from skylift.errors import SkyliftError

BEAT_SECONDS = 60.0
RETRY_SECONDS = 5.0


class Reporter:
    """One writer for one record. A bucket that cannot be written to does not disturb serving.

    Args:
        compose: the report as things are now.
    """

    def __init__(self, work: Bucket, compose: Callable[[], ReplicaReport]) -> None:
        self._work = work
        self._compose = compose
        self._is_due = asyncio.Event()
        self._problem = ""
        self._is_over = False

    def changed(self) -> None:
        self._is_due.set()

    async def run(self) -> None:
        """Write until `end`."""
        written: ReplicaReport | None = None
        while not self._is_over:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_due.wait(), BEAT_SECONDS if not self._problem else RETRY_SECONDS)
            is_beat = not self._is_due.is_set()
            self._is_due.clear()
            report = self._compose()
            if is_beat or written is None or msgspec.structs.replace(report, updated=written.updated) != written:
                written = report if await self._write(report) else None

    async def end(self, running: asyncio.Task[None]) -> None:
        """Finish the write under way and take the record away: the replica ends as it was meant to."""
        self._is_over = True
        self._is_due.set()
        await running
        report = self._compose()
        try:
            await asyncio.to_thread(endpoints.remove_replica, self._work.store(), report.endpoint, report.replica)
        except SkyliftError as error:
            log.event("report_not_removed", message=error.message)

    async def _write(self, report: ReplicaReport) -> bool:
        try:
            await asyncio.to_thread(endpoints.write_replica, self._work.store(), report)
        except SkyliftError as error:
            if self._problem != error.message:
                self._problem = error.message
                log.event("report_not_written", message=error.message, hint=error.hint)
            return False
        self._problem = ""
        return True
