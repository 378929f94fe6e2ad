"""Taking a stack away, and the proof that nothing is left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skylift.artifacts import runs
from skylift.client import looking, training
from skylift.client.stack import who
from skylift.engine import Leftovers, OnEvent, Summary, delete_data, leftovers
from skylift.engine.clouds import protected
from skylift.engine.leftovers import LeftBucket
from skylift.errors import ConflictError, CredentialsError, NotFoundError, ProvisionError, UnreachableError

if TYPE_CHECKING:
    from skylift.client.stack import Stack

STOP_LIMIT = 60.0
"""How long runs may take to save and stop [s]."""


@dataclass(frozen=True)
class Plan:
    """What `down` would touch: runs at work, and the stack's own buckets on this machine."""

    runs: tuple[str, ...]
    buckets: tuple[LeftBucket, ...]
    disposable: bool


@dataclass(frozen=True)
class Ended:
    """How `down` ended.

    Args:
        on_cloud: whether the stack was anywhere but on this machine.
        kept: type and name of what is still in state of a stack on a cloud: what is protected, after `--compute`.
    """

    summary: Summary
    runs: tuple[str, ...]
    left: Leftovers
    on_cloud: bool = False
    kept: tuple[tuple[str, str], ...] = ()


def plan(stack: Stack, *, compute_only: bool = False) -> Plan:
    """What is there to be taken away.

    Raises:
        ConflictError: the stack lives on a cloud and its data is protected.
    """
    disposable = stack.project.unchecked(stack.name).get("disposable") in (True, "true")
    if _is_on_a_cloud(stack) and not (disposable or compute_only) and stack.engine.exists():
        raise protected(stack.name)
    if compute_only and disposable and not _is_on_a_cloud(stack):
        raise ConflictError(
            f"stack {stack.name!r} is disposable: its folders go with it",
            hint=f"set `skylift:disposable: false` in {stack.project.stack_file(stack.name)}, run `skylift up {stack.name}`, "
            "then this again",
        )
    return Plan(_at_work(stack), leftovers(stack.project, stack.name).buckets, disposable)


def _is_on_a_cloud(stack: Stack) -> bool:
    return stack.project.unchecked(stack.name).get("target") not in (None, "local")


def down(
    stack: Stack, plan: Plan, *, delete_data: bool, compute_only: bool = False, on_event: OnEvent | None = None
) -> Ended:
    """Stop the runs, destroy what Pulumi made, delete the data if that was asked, and look at what is left.

    Raises:
        ConflictError: a run does not stop.
    """
    _stop(stack, plan.runs)
    summary = stack.engine.destroy(on_event, compute_only=compute_only)
    if delete_data:
        _delete_data(stack)
    on_cloud = _is_on_a_cloud(stack)
    kept = tuple(stack.engine.resources()) if on_cloud else ()
    return Ended(summary, plan.runs, leftovers(stack.project, stack.name), on_cloud, kept)


def _delete_data(stack: Stack) -> None:
    delete_data(stack.project, stack.name)


def _at_work(stack: Stack) -> tuple[str, ...]:
    try:
        return tuple(run.id for run in looking.live(stack))
    except (ProvisionError, NotFoundError):
        return ()  # not up, or its buckets are gone: nothing can be at work that we could ask to stop
    except (CredentialsError, UnreachableError):
        if _is_on_a_cloud(stack):
            return ()  # out of reach from here; run groups end by their own end time, and with the stack's reaper
        raise


def _is_at_work(stack: Stack, run_id: str) -> bool:
    view = runs.view_run(stack.keep, stack.work, run_id)
    return view.result is None and not training.is_dead(view)


def _stop(stack: Stack, ids: tuple[str, ...]) -> None:
    for run_id in ids:
        runs.request_cancel(stack.work, run_id, who(), "the stack is taken away")
    deadline = time.monotonic() + STOP_LIMIT
    waiting = set(ids)
    while waiting:
        waiting = {run_id for run_id in waiting if _is_at_work(stack, run_id)}
        if waiting and time.monotonic() > deadline:
            raise ConflictError(
                f"run {', '.join(sorted(waiting))} does not stop",
                hint="`skylift logs` shows what it does; then try again",
            )
        if waiting:
            time.sleep(0.3)
