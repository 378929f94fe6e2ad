"""The worker processes: starts them, restarts the dead, and brings all of them from one deployment to the next together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

import msgspec

from serving import control, log
from serving.notes import VersionNote
from serving.options import WorkerOptions
from serving.traffic import Traffic
from skylift.errors import DeployError, SkyliftError

HEALTHY_SECONDS = 10.0
"""A worker that lived so long is restarted at once; one that did not, after ever longer pauses."""
PAUSES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LAST_WORDS_SECONDS = 1.0
"""For what a worker that has ended had said before."""
DEATHS_BY_LOAD = 2
"""So many workers may die while they load a deployment before it is given up."""


class LoadError(Exception):
    """Workers could not load a deployment; `cause` says why."""

    def __init__(self, cause: SkyliftError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class _RefusedError(SkyliftError):
    """A worker's error, as it came over the channel."""

    def __init__(self, failed: control.Failed) -> None:
        super().__init__(failed.message, hint=failed.hint)
        self.kind = failed.kind  # type: ignore[misc]  # of the instance: it is the worker's error


class _Worker:
    """One process and its channel."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self.reader = reader
        self.writer = writer
        self.loaded: dict[int, str] = {}
        self.serving: int | None = None
        self.is_started = False
        self.is_accepting = False

    def send(self, order: control.Order) -> None:
        control.send(self.writer, order)

    def accept(self) -> None:
        if not self.is_accepting:
            self.is_accepting = True
            self.send(control.Accept())


class Pool:
    """`count` workers on one listening socket.

    Args:
        changed: called when a worker came, went, loaded or switched.
    """

    def __init__(
        self, count: int, listening: socket.socket, options: WorkerOptions, changed: Callable[[], None]
    ) -> None:
        self._count = count
        self._listening = listening
        self._options = msgspec.json.encode(options).decode()
        self._changed = changed
        self._workers: dict[int, _Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._serving: control.Load | None = None
        self._loading: control.Load | None = None
        self._outcome: asyncio.Future[None] | None = None
        self._deaths = 0
        self._is_ready = False
        self._notes: list[VersionNote] = []
        self._is_ending = False
        self._traffic = Traffic()

    @property
    def ready_workers(self) -> int:
        """Workers that take connections and, where something is deployed, answer for it."""
        wanted = self._serving.deployment if self._serving else None
        return sum(worker.is_accepting and worker.serving == wanted for worker in self._workers.values())

    @property
    def backend(self) -> str:
        if self._serving is None:
            return ""
        names = (worker.loaded.get(self._serving.deployment, "") for worker in self._workers.values())
        return next((name for name in names if name), "")

    def start(self) -> None:
        self._keepers = [asyncio.create_task(self._keep(slot)) for slot in range(self._count)]

    async def load(self, order: control.Load) -> None:
        """Have every worker load and warm a deployment beside what answers.

        Raises:
            LoadError: one of them cannot; all have let it go again.
        """
        self._loading = order
        self._deaths = 0
        self._outcome = asyncio.get_running_loop().create_future()
        self._send_all(order)
        self._check_loaded()
        try:
            await self._outcome
        except LoadError:
            self._send_all(control.Unload(order.deployment))
            for worker in self._workers.values():
                worker.loaded.pop(order.deployment, None)
            raise
        finally:
            self._loading = None

    async def switch(self, order: control.Load) -> None:
        """Have every worker answer with a deployment that all have loaded; returns when they do."""
        before, self._serving = self._serving, order
        for worker in self._workers.values():
            if order.deployment in worker.loaded:
                worker.send(control.Switch(order.deployment))
            elif worker.is_started:
                worker.send(order)  # it came a moment ago; it switches when it has loaded
        while any(worker.serving != order.deployment for worker in self._workers.values()):
            await asyncio.sleep(0.002)
        for worker in self._workers.values():
            if before is not None and before.deployment != order.deployment:
                worker.loaded.pop(before.deployment, None)
        self._changed()

    def tell(self, *, is_ready: bool, notes: Sequence[VersionNote]) -> None:
        """Let every worker know what the replica is."""
        self._is_ready = is_ready
        self._notes = list(notes)
        self._send_all(control.Tell(is_ready, self._notes))

    def take_traffic(self) -> Traffic:
        """What all workers have answered since this was last asked."""
        taken, self._traffic = self._traffic, Traffic()
        return taken

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """End all workers within `seconds`, at once when `hurry` is set. Their last counts are there when it returns."""
        self._is_ending = True
        for slot, keeper in enumerate(self._keepers):
            if slot not in self._workers:
                keeper.cancel()
        for worker in self._workers.values():
            worker.send(control.Drain(seconds))
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds + 2.0
        while any(worker.process.poll() is None for worker in self._workers.values()):
            if hurry.is_set() or loop.time() > ends:
                break
            await asyncio.sleep(0.02)
        for worker in self._workers.values():
            await _end(worker.process)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=LAST_WORDS_SECONDS)
        for keeper in self._keepers:
            keeper.cancel()
        self._workers.clear()

    def _send_all(self, order: control.Order) -> None:
        """To those that run; one that is just starting is told all it needs when it reports."""
        for worker in self._workers.values():
            if worker.is_started:
                worker.send(order)

    # one slot

    async def _keep(self, slot: int) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        is_first = True
        while True:
            began = loop.time()
            try:
                code = await self._live(slot, is_first=is_first)
            except OSError as error:  # no memory, no process or file handle left: perhaps later
                log.event("worker_not_started", worker=slot, message=str(error))
                code = None
            if self._is_ending:
                return
            is_first = False
            failures = 0 if loop.time() - began > HEALTHY_SECONDS else failures + 1
            pause = PAUSES[min(max(failures - 1, 0), len(PAUSES) - 1)]
            log.event("worker_died", worker=slot, code=code, restart_in_s=pause)
            await asyncio.sleep(pause)

    async def _live(self, slot: int, *, is_first: bool) -> int | None:
        """One worker from its start to its end; its exit code."""
        worker = await self._start(slot)
        try:
            while (report := await control.reports(worker.reader)) is not None:
                self._hear(slot, worker, report, is_first=is_first)
        finally:
            if not self._is_ending:
                self._workers.pop(slot, None)
            worker.writer.close()
        await _end(worker.process)
        if not self._is_ending:
            self._count_death()
            self._changed()
        return worker.process.returncode

    async def _start(self, slot: int) -> _Worker:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "serving.worker", str(self._listening.fileno()), str(theirs.fileno())]
        process = subprocess.Popen(
            [*command, str(os.getpid()), self._options],
            pass_fds=(self._listening.fileno(), theirs.fileno()),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        worker = self._workers[slot] = _Worker(process, reader, writer)
        log.event("worker_started", worker=slot, pid=process.pid)
        return worker

    def _hear(self, slot: int, worker: _Worker, report: control.Report, *, is_first: bool) -> None:
        if isinstance(report, control.Counted):
            self._traffic.merge(report.traffic)
            return
        if self._is_ending:
            return
        match report:
            case control.Started():
                self._welcome(worker, is_first=is_first)
            case control.Loaded():
                worker.loaded[report.deployment] = report.backend
                if self._serving is not None and report.deployment == self._serving.deployment:
                    worker.send(control.Switch(report.deployment))
                self._check_loaded()
            case control.Switched():
                worker.serving = report.deployment
                worker.accept()
            case control.Failed():
                self._refused(slot, worker, report)
        self._changed()

    def _welcome(self, worker: _Worker, *, is_first: bool) -> None:
        worker.is_started = True
        worker.send(control.Tell(self._is_ready, self._notes))
        if self._serving is not None:
            worker.send(self._serving)
        if self._loading is not None:
            worker.send(self._loading)
        if is_first or self._serving is None:
            # A successor takes connections only when it can answer them; until then they wait in the socket's backlog.
            worker.accept()

    def _refused(self, slot: int, worker: _Worker, report: control.Failed) -> None:
        if self._loading is not None and report.deployment == self._loading.deployment:
            self._settle(LoadError(_RefusedError(report)))
        elif self._serving is not None and report.deployment == self._serving.deployment:
            log.event("worker_cannot_load", worker=slot, message=report.message, hint=report.hint)
            worker.process.kill()  # its successor tries again, after a pause that grows

    def _count_death(self) -> None:
        if self._loading is None:
            return
        self._deaths += 1
        if self._deaths >= DEATHS_BY_LOAD:
            self._settle(
                LoadError(
                    DeployError(
                        f"deployment {self._loading.deployment} was given up: {self._deaths} workers died while they loaded it",
                        hint="it may need more memory than there is; see the server's log",
                    )
                )
            )

    def _check_loaded(self) -> None:
        if self._loading is None or len(self._workers) < self._count:
            return
        if all(self._loading.deployment in worker.loaded for worker in self._workers.values()):
            self._settle(None)

    def _settle(self, error: LoadError | None) -> None:
        if self._outcome is None or self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(error)


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that a worker is gone: it should be, by itself."""
    with contextlib.suppress(ProcessLookupError):
        if await asyncio.to_thread(_wait, process, 0.5) is None:
            process.kill()
            await asyncio.to_thread(_wait, process, 5.0)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
