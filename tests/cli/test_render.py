"""Tables and progress for people."""

from __future__ import annotations

import json
import sys

import pytest

from skylift.artifacts.records import ModelRef
from skylift.cli import _progress, _render
from skylift.client.training import Update

ROWS = [("20261123t011732-941cd3", "accuracy 97.5%, loss 0.07901, and many more", "4 s", "")]
COLUMNS = ["run", "~test", ">begun", "why"]


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is a terminal of some width."""

    def arrange(columns: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))

    return arrange


def test_on_a_pipe_nothing_is_cut(capsys):
    _render.table(COLUMNS, ROWS * 2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("".join(ROWS[0][:2]).split()[-1] in line for line in lines[2:])
    assert not any("\x1b" in line or line.endswith(" ") for line in lines)


def test_a_column_without_values_is_left_out(capsys):
    _render.table(COLUMNS, ROWS)
    assert "why" not in capsys.readouterr().out


def test_ids_stay_whole_on_a_narrow_terminal(capsys, terminal):
    terminal(45)
    _render.table(COLUMNS, ROWS)
    shown = capsys.readouterr().out
    assert "20261123t011732-941cd3" in shown
    assert len(shown.splitlines()) > 3, "the text wraps instead"
    assert "…" not in shown


def test_markup_in_values_is_text(capsys):
    _render.table(["name"], [("[red]x[/red]",)])
    assert "[red]x[/red]" in capsys.readouterr().out


def test_an_empty_table_says_so(capsys):
    _render.table(["name"], [], empty="no runs yet")
    assert capsys.readouterr().out == "no runs yet\n"


def test_records_become_json(capsys):
    _render.print_json({"ref": ModelRef(name="m", version=2, digest="d" * 64), "text": "×"})
    shown = capsys.readouterr().out
    assert '"version": 2' in shown and "×" in shown


def test_a_run_on_a_pipe_is_a_line_a_stage_and_a_line_an_epoch(capsys):
    loading = Update(state="running", stage="loading data")
    first = Update(state="running", stage="epoch 1 of 2", step=1, steps=4, epoch=1, epochs=2, metrics={"loss": 1.0})
    ended = Update(
        stage="epoch 1 of 2", step=2, steps=4, epoch=1, epochs=2, finished_epoch=1, epoch_metrics={"accuracy": 0.5}
    )
    with _progress.TrainingBar() as bar:
        for update in (loading, loading, first, ended, ended):
            bar.show(update)
    assert capsys.readouterr().err == "  loading data\n  epoch 1/2  accuracy 50.0%\n"


def test_a_run_on_a_terminal_shows_epoch_metrics_and_what_is_left(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    seconds = iter([0.0, 10.0, 10.0])
    bar = _progress.TrainingBar()
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(seconds, 10.0))
    first = Update(stage="epoch 1 of 2", step=0, steps=400, epoch=1, epochs=2, metrics={"loss": 1.0})
    assert bar._left(first) == ""
    assert bar._left(Update(step=100, steps=400)) == "0:30 left"


def test_quiet_prints_nothing(capsys):
    with _progress.TrainingBar(quiet=True) as bar, _progress.spinner("x", quiet=True) as say:
        bar.show(Update(stage="loading data"))
        say("y")
        say.line("z")
    assert capsys.readouterr() == ("", "")


def test_numbers_that_json_has_not_become_text(capsys: pytest.CaptureFixture[str]) -> None:
    _render.print_json({"raw": [float("nan"), float("-inf"), 0.5]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"raw": ["nan", "-inf", 0.5]}
