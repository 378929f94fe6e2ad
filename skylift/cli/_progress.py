"""Progress of long work: bars on a terminal, one line now and then on a pipe, nothing with `--json`."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from skylift.client.training import Update

Bytes = Callable[[int, int, str], None]

_TOO_SOON = 2.0
"""The first steps are slow and say nothing of the others [s]."""


def console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


@contextlib.contextmanager
def bytes_bar(title: str, *, quiet: bool = False) -> Iterator[Bytes]:
    """A bar for work measured in bytes: gives a function of (done, in all, current file)."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, name: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[name]}"),
    )
    bar = Progress(*columns, console=console(), transient=True)
    task = bar.add_task(title, total=None, name="")

    def show(done: int, total: int, name: str) -> None:
        bar.start()  # only now: nothing may have to be moved at all
        bar.update(task, completed=done, total=total, name=name)

    try:
        yield show
    finally:
        bar.stop()


class Spinner:
    """Turns while something of unknown length is done, with its seconds. Call it to change the text."""

    def __init__(self, text: str, *, quiet: bool = False) -> None:
        self._text = text
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Spinner:
        if not self._quiet and sys.stderr.isatty():
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console(), transient=True)
            self._task = self._bar.add_task(self._text, total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, text: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=text)

    def line(self, text: str) -> None:
        """Print a line that stays, above what turns."""
        if self._quiet:
            return
        if self._bar is None:
            click.echo(text, err=True)
            return
        from rich.text import Text

        self._bar.console.print(Text.from_ansi(text), soft_wrap=True)


def spinner(text: str, *, quiet: bool = False) -> Spinner:
    """For work whose length nobody knows; on a pipe and with `--json` nothing turns."""
    return Spinner(text, quiet=quiet)


class TrainingBar:
    """A run as it goes: epoch, loss, accuracy, remaining time. On a pipe a line a stage and a line an epoch."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._epoch = 0
        self._stage = ""
        self._began: tuple[float, int] | None = None

    def __enter__(self) -> TrainingBar:
        if not self._quiet and sys.stderr.isatty():
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[left]}"),
                TextColumn("[dim]{task.fields[text]}"),
            )
            self._bar = Progress(*columns, console=console(), transient=True)
            self._task = self._bar.add_task("waiting", total=None, left="", text="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, update: Update) -> None:
        """Draw one update of client.training.follow."""
        if self._quiet:
            return
        if self._bar is not None:
            self._draw(update)
        elif update.stage != self._stage:
            self._stage = update.stage
            if update.stage and not _is_epoch(update.stage):  # an epoch gets a line when it ends
                click.echo(f"  {update.stage}", err=True)
        if update.finished_epoch > self._epoch:
            self._epoch = update.finished_epoch
            self._line(update)

    def _draw(self, update: Update) -> None:
        from skylift.cli._render import metrics

        stepping = bool(update.steps) and _is_epoch(update.stage)
        self._bar.update(
            self._task,
            description=f"epoch {max(update.epoch, 1)}/{update.epochs}" if stepping else (update.stage or update.state),
            total=update.steps if stepping else None,
            completed=update.step if stepping else 0,
            left=self._left(update) if stepping else "",
            text=metrics(update.metrics) if stepping else "",
        )

    def _left(self, update: Update) -> str:
        """Remaining time by the steps seen here: a resumed run does not count what others did."""
        now = time.monotonic()
        if self._began is None:
            self._began = (now, update.step)
        return remaining(update.step - self._began[1], update.steps - update.step, now - self._began[0])

    def _line(self, update: Update) -> None:
        from skylift.cli._render import metrics

        line = f"  epoch {update.finished_epoch}/{update.epochs}  {metrics(update.epoch_metrics)}"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            click.echo(line, err=True)


def _is_epoch(stage: str) -> bool:
    return stage == "training" or stage.startswith("epoch ")


def remaining(done: int, to_do: int, seconds: float) -> str:
    """How long the rest takes at the pace so far.

    Examples:
        >>> remaining(100, 300, 30.0), remaining(10, 1000, 9.0), remaining(0, 300, 1.0)
        ('1:30 left', '15:00 left', '')
    """
    if done <= 0 or seconds < _TOO_SOON:
        return ""
    left = round(to_do * seconds / done)
    hours, minutes = divmod(left // 60, 60)
    return (f"{hours}:{minutes:02}:{left % 60:02}" if hours else f"{minutes}:{left % 60:02}") + " left"
