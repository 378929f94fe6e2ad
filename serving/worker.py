"""A worker process: answers requests on the socket it was given, loads and switches as the supervisor says.

`python -P -m serving.worker LISTENING_FD GRPC_FD CONTROL_FD PARENT NUMBER OPTIONS_JSON`. It ends when the supervisor ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from serving import control, log
from serving.calls import Call
from serving.contracts.credentials import use_service_credentials
from serving.counts import Counts
from serving.grpc.entry import Entry
from serving.http.listener import Listener
from serving.http.messages import Exchange
from serving.http.routes import Routes
from serving.interface import Code, StatusError
from serving.models import Models
from serving.options import WorkerOptions
from serving.watch import snapshots
from serving.watch.snapshots import Gauges, VersionGauge
from serving.watch.watcher import Watcher
from skylift.errors import MachineError, SkyliftError

if TYPE_CHECKING:
    from serving.guard.guard import Guard
    from serving.guard.tls import Tls

SUPERVISOR_GONE_SECONDS = 1.0
_NUMBERS = count(1)
SWITCH_SECONDS = 0.0005
"""How long the event loop may keep Python from the thread that computes, when both want it: under overload the loop always does, and with
the usual 5 ms each batch would wait that long, twice."""
GC_THRESHOLDS = (5000, 20, 50)
"""Requests leave no cycles behind, see `Exchange.forget`: the usual (700, 10, 10) took 6 % of the time to find next to nothing."""
COUNTED_SECONDS = 1.0
"""Between two reports of what was answered: what a worker that is killed takes with it."""


class Worker:
    """The loop's side: carries out orders in turn, loads beside them."""

    def __init__(
        self,
        options: WorkerOptions,
        listening: socket.socket,
        loop: asyncio.AbstractEventLoop,
        grpc: socket.socket | None = None,
        number: int = 0,
    ) -> None:
        self._options = options
        self._listening = listening
        self._models = Models(options, loop)
        self._models.manage = self._ask
        self._guard = _guard(options)
        self._tls = _tls(options)
        routes = Routes(self._models, options, loop, self._guard)
        self._listener = Listener(options.limits, routes.handle, loop, self._answered, self._tls)
        self._grpc = Entry(self._models, options, self._guard, self, self._tls, grpc)
        self._counts = Counts()
        self._watcher = Watcher(options.watch, gauges=self._gauges, worker=number)
        routes.desk.watcher = self._watcher
        self._loading: dict[asyncio.Task[None], int] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._asked: dict[int, asyncio.Future[control.Reply]] = {}

    async def run(self, channel: socket.socket) -> int:
        reader, self._writer = await asyncio.open_unix_connection(sock=channel, limit=control.CHANNEL_BYTES)
        control.send(self._writer, control.Started())
        self._count()
        if self._tls is not None:
            self._watching.append(asyncio.create_task(self._tls.refresh()))
        if self._guard is not None:
            await self._guard.look()
            self._watching.append(asyncio.create_task(self._guard.refresh()))
        while (order := await control.orders(reader)) is not None:
            if isinstance(order, control.Drain):
                await self._drain(order.seconds)
                return 0
            if isinstance(order, control.Accept):
                await self._accept()
            else:
                self._carry_out(order)
        # Without its supervisor a worker must not hold the port: another supervisor may want it.
        await self._drain(SUPERVISOR_GONE_SECONDS)
        return 1

    def _carry_out(self, order: control.Order) -> None:
        match order:
            case control.Load():
                task = asyncio.get_running_loop().create_task(self._load(order))
                self._loading[task] = order.key
                task.add_done_callback(self._loading.pop)
            case control.Switch():
                self._tell_traffic()  # so that nothing of it counts for the canary that comes with the new routes
                self._models.switch(order.routes)
                control.send(self._writer, control.Switched(order.serial))
            case control.Unload():
                for task, key in list(self._loading.items()):
                    if key == order.key:
                        task.cancel()
                gone = self._models.unload_version(order.key)
                if gone is not None and self._models.version(gone.name, gone.version) is None:
                    self._watcher.unloaded(gone.name, gone.version)
            case control.Tell():
                self._models.tell(is_ready=order.is_ready, notes=order.notes)
            case control.Reopen():
                self._watcher.reopen()
            case control.Tally():
                body = snapshots.encode(self._watcher.snapshot()).decode()
                control.send(self._writer, control.Reported(order.number, body))
            case control.Reply():
                asked = self._asked.pop(order.number, None)
                if asked is not None and not asked.done():
                    asked.set_result(order)

    async def _accept(self) -> None:
        self._listener.accept_from(self._listening)
        self._listener.http2 = self._grpc.take
        await self._grpc.open()

    async def _load(self, order: control.Load) -> None:
        began = time.monotonic()
        name, number, folder = order.name, order.version, order.folder
        try:
            version = await self._models.load_version(order)
        except Exception as error:
            self._watcher.loaded(name, number, folder, time.monotonic() - began, is_loaded=False)
            control.send(self._writer, _failure(order.key, error))
            return
        # What a model and its libraries have made stays: let the collector look at what requests leave, and at that less often.
        gc.collect()
        gc.freeze()
        loaded = version.loaded
        seconds = time.monotonic() - began
        profile = loaded.manifest.profile if loaded.manifest is not None else None
        self._watcher.loaded(name, number, folder, seconds - loaded.warm_seconds, profile=profile)
        self._watcher.warmed(name, number, folder, loaded.warm_seconds)
        control.send(self._writer, control.Loaded(order.key, loaded.backend.name, round(seconds, 6)))

    async def _ask(self, what: str, body: Any) -> str:
        """Have the supervisor do what one worker cannot.

        Raises:
            StatusError: it was refused.
        """
        number = next(_NUMBERS)
        answer: asyncio.Future[control.Reply] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        control.send(self._writer, control.Ask(number, what, msgspec.json.encode(body).decode()))
        reply = await answer
        if reply.code:
            raise StatusError(Code(reply.code), reply.message)
        return reply.body

    async def _drain(self, seconds: float) -> None:
        self._models.readiness = "draining"
        self._models.drained()
        ended = await asyncio.gather(self._listener.drain(seconds), self._grpc.drain(seconds))
        if not all(ended):
            log.event("cut_off", after_seconds=seconds, pid=os.getpid())
        self._tell_traffic()
        await asyncio.to_thread(self._watcher.close)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def _answered(self, exchange: Exchange, status: int) -> None:
        call = exchange.call
        if call is None:
            if exchange.request.target[:4].lower() == b"/v1/":
                self._counts.add(status, time.monotonic() - exchange.began)
            return
        call.answered = time.monotonic()
        call.status = status
        self.done(call)

    def begin(self, given: str | bytes | None) -> str:
        """The id of a request."""
        return self._watcher.request_ids.of(given)

    def done(self, call: Call) -> None:
        """A call was answered."""
        self._counts.add_call(call, self._models)
        self._watcher.done(call)

    def _gauges(self) -> Gauges:
        return Gauges(
            versions=[
                VersionGauge(
                    model=one.name,
                    version=one.version,
                    platform=one.platform,
                    queue_rows=one.loaded.waiting_rows,
                    is_canary=one.is_canary,
                )
                for one in self._models.all_versions()
            ],
            connections=self._listener.connections + self._grpc.connections,
            in_flight=self._listener.in_flight + self._grpc.in_flight,
            is_ready=self._models.is_ready,
        )

    def _count(self) -> None:
        self._tell_traffic()
        asyncio.get_running_loop().call_later(COUNTED_SECONDS, self._count)

    def _tell_traffic(self) -> None:
        if counted := self._counts.take():
            control.send(self._writer, counted)


def _guard(options: WorkerOptions) -> Guard | None:
    if not options.access:
        return None
    from serving.guard.guard import open_guard

    return open_guard(options.access, workers=options.workers)


def _tls(options: WorkerOptions) -> Tls | None:
    if options.ssl_config:
        from serving.guard import ssl_config

        return ssl_config.read(Path(options.ssl_config))
    if not options.tls_cert:
        return None
    from serving.guard import tls

    return tls.of_files(
        Path(options.tls_cert),
        Path(options.tls_key) if options.tls_key else None,
        Path(options.tls_client_ca) if options.tls_client_ca else None,
        client_verify=not options.tls_client_optional,
    )


def _failure(key: int, error: Exception) -> control.Failed:
    if isinstance(error, SkyliftError):
        return control.Failed(key, error.kind, error.message, error.hint)
    if isinstance(error, MemoryError):
        lacking = MachineError("not enough memory", hint="use a machine with more memory, or fewer workers")
        return control.Failed(key, lacking.kind, lacking.message, lacking.hint)
    return control.Failed(key, "deploy", f"{type(error).__name__}: {error}", "see the server's log")


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process with its supervisor, even where it hangs; elsewhere the channel's end does."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it went before we could ask


def main(arguments: Sequence[str]) -> int:
    listening_fd, grpc_fd, control_fd, parent, number, options_json = arguments
    die_with_parent(int(parent))
    # A terminal's Ctrl-C and an init system's SIGTERM reach the whole group; the supervisor says what to do about them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    options = msgspec.json.decode(options_json, type=WorkerOptions)
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)
    log.use(options.log_format)
    use_service_credentials()
    listening = socket.socket(fileno=int(listening_fd))
    grpc = socket.socket(fileno=int(grpc_fd)) if grpc_fd != "-" else None
    channel = socket.socket(fileno=int(control_fd))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(options, listening, channel, grpc, int(number)))
    return 1


async def _run(
    options: WorkerOptions,
    listening: socket.socket,
    channel: socket.socket,
    grpc: socket.socket | None,
    number: int,
) -> None:
    code = await Worker(options, listening, asyncio.get_running_loop(), grpc, number).run(channel)
    # Threads may be inside a load or a computation that nobody waits for any more: leave without them.
    sys.stderr.flush()
    os._exit(code)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None  # the standard library's loop: slower, the same answers
    return uvloop.Loop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
