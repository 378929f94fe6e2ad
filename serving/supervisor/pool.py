"""The worker processes: starts them, restarts the dead, and brings all of them from one deployment to the next together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import count as numbers_from
from typing import Literal

import msgspec

from serving import control, log
from serving.interface import Code
from serving.notes import VersionNote
from serving.options import WorkerOptions
from serving.supervisor.trial import Trial
from serving.traffic import Traffic
from skylift.errors import DeployError, SkyliftError, UnreachableError

HEALTHY_SECONDS = 10.0
"""A worker that lived so long is restarted at once; one that did not, after ever longer pauses."""
PAUSES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LAST_WORDS_SECONDS = 1.0
"""For what a worker that has ended had said before."""
SNAPSHOT_SECONDS = 1.0
"""How long a busy worker may take to say what it has counted; then what it said last is told."""
DEATHS_BY_LOAD = 2
"""So many workers may die while they load a deployment before it is given up."""


Standby = Literal["auto", "always", "never"]


class LoadError(Exception):
    """Workers could not load a deployment; `cause` says why."""

    def __init__(self, cause: SkyliftError) -> None:
        super().__init__(cause.message)
        self.cause = cause

    @property
    def may_pass(self) -> bool:
        """Whether trying again may help: the server of a remote part does not answer."""
        return self.cause.kind == UnreachableError.kind


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
        self.serial = 0
        """Of the routes by which it answers."""
        self.is_started = False
        self.is_accepting = False
        self.told = 0
        """Number of the last question what it has counted that it answered."""

    def send(self, order: control.Order) -> None:
        control.send(self.writer, order)

    def accept(self) -> None:
        if not self.is_accepting:
            self.is_accepting = True
            self.send(control.Accept())


class _Pending:
    """A version that is being loaded."""

    def __init__(self, order: control.Load) -> None:
        self.order = order
        self.deaths = 0
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, error: LoadError | None) -> None:
        if self.outcome.done():
            return
        if error is None:
            self.outcome.set_result(None)
        else:
            self.outcome.set_exception(error)


class Pool:
    """`count` workers on one listening socket, and perhaps one more that stands by.

    What takes long to load (TensorFlow) gets a standby: a worker that has loaded all the others have and takes connections when one of
    them dies. It needs as much memory again.

    Args:
        changed: called when a worker came, went, loaded or switched.
        snapshot: is told what a worker, by its process id, has counted; an empty text when it has ended.
        asked: answers what a worker's client asks of the supervisor.
        standby: `auto` where a TensorFlow model is served.
        grpc: another listening socket, for gRPC alone.
    """

    def __init__(
        self,
        count: int,
        listening: socket.socket,
        options: WorkerOptions,
        changed: Callable[[], None],
        asked: Callable[[control.Ask], Awaitable[control.Reply]] | None = None,
        snapshot: Callable[[int, str], None] = lambda _, __: None,
        standby: Standby = "auto",
        grpc: socket.socket | None = None,
    ) -> None:
        self._count = count
        self._listening = listening
        self._grpc = grpc
        self._options = msgspec.json.encode(options).decode()
        self._changed = changed
        self._asked = asked
        self._snapshot = snapshot
        self._numbers = numbers_from(1)
        self._standby = standby
        self._workers: dict[int, _Worker] = {}
        self._keepers: dict[int, asyncio.Task[None]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._held: dict[int, control.Load] = {}
        self._pending: dict[int, _Pending] = {}
        self._switch = control.Switch(0, [])
        self._is_ready = False
        self._notes: list[VersionNote] = []
        self._is_ending = False
        self._traffic = Traffic()
        self._trial = Trial()

    @property
    def ready_workers(self) -> int:
        """Workers that take connections and answer by the newest routes."""
        return sum(worker.is_accepting and worker.serial == self._switch.serial for worker in self._workers.values())

    def backend(self, key: int) -> str:
        """What computes a loaded version."""
        names = (worker.loaded.get(key, "") for worker in self._workers.values())
        return next((name for name in names if name), "")

    def start(self) -> None:
        for slot in range(self._count):
            self._keep_slot(slot)
        if self._standby == "always":
            self._keep_slot(self._count)

    def _keep_slot(self, slot: int) -> None:
        if slot not in self._keepers:
            self._keepers[slot] = asyncio.create_task(self._keep(slot))

    async def load(self, order: control.Load) -> None:
        """Have every worker load and warm a version beside what answers.

        Raises:
            LoadError: one of them cannot; all have let it go again.
        """
        pending = self._pending[order.key] = _Pending(order)
        self._send_all(order)
        self._check_loaded()
        try:
            await pending.outcome
        except (LoadError, asyncio.CancelledError):
            self.unload(order.key)
            raise
        finally:
            del self._pending[order.key]
        self._held[order.key] = msgspec.structs.replace(order, has_answered=True)
        if self._standby == "auto" and self.backend(order.key) == "tensorflow":
            self._keep_slot(self._count)

    def unload(self, key: int) -> None:
        """Have every worker free a version that no route names."""
        self._held.pop(key, None)
        self._send_all(control.Unload(key))
        for worker in self._workers.values():
            worker.loaded.pop(key, None)

    async def switch(self, routes: Sequence[control.Route]) -> None:
        """Have every worker answer by these routes, whose versions all have loaded; returns when they do."""
        switch = self._switch = control.Switch(self._switch.serial + 1, list(routes))
        self._trial = Trial()
        for worker in self._workers.values():
            if worker.is_started:
                self._send_routes(worker)
        while any(worker.serial < switch.serial for worker in self._taking()):
            await asyncio.sleep(0.002)
        self._changed()

    def _taking(self) -> list[_Worker]:
        """Workers that take connections: one that does not answers by the newest routes when it begins to."""
        return [worker for worker in self._workers.values() if worker.is_accepting]

    def tell(self, *, is_ready: bool, notes: Sequence[VersionNote]) -> None:
        """Let every worker know what the replica is."""
        self._is_ready = is_ready
        self._notes = list(notes)
        self._send_all(control.Tell(is_ready, self._notes))

    def take_traffic(self) -> Traffic:
        """What all workers have answered since this was last asked."""
        taken, self._traffic = self._traffic, Traffic()
        return taken

    @property
    def trial(self) -> Trial:
        """What a canary and the version beside it have answered since the last switch."""
        return self._trial

    def reopen(self) -> None:
        """Have every worker go on in new log files: the old ones were moved away."""
        self._send_all(control.Reopen())

    async def snapshots(self) -> None:
        """Ask every worker what it has counted, and wait a moment for the answers."""
        number = next(self._numbers)
        asked = [worker for worker in self._workers.values() if worker.is_started]
        for worker in asked:
            worker.send(control.Tally(number))
        loop = asyncio.get_running_loop()
        ends = loop.time() + SNAPSHOT_SECONDS
        while loop.time() < ends and any(one.told < number for one in asked if one.process.poll() is None):
            await asyncio.sleep(0.002)

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """End all workers within `seconds`, at once when `hurry` is set. Their last counts are there when it returns."""
        self._is_ending = True
        for slot, keeper in self._keepers.items():
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
            await asyncio.wait(self._keepers.values(), timeout=LAST_WORDS_SECONDS)
        for keeper in self._keepers.values():
            keeper.cancel()
        self._workers.clear()

    def _send_all(self, order: control.Order) -> None:
        """To those that run; one that is just starting is told all it needs when it reports."""
        for worker in self._workers.values():
            if worker.is_started:
                worker.send(order)

    def _send_routes(self, worker: _Worker) -> None:
        """Once it has loaded all that they name."""
        routed = {key for route in self._switch.routes for key in (*route.versions.values(), route.canary) if key}
        if routed <= worker.loaded.keys():
            worker.send(self._switch)

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
        if not self._is_ending:
            self._promote()
        await _end(worker.process)
        self._snapshot(worker.process.pid, "")
        if not self._is_ending:
            self._count_death(worker)
            self._changed()
        return worker.process.returncode

    async def _start(self, slot: int) -> _Worker:
        ours, theirs = socket.socketpair()
        grpc = str(self._grpc.fileno()) if self._grpc is not None else "-"
        command = [sys.executable, "-P", "-m", "serving.worker", str(self._listening.fileno()), grpc]
        given = [one.fileno() for one in (self._listening, self._grpc, theirs) if one is not None]
        process = subprocess.Popen(
            [*command, str(theirs.fileno()), str(os.getpid()), str(slot), self._options],
            pass_fds=given,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=control.CHANNEL_BYTES)
        worker = self._workers[slot] = _Worker(process, reader, writer)
        log.event("worker_started", worker=slot, pid=process.pid)
        return worker

    def _hear(self, slot: int, worker: _Worker, report: control.Report, *, is_first: bool) -> None:
        match report:
            case control.Counted():
                self._traffic.merge(report.traffic)
                if worker.serial == self._switch.serial:
                    self._trial.merge(report)
                return
            case control.Ask():
                self._answer(worker, report)
                return
            case control.Reported():
                worker.told = report.number
                self._snapshot(worker.process.pid, report.body)
                return
        if self._is_ending:
            return
        match report:
            case control.Started():
                self._welcome(slot, worker, is_first=is_first)
            case control.Loaded():
                worker.loaded[report.key] = report.backend
                if worker.serial < self._switch.serial:
                    self._send_routes(worker)
                self._check_loaded()
            case control.Switched():
                is_first_time = not worker.serial
                worker.serial = report.serial
                self._promote()
                if is_first_time and not worker.is_accepting:
                    log.event("standby_ready", worker=slot)
            case control.Failed():
                self._refused(slot, worker, report)
        self._changed()

    def _welcome(self, slot: int, worker: _Worker, *, is_first: bool) -> None:
        worker.is_started = True
        worker.send(control.Tell(self._is_ready, self._notes))
        for order in self._held.values():
            worker.send(order)
        for pending in self._pending.values():
            worker.send(pending.order)
        if not self._switch.routes:
            worker.send(self._switch)
        if is_first and slot < self._count:
            # A successor takes connections only when it can answer them; until then they wait in the socket's backlog.
            worker.accept()

    def _promote(self) -> None:
        """Let workers that answer by the newest routes take connections, as many as there should be."""
        lacking = self._count - len(self._taking())
        for _, worker in sorted(self._workers.items()):
            if lacking > 0 and not worker.is_accepting and worker.serial == self._switch.serial and worker.is_started:
                worker.accept()
                lacking -= 1

    def _answer(self, worker: _Worker, ask: control.Ask) -> None:
        async def run() -> None:
            if self._asked is None:
                reply = control.Reply(ask.number, int(Code.UNIMPLEMENTED), f"{ask.what} is not served here")
            else:
                reply = await self._asked(ask)
            worker.send(reply)

        task = asyncio.get_running_loop().create_task(run())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _refused(self, slot: int, worker: _Worker, report: control.Failed) -> None:
        pending = self._pending.get(report.key)
        if pending is not None:
            pending.settle(LoadError(_RefusedError(report)))
        elif report.key in self._held:
            log.event("worker_cannot_load", worker=slot, message=report.message, hint=report.hint)
            worker.process.kill()  # its successor tries again, after a pause that grows

    def _count_death(self, worker: _Worker) -> None:
        for pending in self._pending.values():
            if pending.order.key in worker.loaded:
                continue
            pending.deaths += 1
            if pending.deaths >= DEATHS_BY_LOAD:
                order = pending.order
                what = (
                    f"deployment {order.deployment}"
                    if order.deployment is not None
                    else f"{order.name}:{order.version}"
                )
                pending.settle(
                    LoadError(
                        DeployError(
                            f"{what} was given up: {pending.deaths} workers died while they loaded it",
                            hint="it may need more memory than there is; see the server's log",
                        )
                    )
                )

    def _check_loaded(self) -> None:
        serving = [worker for slot, worker in self._workers.items() if slot < self._count]
        if len(serving) < self._count:
            return
        for key, pending in self._pending.items():
            if all(key in worker.loaded for worker in serving):
                pending.settle(None)


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
