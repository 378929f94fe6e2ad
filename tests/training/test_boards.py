"""TensorBoard reads what is written for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import layout
from skylift.artifacts.chunks import ChunkWriter
from skylift.errors import NotFoundError
from training.loop.events import EventLog
from training.report.boards import Board, write_once

pytestmark = pytest.mark.filterwarnings("default")  # TensorBoard's own


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(each.step, round(each.value, 4)) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_curves_lie_side_by_side_by_step(bench: Any, tmp_path: Path) -> None:
    run = bench.ask("mnist", hp={"learning_rate": 0.5})
    events = EventLog(bench.work, run)
    for epoch, loss in enumerate((3.0, 2.0), 1):
        events.write("step", step=10 * epoch - 5, epoch=epoch, metrics={"loss": loss + 0.5})
        events.write("epoch", step=10 * epoch, epoch=epoch, metrics={"loss": loss, "val_loss": loss + 0.1})
    events.write("test", step=20, metrics={"loss": 2.2})
    events.close()
    assert write_once(bench.keep, bench.work, [run], tmp_path / "logs") == 5
    folder = tmp_path / "logs" / run
    assert scalars(folder / "train") == {"loss": [(10, 3.0), (20, 2.0)], "loss/step": [(5, 3.5), (15, 2.5)]}
    assert scalars(folder / "validation") == {"loss": [(10, 3.1), (20, 2.1)]}
    assert scalars(folder / "test") == {"loss": [(20, 2.2)]}


def test_a_run_at_work_is_followed_and_half_a_line_waits_for_its_end(bench: Any, tmp_path: Path) -> None:
    run = bench.ask("mnist")
    lines = ChunkWriter(bench.work, layout.events(run), ".jsonl")
    board = Board(bench.keep, bench.work, run, tmp_path)
    line = b'{"at": "2026-01-01T00:00:00Z", "kind": "epoch", "step": 7, "epoch": 1, "metrics": {"loss": 1.5}}\n'
    lines.write(line[:40])
    lines.flush()
    assert board.write() == 0
    lines.write(line[40:])
    lines.flush()
    assert board.write() == 1 and board.write() == 0
    board.close()
    assert scalars(tmp_path / run / "train") == {"loss": [(7, 1.5)]}


def test_no_such_run(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        write_once(bench.keep, bench.work, ["20200101t000000-abcdef"], tmp_path)
    assert not list(tmp_path.rglob("*.tfevents*"))
