"""What the engine does, as it happens: making itself, changing resources."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from types import FrameType

    from skylift.cli._progress import Spinner
    from skylift.engine import BuildProgress, Message, OnEvent, ResourceStep, Summary

_COLOURS = {"create": "green", "update": "yellow", "replace": "magenta", "delete": "red", "refresh": "cyan"}
_SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-", "refresh": "↻"}


class BuildBar:
    """Shows how far the making of the engine is; draws nothing until there is something to make."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._told = ""

    def __call__(self, progress: BuildProgress) -> None:
        if self._quiet:
            return
        left = "" if progress.seconds_left is None else f"about {progress.seconds_left / 60:.1f} min left"
        if not sys.stderr.isatty():
            tenth = progress.done * 10 // progress.total if progress.total else 0
            line = f"  {progress.stage}" + (f" {tenth * 10}%" if progress.total else "")
            if line != self._told:
                self._told = line
                click.echo(f"{line} {left}".rstrip(), err=True)
            return
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            from skylift.cli._progress import console

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[left]}"),
            )
            self._bar = Progress(*columns, console=console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", left="")
        total = progress.total or None
        self._bar.update(self._task, description=progress.stage, completed=progress.done, total=total, left=left)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def steps(title: str, *, quiet: bool, listed: bool = True) -> Iterator[OnEvent]:
    """Print each resource as it is changed, below a title that turns while the engine works.

    An interrupt is passed on: the engine ends what it is at, so that state stays true; then Interrupted is raised.

    Args:
        listed: print the resources; without, only the title turns and what the program says is printed.
    """
    from skylift.cli._errors import Interrupted
    from skylift.cli._progress import spinner
    from skylift.engine import Message

    with spinner(title, quiet=quiet) as turning, _announcing(turning):

        def show(event: ResourceStep | Message) -> None:
            text = describe(event) if listed or isinstance(event, Message) else ""
            if text:
                turning.line(text)
            elif getattr(event, "state", "") == "started":
                turning(f"{title} {getattr(event, 'name', '')}")

        try:
            yield show
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted while {title}; the engine has stopped", "the same command again goes on"
            ) from None


@contextmanager
def _announcing(turning: Spinner) -> Iterator[None]:
    """Say at once that an interrupt was heard; the engine may need seconds to end."""

    def heard(number: int, frame: FrameType | None) -> None:
        turning.line("stopping in order; Ctrl-C twice more kills the engine")
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def describe(event: ResourceStep | Message) -> str:
    """A line for a resource that has been changed or could not be; nothing for what stays."""
    from skylift.engine import Message

    if isinstance(event, Message):
        word = {"warning": click.style("warning", fg="yellow"), "info": "note"}.get(event.severity)
        return f"  {word} {event.text}" if word else ""
    if event.op not in _SIGNS or event.op == "refresh" or event.state == "started":
        return ""
    if event.kind == "Stack" or "pulumi:providers" in event.urn:
        return ""
    sign = click.style(_SIGNS[event.op], fg=_COLOURS[event.op])
    failed = click.style(" failed", fg="red") if event.state == "failed" else ""
    changed = f"  [{', '.join(event.changed)}]" if event.changed else ""
    return f"  {sign} {event.kind} {event.name}{changed}{failed}"


def planned(summary: Summary) -> None:
    """Print what would be changed."""
    for one in summary.steps:
        if one.op in _SIGNS and one.kind != "Stack":
            changed = f"  [{', '.join(one.changed)}]" if one.changed else ""
            click.echo(f"  {click.style(_SIGNS[one.op], fg=_COLOURS[one.op])} {one.kind} {one.name}{changed}")


def counted(summary: Summary) -> str:
    """`2 created, 4 unchanged`."""
    words = {"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced", "same": "unchanged"}
    return ", ".join(f"{count} {words[op]}" for op, count in summary.changes.items() if op in words) or "nothing there"


def plain(summary: Summary) -> dict[str, Any]:
    """A summary for `--json`."""
    changed = [
        {"op": one.op, "kind": one.kind, "name": one.name, "changed": list(one.changed)} for one in summary.steps
    ]
    return {"changes": summary.changes, "steps": changed, "seconds": round(summary.seconds, 2)}
