"""Whether answers are right: the model `rows` doubles numbers, which json and numpy can do, too."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.fuzzing_parts.answers import Answer, WrongError
from benchmarks.fuzzing_parts.connections import Seen

_ROWS = re.compile(rb"/v1/models/rows[^?#]*:predict(\?.*)?", re.DOTALL)
_V2 = re.compile(rb"/v2/models/rows(/versions/\d+)?/infer(\?.*)?", re.DOTALL)
_ODD = (b"content-encoding", b"accept", b"content-type", b"inference-header-content-length")


def check(seen: Sequence[Seen], answers: Sequence[Answer]) -> int:
    """How many answers could be checked.

    Raises:
        WrongError: other numbers than twice what was sent.
    """
    checked = 0
    for one, answer in zip(seen, answers, strict=False):
        if answer.status != 200 or one.method != b"POST" or any(name in one.headers for name in _ODD):
            continue
        if _ROWS.fullmatch(one.target):
            _compare(one, *_of_rows(one.body), json.loads(answer.plain))
            checked += 1
        elif _V2.fullmatch(one.target):
            sent = json.loads(one.body.decode("utf-8", "surrogateescape"))["inputs"][0]
            told = json.loads(answer.plain)["outputs"][0]
            _same(one, np.ravel(np.array(sent["data"], np.float64)), told["data"])
            checked += 1
    return checked


def _of_rows(body: bytes) -> tuple[str, Any]:
    text = body.decode("utf-8", "surrogateescape").lstrip("\ufeff \t\r\n")
    document, _ = json.JSONDecoder().raw_decode(text)
    if "instances" in document:
        rows = document["instances"]
        return "predictions", [one["x"] if isinstance(one, dict) else one for one in rows]
    sent = document["inputs"]
    return "outputs", sent["x"] if isinstance(sent, dict) else sent


def _compare(one: Seen, key: str, sent: Any, told: Any) -> None:
    _same(one, _numbers(sent), told[key])


def _numbers(sent: Any) -> Any:
    try:
        return np.array(sent, np.float64)
    except OverflowError:  # an integer beyond all floats
        return np.array([[float(str(x)) for x in row] for row in sent], np.float64)


def _same(one: Seen, sent: Any, told: Any) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = np.float32(sent) * np.float32(2)
        given = np.array(told, np.float64).astype(np.float32)
    if wanted.shape != given.shape or not np.array_equal(wanted, given, equal_nan=True):
        raise WrongError(f"twice {one.body[:300]!r} is {str(told)[:300]}")
