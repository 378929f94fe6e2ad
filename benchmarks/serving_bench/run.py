"""A whole run: which sections, in which order, with what."""

from __future__ import annotations

import functools
import math
import tempfile
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from benchmarks.serving_bench import asking, large, machine, many, matrix, model, overload, starting, subjects, switches
from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.figures import Claim, reason
from benchmarks.serving_bench.load import wrk
from benchmarks.serving_bench.matrix import Say, Subject
from benchmarks.serving_bench.model import Model
from benchmarks.serving_bench.ours import Bench
from benchmarks.serving_bench.peers import running as peers
from benchmarks.serving_bench.report import Report, promised

SECTIONS = ("servers", "overload", "starts", "many", "switches", "large")


@dataclass(frozen=True)
class Plan:
    """What is asked for. `seconds` are those of each cell."""

    cache: Path
    seconds: float
    rounds: int
    sections: list[str]
    peers: list[str]
    is_quick: bool


class Result(Protocol):
    def claims(self) -> list[Claim]: ...

    def plain(self) -> dict[str, Any]: ...


class Run:
    """One run. What fails is named in the report and the rest goes on."""

    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._cpus = machine.cpus()
        say("models")
        model.make(plan.cache)
        self._model = model.cnn(plan.cache)
        self._images = model.images(plan.cache)
        self._rows = self._model.rows(1)
        self._bench = _bench(folder / "cnn", self._model)
        self._image_bench = _bench(folder / "images", self._images)
        generator = "wrk" if wrk.is_there() else "a generator of our own (wrk is not there)"
        self.report = Report(machine.describe(), plan.seconds, plan.rounds, generator)

    def servers(self) -> None:
        plan, expected = self._plan, computed(self._model, self._rows)
        ours = subjects.all_of(self._bench, self._model, self._rows, len(self._cpus))
        if plan.is_quick:
            ours = [replace(ours[0], connections=(1, 64)), *(replace(one, connections=(64,)) for one in ours[1:])]
        self.report.settings.update({one.name: one.note for one in ours})
        measured = matrix.measure(
            [*ours, *self._peers(expected)],
            self._model,
            expected,
            seconds=plan.seconds,
            rounds=plan.rounds,
            cpus=self._cpus,
            say=self._say,
        )
        measured.skipped = {**self.report.measured.skipped, **measured.skipped}
        self.report.measured = measured
        self.report.claims += promised(measured, len(self._cpus))

    def _peers(self, expected: Any) -> Iterable[Subject]:
        for key in self._plan.peers:
            self._say(f"installing {key}")
            try:
                subject = peers.subject(key, self._plan.cache, self._model, self._rows, expected, len(self._cpus))
            except (RuntimeError, OSError) as error:
                self.report.measured.skipped[peers.name_of(key), ""] = reason(error)
                continue
            self.report.settings[subject.name] = subject.note
            yield subject

    def overload(self) -> None:
        for make in (asking.v2_binary, asking.tfs_json):
            ask = make(self._model.name, self._rows)
            measure = functools.partial(overload.measure, self._bench, ask, self._plan.seconds, self._cpus)
            self._add("overload", measure, ask.way)

    def starts(self) -> None:
        asks = [make(self._model.name, self._rows) for make in (asking.v2_binary, asking.tfs_json)]
        self._add("starts", lambda: starting.measure(self._bench, asks, self._plan.seconds))

    def many(self) -> None:
        self._add("many", many.measure)

    def switches(self) -> None:
        ask: Ask = asking.v2_binary(self._model.name, self._rows)
        self._add("switches", lambda: switches.measure(self._bench, self._model, ask, len(self._cpus)))

    def large(self) -> None:
        for kind in large.kinds(self._model, self._images):
            if self._plan.is_quick and kind.is_huge:
                continue
            bench = self._bench if kind.model is self._model else self._image_bench
            measure = functools.partial(large.measure, bench, kind, self._plan.seconds, self._cpus)
            self._add("large", measure, kind.name)

    def _add(self, section: str, measure: Callable[[], Result], name: str = "") -> None:
        try:
            result = measure()
        except Exception as error:
            if not isinstance(error, RuntimeError):
                traceback.print_exc()
            key = f"{section}, {name}" if name else section
            self.report.left_out[key] = reason(error)
            self.report.claims.append(Claim(section, name or section, None, math.nan, note=reason(error)))
            return
        self.report.details.setdefault(section, []).append(result.plain())
        self.report.claims += result.claims()


def run(plan: Plan, say: Say) -> Report:
    """Measure the sections of a plan, one after the other."""
    with tempfile.TemporaryDirectory(prefix="serving-bench-") as folder:
        made = Run(plan, Path(folder), say)
        for section in SECTIONS:
            if section in plan.sections:
                say(section)
                getattr(made, section)()
    return made.report


def computed(one: Model, rows: Any) -> Any:
    """What the model answers."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(one.onnx), providers=["CPUExecutionProvider"])
    return session.run(None, {model.INPUT: rows})[0]


def _bench(folder: Path, one: Model) -> Bench:
    folder.mkdir()
    bench = Bench(folder)
    bench.deploy(bench.publish(one))
    return bench
