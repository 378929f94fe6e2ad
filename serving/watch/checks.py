"""Whether what is asked for can be had: every mistake at once, before a worker is started."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from serving.watch.options import Redaction, SampleOptions, WatchOptions
from skylift.errors import InputError

LEAST_WINDOW = 200
"""Rows of which an index says anything: below, chance alone moves it."""


def check(options: WatchOptions) -> None:
    """
    Raises:
        InputError: names everything that is wrong.
    """
    problems = [*_of_metrics(options), *of_samples(options.samples)]
    problems += [
        f"drift: a window of {rows} rows is too small; {LEAST_WINDOW} are the fewest"
        for rows in options.drift.windows
        if rows < LEAST_WINDOW
    ]
    if not options.drift.per_second > 0:
        problems.append(f"drift: per_second {options.drift.per_second} is not above 0")
    refuse(problems)


def refuse(problems: list[str]) -> None:
    if problems:
        raise InputError("; ".join(problems), hint="docs/serving-watching.md has the limits")


def _of_metrics(options: WatchOptions) -> list[str]:
    problems = [
        f"metrics: {name} {getattr(options, name)} is not above 0"
        for name in ("versions", "models")
        if getattr(options, name) < 1
    ]
    if not 0.0 <= options.access_log_rate <= 1.0:
        problems.append(f"access log: rate {options.access_log_rate} is not within 0 to 1")
    if options.access_log not in ("off", "stderr") and not Path(options.access_log).parent.is_dir():
        problems.append(f"access log: there is no folder {Path(options.access_log).parent}")
    return problems


def of_samples(options: SampleOptions) -> list[str]:
    """What is wrong with them."""
    problems = []
    if not 0.0 <= options.rate <= 1.0:
        problems.append(f"samples: rate {options.rate} is not within 0 to 1")
    for name in ("per_minute", "bytes_per_minute", "rows"):
        if getattr(options, name) < 1:
            problems.append(f"samples: {name} {getattr(options, name)} is not above 0")
    return problems + of_redaction(options.redact)


def of_redaction(rules: Redaction) -> list[str]:
    """What is wrong with them."""
    problems = []
    for pattern in rules.patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            problems.append(f"redact.patterns: {pattern!r} is no regular expression: {error}")
    for name in sorted({*rules.inputs} & ({*rules.hash} | {*rules.keep})):
        problems.append(f"redact: {name!r} is to be left out (inputs), and to be stored (hash or keep)")
    for name in sorted({*rules.hash} & {*rules.keep}):
        problems.append(f"redact: {name!r} is to be hashed (hash), and to be stored as it is (keep)")
    if rules.patterns and not rules.keep:
        problems.append("redact.patterns: no text is stored that they could match; name those in redact.keep")
    return problems


def read_redaction(path: Path) -> Redaction:
    """Rules from a YAML or JSON file: `redact: {inputs: […], hash: […], keep: […], patterns: […]}`, with or without `redact`.

    Raises:
        InputError: it cannot be read, or says what cannot be kept.
    """
    try:
        raw = msgspec.yaml.decode(path.read_bytes())
        rules = msgspec.convert(raw.get("redact", raw) if isinstance(raw, dict) else raw or {}, Redaction)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InputError(
            f"{path}: {error}",
            hint="write `redact: {inputs: [names], hash: [names], keep: [names], patterns: [texts]}`",
        ) from None
    refuse([f"{path}: {problem}" for problem in of_redaction(rules)])
    return rules
