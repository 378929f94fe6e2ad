"""How values become text: tables for people, JSON for machines. Loaded by commands, never at start-up."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

_ENDLESS = 100_000
_NARROW = 14
"""A column of words is not squeezed below this; a line that is then too long is left to the terminal."""


def print_json(value: Any) -> None:
    """Any of our values as JSON. NaN and infinities, for which JSON has no number, become text."""
    plain = _finite(msgspec.to_builtins(value, str_keys=True, enc_hook=_plain))
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "nothing yet") -> None:
    """A table. On a pipe nothing is cut off or coloured; a column without a single value is left out.

    Args:
        columns: names; `>` before one sets it right, `~` lets it wrap where the terminal is narrow. All others never wrap: ids, URLs and
            names are there to be copied.
    """
    listed = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not listed:
        click.secho(empty, dim=True)
        return
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    filled = [number for number in range(len(columns)) if any(row[number] for row in listed)]
    for number in filled:
        wraps = columns[number].startswith("~")
        longest = max(len(row[number]) for row in listed)
        drawn.add_column(
            Text(columns[number].lstrip(">~")),
            justify="right" if columns[number].startswith(">") else "left",
            no_wrap=not wraps,
            min_width=min(longest, _NARROW) if wraps else None,
            overflow="fold",
        )
    for row in listed:
        drawn.add_row(*(Text(row[number]) for number in filled))
    least = Measurement.get(Console(width=_ENDLESS), Console(width=_ENDLESS).options, drawn)
    wide = min(least.maximum, Console().width) if sys.stdout.isatty() else least.maximum
    out = Console(width=max(least.minimum, wide), highlight=False)
    with out.capture() as text:
        out.print(drawn, crop=False)
    click.echo("\n".join(line.rstrip() for line in text.get().splitlines()))


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one a line, names padded; what is None or empty is left out."""
    shown = [(name, str(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")


def heading(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def next_steps(*steps: tuple[str, str]) -> None:
    """What to type next: pairs of command and what it does."""
    width = max(len(command) for command, _ in steps)
    click.echo()
    click.secho("Next:", bold=True)
    for command, what in steps:
        click.echo(f"  {click.style(command.ljust(width), fg='cyan')}  {what}")


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in one unit: `4 s`, `12 min`, `3 h`, `9 d`."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return f"{duration(max(seconds, 0))} ago"


def duration(seconds: float) -> str:
    """A length of time in one unit.

    Examples:
        >>> duration(0.4), duration(59), duration(61), duration(7200), duration(200_000)
        ('0 s', '59 s', '1 min', '2 h', '2 d')
    """
    for unit, length, limit in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 86400)):
        if seconds < limit:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86400)} d"


def size(count: float) -> str:
    """Bytes in a unit of 1024.

    Examples:
        >>> size(512), size(2048), size(5 * 1024**3)
        ('512 B', '2.0 KiB', '5.0 GiB')
    """
    if count < 1024:
        return f"{int(count)} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def metric(name: str, value: float) -> str:
    """A metric for people: accuracy in percent, everything else with four digits."""
    shown = name.replace("_", " ") if not name.startswith("val_") else name
    return f"{shown} {value:.1%}" if name.endswith("accuracy") else f"{shown} {value:.4g}"


IN_A_LINE = 2
"""Metrics that a table has room for."""

_FIRST = ("loss", "accuracy", "mean_absolute_error", "mean_squared_error")
"""What people look at first, with or without `val_` before it."""


def metrics(values: dict[str, float], most: int | None = None) -> str:
    """Metrics between commas, the first `most` of them."""

    def turn(name: str) -> tuple[bool, int, str]:
        plain = name.removeprefix("val_")
        return name != plain, _FIRST.index(plain) if plain in _FIRST else len(_FIRST), name

    return ", ".join(metric(name, values[name]) for name in sorted(values, key=turn)[:most])
