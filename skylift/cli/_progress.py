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
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task(title, total=None, name="")
        yield lambda done, total, name: bar.update(task, completed=done, total=total, name=name)


@contextlib.contextmanager
def steps_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[float, str], None]]:
    """A bar for work of an estimated share: gives a function of (share done 0 to 1, what happens now)."""
    if quiet:
        yield lambda share, text: None
        return
    if not sys.stderr.isatty():
        yield _seldom(title)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[text]}"),
    )
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task(title, total=1.0, text="")
        yield lambda share, text: bar.update(task, completed=share, text=text[-60:])


def _seldom(title: str) -> Callable[[float, str], None]:
    """On a pipe: one line whenever another tenth is done."""
    seen = [-1]

    def show(share: float, text: str) -> None:
        tenth = int(share * 10)
        if tenth > seen[0]:
            seen[0] = tenth
            click.echo(f"{title}: {share:.0%} {text}".rstrip(), err=True)

    return show


@contextlib.contextmanager
def spinner(text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """For work whose length nobody knows: gives a function that changes the text."""
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    with console().status(text) as status:
        yield lambda text: status.update(text)


class TrainingBar:
    """A run as it goes: epoch, loss, accuracy, remaining time."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._epoch = -1
        self._stage = ""

    def __enter__(self) -> TrainingBar:
        if not self._quiet and sys.stderr.isatty():
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=28),
                TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
                TimeRemainingColumn(),
                TextColumn("[dim]{task.fields[text]}"),
            )
            self._bar = Progress(*columns, console=console(), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, update: Update) -> None:
        """Draw one update of client.training.follow."""
        from skylift.cli._render import metrics

        if self._quiet:
            return
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", total=max(update.steps, 1), text="")
            title = f"epoch {update.epoch}/{update.epochs}" if update.epochs else (update.stage or update.state)
            text = metrics(update.metrics) or update.stage
            self._bar.update(
                self._task, description=title, completed=update.step, total=max(update.steps, 1), text=text
            )
        elif update.stage != self._stage:
            self._stage = update.stage
            if update.stage and not update.stage.startswith("epoch "):  # an epoch gets a line when it ends
                click.echo(f"  {update.stage}", err=True)
        if update.finished_epoch and update.finished_epoch != self._epoch:
            self._epoch = update.finished_epoch
            line = f"  epoch {update.finished_epoch}/{update.epochs}  {metrics(update.epoch_metrics)}"
            (self._bar.console.print(line, highlight=False) if self._bar is not None else click.echo(line, err=True))


@contextlib.contextmanager
def step(title: str, *, quiet: bool = False) -> Iterator[None]:
    """One line that ends in its seconds, for what happens in a few of them."""
    begun = time.monotonic()
    if not quiet:
        click.echo(f"{click.style('→', fg='cyan')} {title}", err=True)
    yield
    if not quiet:
        click.secho(f"  {time.monotonic() - begun:.1f} s", dim=True, err=True)
