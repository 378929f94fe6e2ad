"""Who began a trace, and whether a request is part of one: https://www.w3.org/TR/trace-context/ and OTEL_TRACES_SAMPLER."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

from serving import log

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LOW = (1 << 64) - 1


class Parent(NamedTuple):
    trace_id: int
    span_id: int
    is_sampled: bool


def parent_of(traceparent: str) -> Parent | None:
    """What the header says; None where there is none, or one that the recommendation says to ignore."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if version == "ff" or (version == "00" and rest) or not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1))


class Sampler(NamedTuple):
    """Decides as OpenTelemetry's own samplers do, without their cost.

    Args:
        ratio: of the traces that begin here, 0 to 1; by the trace's id, so that all who decide agree.
        follows_parent: whether a trace that began elsewhere goes on as it began.
    """

    ratio: float = 1.0
    follows_parent: bool = True

    def takes(self, traceparent: str) -> tuple[int, Parent | None] | None:
        """The trace's id, and whose child the request is; None: it is not traced."""
        parent = parent_of(traceparent)
        if parent is not None and self.follows_parent:
            return (parent.trace_id, parent) if parent.is_sampled else None
        trace_id = parent.trace_id if parent is not None else random.getrandbits(128) or 1
        if (trace_id & _LOW) >= round(self.ratio * (_LOW + 1)):
            return None
        return trace_id, parent


_KNOWN = {"always_on": 1.0, "always_off": 0.0, "traceidratio": None}


def sampler_of(environ: Mapping[str, str]) -> Sampler:
    """OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG; what is wrong in them is named in the log and left, as the specification says."""
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    kind = name.removeprefix("parentbased_")
    if kind not in _KNOWN:
        log.event(
            "option_ignored",
            message=f"OTEL_TRACES_SAMPLER={name!r} is not known; parentbased_always_on is taken",
            hint=f"one of {', '.join(_KNOWN)}, or parentbased_ before it",
        )
        return Sampler()
    ratio = _KNOWN[kind]
    if ratio is None:
        ratio = _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", ""))
    return Sampler(ratio, name.startswith("parentbased_"))


def _ratio(text: str) -> float:
    try:
        ratio = float(text) if text.strip() else 1.0
    except ValueError:
        ratio = -1.0
    if 0.0 <= ratio <= 1.0:
        return ratio
    log.event(
        "option_ignored",
        message=f"OTEL_TRACES_SAMPLER_ARG={text!r} is no ratio from 0 to 1; all traces are taken",
        hint="write 0.1 for every tenth",
    )
    return 1.0
