"""What optimising a model found, as the training program tells it and commands show it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from skylift.artifacts.records import FormatName, PublishedModel


class Form(msgspec.Struct):
    """One form of a model.

    Args:
        value: the task's first metric on the test split; None where there are no data to judge by.
        loss: against the original, in points of accuracy, or the relative growth of an error.
        ms_batch_1, ms_batch_32: milliseconds a call, the median.
    """

    method: str
    runtime: str
    format: FormatName
    bytes: int
    gzip_bytes: int
    value: float | None = None
    loss: float | None = None
    ms_batch_1: float = 0.0
    ms_batch_32: float = 0.0
    verdict: Literal["original", "accepted", "refused", "unjudged"] = "accepted"
    details: dict[str, Any] = {}


class Skipped(msgspec.Struct):
    """A method that gave nothing, and why."""

    method: str
    why: str
    hint: str = ""


class Choice(msgspec.Struct):
    """What to take; method None: the original."""

    method: str | None
    text: str


class Optimized(msgspec.Struct):
    """All of `skylift optimize`. `failure` says why nothing was published although it was asked for."""

    model: str
    metric: str
    max_loss: float
    test_rows: int
    rows: list[Form]
    skipped: list[Skipped]
    notes: list[str]
    choice: Choice
    machine: str
    published: PublishedModel | None = None
    published_method: str | None = None
    failure: str = ""
