"""The two text formats that Prometheus reads: its own 0.0.4 and OpenMetrics 1.0.

https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from serving.watch.snapshots import OTHER

Kind = Literal["counter", "gauge", "histogram"]

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def wants_open(accept: str) -> bool:
    """Whether a request's `Accept` prefers OpenMetrics to plain text; one that names neither gets plain text."""
    qualities = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        if kind.lower() in qualities:
            qualities[kind.lower()] = max(qualities[kind.lower()], quality)
    return qualities["application/openmetrics-text"] > qualities["text/plain"]


def escape(value: str) -> str:
    """A label's value between its quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def labels(**values: object) -> str:
    return ",".join([f'{name}="{escape(str(value))}"' for name, value in values.items()])


def version_text(version: int) -> str:
    """A version's number; `other` for those that are summed up, empty where no version was found."""
    return "other" if version == OTHER else str(version) if version else ""


class Page:
    """Collects lines. A family is begun, then its samples are given."""

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self._lines: list[str] = []
        self._name = ""

    @property
    def content_type(self) -> str:
        return OPEN if self.is_open else PLAIN

    def family(self, name: str, kind: Kind, help_text: str) -> None:
        """`name` as its samples have it. OpenMetrics has no counter without `_total`; TensorFlow Serving does: those are of
        unknown type there.
        """
        self._name = name
        shown: str = kind
        if self.is_open and kind == "counter":
            shown = "counter" if name.endswith("_total") else "unknown"
            name = name.removesuffix("_total")
        self._lines.append(f"# HELP {name} {help_text}")
        self._lines.append(f"# TYPE {name} {shown}")

    def sample(self, label_text: str, value: float) -> None:
        self._lines.append(f"{self._name}{{{label_text}}} {value}" if label_text else f"{self._name} {value}")

    def histogram(self, label_text: str, bounds: Sequence[float], counts: Sequence[float]) -> None:
        """Buckets, sum and count of a histogram of `serving.watch.histograms`."""
        name, lines = self._name, self._lines
        before = f"{name}_bucket{{{label_text}," if label_text else f"{name}_bucket{{"
        behind = f"{{{label_text}}}" if label_text else ""
        seen = 0
        for bound, count in zip(self._bounds(bounds), counts, strict=False):
            seen += int(count)
            lines.append(f'{before}le="{bound}"}} {seen}')
        lines.append(f"{name}_sum{behind} {counts[-1]}")
        lines.append(f"{name}_count{behind} {seen}")

    def _bounds(self, bounds: Sequence[float]) -> list[str]:
        """Six digits, as TensorFlow Serving writes them; OpenMetrics wants a point in each."""
        texts = [f"{bound:g}" for bound in bounds]
        if self.is_open:
            texts = [text if "." in text or "e" in text else f"{text}.0" for text in texts]
        return [*texts, "+Inf"]

    def encode(self) -> bytes:
        end = ["# EOF", ""] if self.is_open else [""]
        return "\n".join([*self._lines, *end]).encode("utf-8", "replace")
