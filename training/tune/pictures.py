"""Pictures of trials as SVG text, in the colours of the reports' style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from skylift.artifacts.studies import Parameter, Study, Trial
from training.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis

WIDE = 960.0
LOW, HIGH = HEIGHT - BOTTOM, TOP
"""Pixels of the lower and upper end of what grows upwards."""


def history(study: Study, trials: Sequence[Trial]) -> Markup:
    """What each trial is worth, in the order of their numbers, and the best until then."""
    x = Axis(-0.5, max(trial.number for trial in trials) + 0.5, LEFT, WIDTH - RIGHT)
    y = _worth(trials)
    better = min if study.direction == "minimize" else max
    reached: list[float] = []
    steps = []
    for trial in trials:
        if trial.state == "complete" and trial.value is not None:
            reached.append(trial.value)
        if reached:
            steps.append(f"{x.at(trial.number):.1f},{y.at(better(reached)):.1f}")
    line = f'<polyline class="s3" points="{" ".join(steps)}"/>'
    ticks = [(x.at(tick), _short(tick)) for tick in x.ticks(8) if tick == int(tick)]
    return _svg(
        "value by trial", WIDTH, [_frame(y, ticks, "trial"), line, *(_dot(x.at(t.number), y, t) for t in trials)]
    )


def curves(study: Study, trials: Sequence[Trial], best: Trial | None) -> Markup:
    """The metric by epoch of every trial; the best one stands out."""
    values = [value for trial in trials for _, value in trial.history]
    y = _axis(min(values), max(values), LOW, HIGH, room=0.06)
    x = Axis(1, max(2, *(trial.epochs for trial in trials)), LEFT, WIDTH - RIGHT)
    ticks = [(x.at(tick), _short(tick)) for tick in x.ticks(6) if tick == int(tick)]
    lines = []
    for trial in sorted(trials, key=lambda trial: best is not None and trial.number == best.number):
        points = " ".join(f"{x.at(epoch):.1f},{y.at(value):.1f}" for epoch, value in trial.history)
        title = f"<title>trial {trial.number}, {trial.state}</title>"
        lines.append(f'<polyline class="{_kind(trial, best)}" points="{points}">{title}</polyline>')
    return _svg("value by epoch", WIDTH, [_frame(y, ticks, "epoch"), *lines])


def scatter(study: Study, parameter: Parameter, trials: Sequence[Trial], best: Trial | None) -> Markup:
    """What trials are worth by one parameter's value."""
    y = _worth(trials)
    scale = _Scale(parameter, LEFT + 16, WIDTH - RIGHT - 16)
    label = parameter.name + (" (logarithmic)" if parameter.log else "")
    dots = [_dot(scale.at(trial.values[parameter.name]), y, trial) for trial in trials]
    ring = ""
    if best is not None and best.value is not None:
        at = scale.at(best.values[parameter.name])
        ring = f'<circle class="ring" cx="{at:.1f}" cy="{y.at(best.value):.1f}" r="7"/>'
    return _svg(f"value by {parameter.name}", WIDTH, [_frame(y, scale.ticks(), label), *dots, ring])


def parallel(study: Study, trials: Sequence[Trial], best: Trial | None) -> Markup:
    """One line a trial through an axis a parameter; the last axis is what it is worth, and the line's strength follows it."""
    places = len(study.space)
    across = [70 + (WIDE - 140) * place / places for place in range(places + 1)]
    scales = [_Scale(parameter, LOW, HIGH + 14) for parameter in study.space]
    y = _worth(trials, HIGH + 14)
    parts = []
    for parameter, scale, x in zip(study.space, scales, across, strict=False):
        ticks = "".join(
            f'<text x="{x - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{escape(tick)}</text>'
            for at, tick in scale.ticks()
        )
        parts.append(_upright(x, parameter.name, ticks))
    worth = "".join(
        f'<text x="{across[-1] + 6:.1f}" y="{y.at(tick) + 4:.1f}">{_short(tick)}</text>' for tick in y.ticks()
    )
    parts.append(_upright(across[-1], f"val_{study.metric}", worth))
    turn = -1 if study.direction == "minimize" else 1
    ranked = sorted(trials, key=lambda trial: turn * (trial.value or 0.0))
    for rank, trial in enumerate(ranked, 1):
        heights = [scale.at(trial.values[each.name]) for each, scale in zip(study.space, scales, strict=True)]
        heights.append(y.at(trial.value or 0.0))
        points = " ".join(f"{x:.1f},{at:.1f}" for x, at in zip(across, heights, strict=True))
        kind = _kind(trial, best)
        strength = 1.0 if kind == "best" else 0.12 + 0.6 * rank / len(ranked)
        title = f"<title>trial {trial.number}: {_short(trial.value or 0.0)}</title>"
        parts.append(f'<polyline class="{kind}" style="opacity:{strength:.2f}" points="{points}">{title}</polyline>')
    return _svg("parameters and value of all trials", WIDE, parts)


class _Scale:
    """Maps a parameter's values to pixels, choices at equal distances."""

    def __init__(self, parameter: Parameter, start: float, end: float) -> None:
        self._choices = parameter.choices
        self._log = parameter.log
        if parameter.low is None or parameter.high is None:
            self._axis = Axis(0, max(1, len(parameter.choices) - 1), start, end)
        else:
            self._axis = _axis(self._turned(parameter.low), self._turned(parameter.high), start, end)

    def at(self, value: Any) -> float:
        return self._axis.at(self._choices.index(value) if self._choices else self._turned(value))

    def ticks(self) -> list[tuple[float, str]]:
        if self._choices:
            return [(self.at(choice), str(choice)) for choice in self._choices]
        if not self._log:
            return [(self._axis.at(tick), _short(tick)) for tick in self._axis.ticks()]
        low, high = self._axis.low, self._axis.high
        powers = list(range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1))
        marks = [float(power) for power in powers] if len(powers) > 1 else [low, (low + high) / 2, high]
        return [(self._axis.at(mark), f"{10**mark:.2g}") for mark in marks]

    def _turned(self, value: float) -> float:
        return math.log10(value) if self._log else float(value)


def _worth(trials: Sequence[Trial], high: float = HIGH) -> Axis:
    values = [trial.value for trial in trials if trial.value is not None]
    return _axis(min(values), max(values), LOW, high, room=0.06)


def _axis(low: float, high: float, start: float, end: float, room: float = 0.0) -> Axis:
    if high <= low:
        low, high = low - 0.5 * max(abs(low), 1e-6), high + 0.5 * max(abs(high), 1e-6)
    return Axis(low - room * (high - low), high + room * (high - low), start, end)


def _kind(trial: Trial, best: Trial | None) -> str:
    return "best" if best is not None and trial.number == best.number else trial.state


def _dot(x: float, y: Axis, trial: Trial) -> str:
    value = trial.value or 0.0
    title = f"<title>trial {trial.number}, {trial.state}: {_short(value)}</title>"
    return f'<circle class="{trial.state}" cx="{x:.1f}" cy="{y.at(value):.1f}" r="4">{title}</circle>'


def _frame(y: Axis, across: Sequence[tuple[float, str]], label: str) -> str:
    parts = []
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    parts += [f'<text x="{x:.1f}" y="{LOW + 18}" text-anchor="middle">{escape(tick)}</text>' for x, tick in across]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "".join(parts) + f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(label)}</text>'


def _upright(x: float, name: str, ticks: str) -> str:
    line = f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HIGH + 14}" y2="{LOW}"/>'
    return f'{line}{ticks}<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>'


def _svg(title: str, width: float, parts: Sequence[str]) -> Markup:
    head = f'<svg viewBox="0 0 {width:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(title)}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704  every text in it was escaped above


def _short(value: float) -> str:
    return f"{value:.4g}"
