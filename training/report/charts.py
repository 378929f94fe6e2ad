"""Charts as SVG text. Colours are CSS variables of the page, so that they follow its light or dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 460.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 12.0, 40.0
POINTS = 500
"""Most points of a scatter plot; more only hide each other."""


@dataclass(frozen=True)
class Series:
    """A line: values by epoch from 1 on, or by what the picture has across. NaN leaves a gap."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values inside the axis, about `wanted` of them."""
        rough = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [round(index * step, 12) for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def lines(
    title: str,
    series: Sequence[Series],
    *,
    marked: int | None = None,
    across: Sequence[int] | None = None,
    label: str = "epoch",
) -> Markup:
    """Values by epoch, with the epoch `marked` named as the best; or by the whole numbers `across`, which rise."""
    places = list(across) if across is not None else list(range(1, max(len(each.values) for each in series) + 1))
    finite = [value for each in series for value in each.values if math.isfinite(value)] or [0.0]
    x = _padded(1, max(places[-1], 2), LEFT, WIDTH - RIGHT, 0.0)
    y = _padded(min(finite), max(finite), HEIGHT - BOTTOM, TOP)
    whole = [tick for tick in x.ticks(min(8, max(places[-1] - 1, 1))) if tick == int(tick)]
    parts = [_frame(x, y, whole, label)]
    if marked is not None:
        at = x.at(marked)
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for number, each in enumerate(series, 1):
        parts.append(_line(each, places, x, y, number, label))
    return _svg(title, parts)


def scatter(title: str, across: Sequence[float], up: Sequence[float], labels: tuple[str, str]) -> Markup:
    """Pairs of values on equal axes with the line where both are the same; an even choice where there are many."""
    step = max(1, math.ceil(len(across) / POINTS))
    pairs = [(a, b) for a, b in zip(across[::step], up[::step], strict=True) if math.isfinite(a) and math.isfinite(b)]
    values = [value for pair in pairs for value in pair] or [0.0]
    x = _padded(min(values), max(values), LEFT, WIDTH - RIGHT)
    y = _padded(min(values), max(values), HEIGHT - BOTTOM, TOP)
    same = f'<line class="mark" x1="{x.at(x.low):.1f}" y1="{y.at(x.low):.1f}" x2="{x.at(x.high):.1f}" y2="{y.at(x.high):.1f}"/>'
    dots = [
        f'<circle class="dot" cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="3"><title>{_short(a)}, {_short(b)}</title></circle>'
        for a, b in pairs
    ]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    upward = f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{escape(labels[1])}</text>'
    return _svg(title, [_frame(x, y, x.ticks(), labels[0]), upward, same, *dots])


def _line(series: Series, places: Sequence[int], x: Axis, y: Axis, number: int, label: str) -> str:
    points = [(place, value) for place, value in zip(places, series.values, strict=False) if math.isfinite(value)]
    path = " ".join(f"{x.at(place):.1f},{y.at(value):.1f}" for place, value in points)
    dots = "".join(
        f'<circle class="s{number}" cx="{x.at(place):.1f}" cy="{y.at(value):.1f}" r="{3 if len(points) <= 40 else 1.5}">'
        f"<title>{escape(series.name)}, {escape(label)} {place}: {_short(value)}</title></circle>"
        for place, value in points
    )
    return f'<polyline class="s{number}" points="{path}"/>{dots}'


def _frame(x: Axis, y: Axis, across: Sequence[float], label: str) -> str:
    parts = []
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    for tick in across:
        parts.append(
            f'<text x="{x.at(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(tick)}</text>'
        )
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(label)}</text>')
    return "".join(parts)


def _svg(title: str, parts: Sequence[str]) -> Markup:
    body = "".join(parts)
    head = f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(title)}">'
    return Markup(f"{head}{body}</svg>")  # noqa: S704  every text in it was escaped above


def _padded(low: float, high: float, start: float, end: float, share: float = 0.06) -> Axis:
    if high <= low:
        low, high = low - 0.5 * max(abs(low), 1e-6), high + 0.5 * max(abs(high), 1e-6)
    room = (high - low) * share
    return Axis(low - room, high + room, start, end)


def _short(value: float) -> str:
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
