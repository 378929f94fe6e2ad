"""A peer from its start to its end."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving_bench import asking
from benchmarks.serving_bench.matrix import Subject
from benchmarks.serving_bench.model import Model
from benchmarks.serving_bench.peers import environments
from benchmarks.serving_bench.peers.known import APPS, PEERS, Peer, Start
from benchmarks.serving_bench.processes import end

READY_SECONDS = 180.0


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int | None = None
    is_secure: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid


def subject(key: str, cache: Path, model: Model, rows: Any, expected: Any, workers: int) -> Subject:
    """A peer, installed.

    Raises:
        RuntimeError: it cannot be installed.
    """
    peer = PEERS[key]
    if peer.requirements:
        folder = environments.make(cache, key, peer.requirements)
        said = environments.version(folder, peer.package)
    else:
        folder, said = _of_path(), ""
    name = f"{peer.name} {said}".strip()
    asks = peer.asks(rows)

    def start() -> contextlib.AbstractContextManager[Running]:
        return _running(peer, folder, model, asks[0], expected, workers)

    return Subject(name, start, asks, peer.connections, peer.settings)


def name_of(key: str) -> str:
    return PEERS[key].name


@contextlib.contextmanager
def _running(peer: Peer, folder: Path, model: Model, ask: asking.Ask, expected: Any, workers: int) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as scratch:
        first, second, third, fourth = free_ports(4)
        start = Start(Path(scratch), (first, second, third, fourth), workers, model)
        command = peer.command(start)
        command[0] = str(folder / "bin" / command[0])
        more = {
            "BENCH_ONNX": str(model.onnx),
            "BENCH_KERAS": str(model.folder / "model.keras"),
            "BENCH_WORKERS": str(workers),
            "PYTHONPATH": str(APPS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
            "LIT_NO_TELEMETRY": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        log = Path(scratch) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=scratch,
                env=environments.surroundings(folder, more),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        running = Running(process, start.port)
        try:
            _wait(running, ask, expected, log)
            yield running
        finally:
            end(process)


def _wait(running: Running, ask: asking.Ask, expected: Any, log: Path) -> None:
    ends = time.monotonic() + READY_SECONDS
    while wrong := asking.problem(running.port, ask, expected):
        if running.process.poll() is not None or time.monotonic() > ends:
            tail = log.read_text(errors="replace").strip()[-400:]
            raise RuntimeError(f"{wrong}; its log ends: {tail}")
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _of_path() -> Path:
    program = shutil.which("tensorflow_model_server")
    if program is None:
        raise RuntimeError(
            "not run: no tensorflow_model_server on PATH (it is published as a container and a Debian package)"
        )
    return Path(program).parent.parent
