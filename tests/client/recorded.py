"""Runs as their records tell them, without a process behind them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import msgspec

from skylift.artifacts import chunks, layout, runs
from skylift.artifacts.records import Event, PublishedModel, RunResult, RunSpec, RunStatus, Transition, now
from skylift.client.training import Run
from tests.client.conftest import StackBench

HOST = socket.gethostname()


def recorded(bench: StackBench, state: Any = None, pid: int | None = None, **changes: Any) -> Run:
    """A run as its records tell it, without a process behind it."""
    run_id = runs.next_run_id(bench.keep, bench.work.clock())
    plain: dict[str, Any] = {"recipe": "mnist", "model": "mnist", "stack": "local", "target": "local", **changes}
    spec = RunSpec(id=run_id, created=now(), by="test", keep=bench.keep.url, work=bench.work.url, **plain)
    runs.create_run(bench.keep, spec)
    if state is not None:
        beat(bench, run_id, state, pid)
    return Run(bench.stack, run_id)


def beat(bench: StackBench, run_id: str, state: Any, pid: int | None = None, message: str = "") -> None:
    history = [Transition(state="queued", at=now()), Transition(state="running", at=now())]
    status = RunStatus(id=run_id, state=state, beat=now(), host=HOST, pid=pid, message=message, history=history)
    runs.write_status(bench.work, status)


def age(bench: StackBench, run: Run, seconds: float) -> None:
    """As if its last sign of life were older."""
    for key, folder in ((layout.live_status(run.id), bench.work_folder), (layout.run_spec(run.id), bench.keep_folder)):
        path = folder / key
        if path.exists():
            moment = path.stat().st_mtime - seconds
            os.utime(path, (moment, moment))


def end(bench: StackBench, run: Run, state: Any, **facts: Any) -> None:
    runs.write_result(bench.keep, RunResult(id=run.id, state=state, started=now(), ended=now(), **facts))


def tell(bench: StackBench, run: Run, *events: Event | bytes) -> None:
    writer = chunks.ChunkWriter(bench.work, layout.events(run.id), ".jsonl")
    for event in events:
        writer.write(event if isinstance(event, bytes) else msgspec.json.encode(event) + b"\n")
    writer.close()


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


MODEL = PublishedModel(name="mnist", digest="d" * 64, version=1)
