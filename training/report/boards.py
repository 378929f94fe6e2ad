"""Runs as TensorBoard shows them: its event files, made of our own events, beside which nothing else need be kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from skylift.artifacts import layout, runs
from skylift.artifacts.chunks import ChunkReader
from skylift.artifacts.records import Event, RunSpec
from skylift.store import Store


class Board:
    """One run's files: `<folder>/<run>/train` and `…/validation`, scalars by step; more at every `write`."""

    def __init__(self, keep: Store, work: Store, run_id: str, folder: Path) -> None:
        self._spec: RunSpec = runs.read_spec(keep, run_id)
        self._lines = ChunkReader(work, layout.events(run_id))
        self._rest = b""
        self._folder = folder / run_id
        self._writers: dict[str, Any] = {}
        self._tell_asked()

    def write(self) -> int:
        """Add what is new; how many events."""
        whole, newline, self._rest = (self._rest + self._lines.read()).rpartition(b"\n")
        events = [msgspec.json.decode(line, type=Event) for line in (whole + newline).splitlines()]
        for event in events:
            if event.kind in ("step", "epoch", "test"):
                self._scalars(event)
        for writer in self._writers.values():
            writer.flush()
        return len(events)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _scalars(self, event: Event) -> None:
        for name, value in event.metrics.items():
            side = "test" if event.kind == "test" else "validation" if name.startswith("val_") else "train"
            tag = name.removeprefix("val_") + ("/step" if event.kind == "step" else "")
            self._add(side, event, tag, value)

    def _add(self, side: str, event: Event, tag: str, value: float) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2

        summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
        at = event.at.timestamp()
        self._writer(side).add_event(event_pb2.Event(wall_time=at, step=event.step, summary=summary))

    def _tell_asked(self) -> None:
        """What was asked, as a table of the page of texts."""
        from tensorboard.compat.proto import event_pb2
        from tensorboard.plugins.text.summary_v2 import text_pb

        spec = self._spec
        asked = {"recipe": spec.recipe, "data": spec.dataset, "seed": spec.seed, "workers": spec.workers}
        rows = "\n".join(f"| {name} | {value} |" for name, value in (asked | spec.hyperparameters).items())
        summary = text_pb("asked", f"| name | value |\n|---|---|\n{rows}")
        at = spec.created.timestamp()
        self._writer("train").add_event(event_pb2.Event(wall_time=at, step=0, summary=summary))

    def _writer(self, side: str) -> Any:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if side not in self._writers:
            self._writers[side] = EventFileWriter(str(self._folder / side))
        return self._writers[side]


LOOK_SECONDS = 2.0


def write_once(keep: Store, work: Store, ids: Sequence[str], folder: Path) -> int:
    """Write what there is of these runs; how many events."""
    boards = [Board(keep, work, each, folder) for each in ids]
    events = sum(board.write() for board in boards)
    for board in boards:
        board.close()
    return events


def serve(keep: Store, work: Store, ids: Sequence[str], folder: Path, port: int) -> int:
    """Show the runs at http://127.0.0.1:PORT and bring them up to date, until TensorBoard ends; its exit code."""
    boards = [Board(keep, work, each, folder) for each in ids]
    command = [sys.executable, "-P", "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    # In a group of its own: Ctrl-C is for us, and TensorBoard would answer it with a traceback.
    shown = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--reload_interval", "2", "--load_fast", "false"], process_group=0
    )
    try:
        while True:
            for board in boards:
                board.write()
            with suppress(subprocess.TimeoutExpired):
                return shown.wait(LOOK_SECONDS)
    except KeyboardInterrupt:
        return 0
    finally:
        shown.terminate()
        shown.wait()
        for board in boards:
            board.close()
