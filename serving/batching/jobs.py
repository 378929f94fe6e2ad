"""A request as the batcher sees it, and how it may end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from serving.backends.base import Array, RunError
from serving.interface import Code

Outcome = dict[str, Array] | RunError
Done = Callable[[Outcome], None]
Reason = Literal["queue_full", "queue_seconds", "deadline", "overload", "closed"]

_WHY: dict[Reason, str] = {
    "queue_full": "queue_full: as much waits already as may",
    "queue_seconds": "queue_seconds: it would wait longer than anything may",
    "deadline": "deadline: it would not be computed in the time that it has",
    "overload": "overload: more comes than can be computed",
    "closed": "closed: this version is no longer loaded",
}


@cache
def _shed_message(reason: Reason, retry_after: int) -> str:
    return f"{_WHY[reason]}; try again in {retry_after} s"


class QueueFullError(Exception):
    """This request was not taken, because of those that wait."""


class ShedError(RunError, QueueFullError):
    """Refused, or given up while it waited, because more came than can be computed. Nothing was computed.

    Args:
        retry_after: when trying again may help, for a Retry-After header [whole s, at least 1].
    """

    code = Code.RESOURCE_EXHAUSTED

    def __init__(self, reason: Reason, retry_after: int) -> None:
        super().__init__(_shed_message(reason, retry_after), is_callers_fault=False)
        self.reason: Reason = reason
        self.retry_after = retry_after


class LateError(RunError):
    """The time that the caller gave is over. `is_computing` where the model was at it, and its answer will be thrown away."""

    code = Code.DEADLINE_EXCEEDED

    def __init__(self, *, is_computing: bool = False) -> None:
        what = "the model was still computing" if is_computing else "it had not been computed"
        super().__init__(f"the request's time is over: {what}", is_callers_fault=False)
        self.is_computing = is_computing


@dataclass(slots=True, eq=False)
class Job:
    """One request. `rows` counts against the queue; `key` is equal where requests may be computed together, None alone.

    Args:
        done: is given the outcome, once, in the event loop; never if the job was cancelled.
        deadline: by `time.monotonic`: past it nobody waits for the answer any more.
        outputs: the tensors that are wanted; empty for all. The outcome may hold others, too: those that its batch was asked for.
        started: when it was taken from the queue, by `time.monotonic`; `gathered` and `computed` as in `serving.calls.Call`.
        batch_rows: rows of the batch that it was part of, without padding.
        submitted: when it came into the queue.
        size: bytes of the inputs (of strings: of the pointers).
        is_waiting: it lies in the queue.
        is_settled: it was given its outcome, or was cancelled.
    """

    signature: str
    inputs: Mapping[str, Array]
    rows: int
    key: tuple[object, ...] | None
    done: Done
    deadline: float | None = None
    outputs: Sequence[str] = ()
    started: float = 0.0
    gathered: float = 0.0
    computed: float = 0.0
    batch_rows: int = 0
    is_cancelled: bool = False
    submitted: float = 0.0
    size: int = 0
    is_waiting: bool = False
    is_settled: bool = False
