"""The picture of the page: bars as SVG text, with colours of its own for light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 800.0, 320.0, 60.0
BAR, STEP, TOP = 16.0, 23.0, 34.0

STYLE = """\
svg { font: 13px system-ui, sans-serif; --ink: #1d2733; --faint: #5d6b7a; --grid: #d9e0e7; --paper: #fff;
  --ours: #1f6feb; --theirs: #8b98a7; --limit: #2a9d5c }
@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --faint: #9aa7b4; --grid: #2d3743; --paper: #0d1117;
  --ours: #58a6ff; --theirs: #6e7b89; --limit: #3fb970 } }
text { fill: var(--ink) } .faint { fill: var(--faint); font-size: 12px } .title { font-weight: 600 }
.paper { fill: var(--paper) } .ours { fill: var(--ours) } .theirs { fill: var(--theirs) } .limit { fill: var(--limit) }
.grid { stroke: var(--grid) }"""


@dataclass(frozen=True)
class Bar:
    """`kind` is a class of the style: `ours`, `theirs` or `limit`."""

    name: str
    value: float
    kind: str


@dataclass(frozen=True)
class Panel:
    """Bars below a title. On a logarithmic scale lengths begin at the power of ten below the least value."""

    title: str
    bars: Sequence[Bar]
    is_logarithmic: bool = False

    @property
    def height(self) -> float:
        return TOP + STEP * len(self.bars) + 26


def picture(title: str, panels: Sequence[Panel]) -> str:
    """The panels below each other, as a whole file."""
    at, parts = 8.0, []
    for panel in panels:
        parts.append(f'<g transform="translate(0 {at:.0f})">{_panel(panel)}</g>')
        at += panel.height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {at:.0f}" width="{WIDTH:.0f}" role="img">'
    paper = f'<rect class="paper" width="{WIDTH:.0f}" height="{at:.0f}"/>'
    return (
        f"{head}\n<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n{paper}\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(panel: Panel) -> str:
    values = [bar.value for bar in panel.bars]
    place, ticks = _logarithmic(values) if panel.is_logarithmic else _linear(values)
    bottom = TOP + STEP * len(panel.bars)
    parts = [f'<text class="title" x="12" y="18">{escape(panel.title)}</text>']
    for tick in ticks:
        x = place(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4:.0f}" y2="{bottom:.0f}"/>')
        parts.append(f'<text class="faint" x="{x:.1f}" y="{bottom + 14:.0f}" text-anchor="middle">{short(tick)}</text>')
    for number, bar in enumerate(panel.bars):
        parts.append(_bar(bar, TOP + STEP * number, place))
    return "\n".join(parts)


def _bar(bar: Bar, y: float, place: Callable[[float], float]) -> str:
    end, middle = place(bar.value), y + BAR - 3
    return (
        f'<text x="{LEFT - 8:.0f}" y="{middle:.0f}" text-anchor="end">{escape(bar.name)}</text>'
        f'<rect class="{bar.kind}" x="{LEFT:.0f}" y="{y:.0f}" width="{max(end - LEFT, 1):.1f}" height="{BAR:.0f}" rx="2"/>'
        f'<text x="{end + 5:.1f}" y="{middle:.0f}">{short(bar.value)}</text>'
    )


def _linear(values: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    most = max(values, default=1.0) or 1.0
    step = next(size for size in _round_numbers() if most / size <= 6)
    ticks = [step * number for number in range(math.floor(most / step) + 1)]
    return (lambda value: LEFT + (WIDTH - LEFT - RIGHT) * value / most), ticks


def _logarithmic(values: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    first = math.floor(math.log10(min(values)))
    last = max(math.ceil(math.log10(max(values))), first + 1)
    width = (WIDTH - LEFT - RIGHT) / (last - first)
    return (lambda value: LEFT + width * (math.log10(value) - first)), [10.0**power for power in range(first, last + 1)]


def _round_numbers() -> list[float]:
    return [factor * 10.0**power for power in range(-6, 12) for factor in (1, 2, 5)]


def short(value: float) -> str:
    """Numbers that are read off, not computed with.

    Examples:
        >>> short(12345.6), short(0.1234), short(2.0)
        ('12,346', '0.123', '2')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
