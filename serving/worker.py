"""A worker process: answers requests on the socket it was given, loads and switches as the supervisor says.

`python -P -m serving.worker LISTENING_FD CONTROL_FD OPTIONS_JSON`. It ends when the supervisor ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from serving import control, log
from serving.http.listener import Listener
from serving.http.messages import Exchange
from serving.http.routes import Routes
from serving.models import Models
from serving.options import WorkerOptions
from serving.traffic import Traffic
from skylift.errors import MachineError, SkyliftError

SUPERVISOR_GONE_SECONDS = 1.0
COUNTED_SECONDS = 1.0
"""Between two reports of what was answered: what a worker that is killed takes with it."""


class Worker:
    """The loop's side: carries out orders in turn, loads beside them."""

    def __init__(self, options: WorkerOptions, listening: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._listening = listening
        self._models = Models(options, loop)
        self._listener = Listener(options.limits, Routes(self._models).handle, loop, self._answered)
        self._traffic = Traffic()
        self._loading: dict[asyncio.Task[None], int] = {}

    async def run(self, channel: socket.socket) -> int:
        reader, self._writer = await asyncio.open_unix_connection(sock=channel)
        control.send(self._writer, control.Started())
        self._count()
        while (order := await control.orders(reader)) is not None:
            if isinstance(order, control.Drain):
                await self._drain(order.seconds)
                return 0
            self._carry_out(order)
        # Without its supervisor a worker must not hold the port: another supervisor may want it.
        await self._drain(SUPERVISOR_GONE_SECONDS)
        return 1

    def _carry_out(self, order: control.Order) -> None:
        match order:
            case control.Load():
                task = asyncio.get_running_loop().create_task(self._load(order))
                self._loading[task] = order.deployment
                task.add_done_callback(self._loading.pop)
            case control.Switch():
                self._models.switch(order.deployment)
                control.send(self._writer, control.Switched(order.deployment))
            case control.Unload():
                for task, deployment in list(self._loading.items()):
                    if deployment == order.deployment:
                        task.cancel()
                self._models.unload(order.deployment)
            case control.Accept():
                self._listener.accept_from(self._listening)
            case control.Tell():
                self._models.notes = order.notes
                if order.is_ready:
                    self._models.readiness = "ready"

    async def _load(self, order: control.Load) -> None:
        try:
            served = await self._models.load(order.deployment, order.model, Path(order.folder))
        except Exception as error:
            failed = _failure(order.deployment, error)
            control.send(self._writer, failed)
            return
        control.send(self._writer, control.Loaded(order.deployment, served.loaded.backend.name))

    async def _drain(self, seconds: float) -> None:
        self._models.readiness = "draining"
        if not await self._listener.drain(seconds):
            log.event("cut_off", after_seconds=seconds, pid=os.getpid())
        self._tell_traffic()
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def _answered(self, exchange: Exchange, status: int) -> None:
        if exchange.request.target[:4].lower() == b"/v1/":
            self._traffic.add(status, self._listener.now() - exchange.began)

    def _count(self) -> None:
        self._tell_traffic()
        asyncio.get_running_loop().call_later(COUNTED_SECONDS, self._count)

    def _tell_traffic(self) -> None:
        if self._traffic.count:
            control.send(self._writer, control.Counted(self._traffic))
            self._traffic = Traffic()


def _failure(deployment: int, error: Exception) -> control.Failed:
    if isinstance(error, SkyliftError):
        return control.Failed(deployment, error.kind, error.message, error.hint)
    if isinstance(error, MemoryError):
        lacking = MachineError("not enough memory", hint="use a machine with more memory, or fewer workers")
        return control.Failed(deployment, lacking.kind, lacking.message, lacking.hint)
    return control.Failed(deployment, "deploy", f"{type(error).__name__}: {error}", "see the server's log")


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process with its supervisor, even where it hangs; elsewhere the channel's end does."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it went before we could ask


def main(arguments: Sequence[str]) -> int:
    listening_fd, control_fd, parent, options_json = arguments
    die_with_parent(int(parent))
    # A terminal's Ctrl-C and an init system's SIGTERM reach the whole group; the supervisor says what to do about them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    options = msgspec.json.decode(options_json, type=WorkerOptions)
    listening = socket.socket(fileno=int(listening_fd))
    channel = socket.socket(fileno=int(control_fd))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(options, listening, channel))
    return 1


async def _run(options: WorkerOptions, listening: socket.socket, channel: socket.socket) -> None:
    code = await Worker(options, listening, asyncio.get_running_loop()).run(channel)
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
