"""Calls as the server hands them over, and a reader of what Prometheus is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from serving.calls import Call

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def call(**fields: Any) -> Call:
    """A request that went well: 40 us to parse, 60 us in the queue, 100 us for the batch, 2 ms to run, 50 us to write."""
    at = fields.pop("at", 1000.0)
    usual: dict[str, Any] = {
        "protocol": "tfs-rest",
        "api": "predict",
        "model": "m",
        "version": 3,
        "signature": "serving_default",
        "request_id": "id-1",
        "rows": 1,
        "batch_rows": 1,
        "status": 200,
        "arrived": at,
        "parsed": at + 40e-6,
        "started": at + 100e-6,
        "gathered": at + 200e-6,
        "computed": at + 2200e-6,
        "answered": at + 2250e-6,
    }
    return Call(**{**usual, **fields})


def refused(**fields: Any) -> Call:
    """A request that came no further than its parser."""
    nowhere = {"parsed": 0.0, "started": 0.0, "gathered": 0.0, "computed": 0.0, "batch_rows": 0, "rows": 0}
    return call(**{**nowhere, "status": 400, "error": "bad", **fields})


class Samples:
    """A page, read as Prometheus reads it: every line must be one that it takes."""

    def __init__(self, page: bytes) -> None:
        self.types: dict[str, str] = {}
        self.values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.order: list[str] = []
        for line in page.decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} comes twice"
                self.types[name] = kind
            elif not line.startswith("#"):
                self._read(line)

    def _read(self, line: str) -> None:
        match = _SAMPLE.fullmatch(line)
        assert match is not None, line
        name, labels, value = match.groups()
        found = _LABEL.findall(labels or "")
        assert ",".join(f'{key}="{text}"' for key, text in found) == (labels or ""), line
        key = (name, frozenset(found))
        assert key not in self.values, f"{line} comes twice"
        self.values[key] = float(value)
        self.order.append(name)

    def __call__(self, metric: str, /, **labels: object) -> float:
        return self.values[metric, frozenset((name, str(value)) for name, value in labels.items())]

    def of(self, metric: str) -> Mapping[frozenset[tuple[str, str]], float]:
        return {labels: value for (found, labels), value in self.values.items() if found == metric}
