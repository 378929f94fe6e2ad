"""Asking for a run, following it, resuming it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from skylift import __version__
from skylift.artifacts import chunks, datasets, layout, records, runs
from skylift.errors import ConflictError, InputError, RunFailedError, SavedError, SkyliftError, UnreachableError
from skylift.launch import code, launcher, recipes
from skylift.launch import secrets as kept
from skylift.launch.commit import commit_of
from skylift.store import ObjectExistsError, Store

if TYPE_CHECKING:
    from skylift.client.stack import Stack

POLL = 0.3
"""How often a follower looks at a bucket of files [s]; clouds are asked every 2 s."""
START_LIMIT = 60.0
"""How long a run may take to give its first sign of life on this machine [s]."""


@dataclass(frozen=True)
class Request:
    """What a user asks of `train`. Hyperparameters may be texts; they are checked against the recipe.

    `data` is a folder of files, or as a text also the name of a dataset, `name` or `name@digest`.
    """

    recipe: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    data: Path | str | None = None
    env: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    seed: int = 0
    formats: tuple[records.FormatName, ...] = ()
    explain: bool = False
    workers: int = 1
    strategy: Literal["auto", "one", "mirrored", "multiworker", "ps"] = "auto"
    ps: int = 0


@dataclass(frozen=True)
class Update:
    """What a follower knows of a run at one moment. `finished_epoch` is set in the update that ends an epoch."""

    state: str = "queued"
    stage: str = ""
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    finished_epoch: int = 0
    epoch_metrics: dict[str, float] = field(default_factory=dict)
    message: str = ""


class Run:
    """A run of a stack."""

    def __init__(self, stack: Stack, run_id: str) -> None:
        self.stack = stack
        self.id = run_id

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    def view(self) -> runs.RunView:
        """Where it stands."""
        return runs.view_run(self.stack.keep, self.stack.work, self.id)

    @property
    def result(self) -> records.RunResult | None:
        return runs.read_result(self.stack.keep, self.id)

    @property
    def model(self) -> records.ModelRef:
        """The version that it published.

        Raises:
            RunFailedError: it has published none.
        """
        result = self.result
        if result is None or result.model is None:
            raise RunFailedError(f"run {self.id} has published no model", hint=f"`skylift logs {self.id}` shows why")
        published = result.model
        return records.ModelRef(name=published.name, version=published.version, digest=published.digest)

    def follow(self) -> Iterator[Update]:
        """Updates until it ends; see `follow`."""
        return follow(self)

    def wait(self) -> records.RunResult:
        """Wait for the end.

        Raises:
            RunFailedError: it failed or was cancelled.
            SavedError: it was stopped and can be resumed.
            UnreachableError: it gives no sign of life.
        """
        for _ in self.follow():
            pass
        return ended(self)

    def logs(self, worker: int = 0) -> bytes:
        """What it has printed so far; of a group, what its chief or another worker has."""
        return chunks.ChunkReader(self.stack.work, layout.logs(self.id, worker)).read()

    def cancel(self, why: str = "") -> None:
        """Ask it to stop. One that is at rest, saved or lost, has nobody to obey: its end is recorded here.

        Raises:
            ConflictError: it has ended already.
        """
        from skylift.client.stack import who

        view = self.view()
        if view.result is not None:
            raise ConflictError(f"run {self.id} has ended already: {view.result.state}")
        runs.request_cancel(self.stack.work, self.id, who(), why)
        if is_dead(view):
            _end(self.stack, view)


def start(stack: Stack, asked: Request, *, progress: Callable[[int, int, str], None] | None = None) -> Run:
    """Record a run and start it; return when it is on its way.

    Raises:
        NotFoundError: no such recipe, no value is kept for a secret, or runs cannot be started on the stack's target.
        InputError: hyperparameters, names, the environment or the data's folder are not what they should be.
        MachineError: this machine lacks what training needs.
    """
    return launch(stack, *prepare(stack, asked, progress=progress))


def prepare(
    stack: Stack, asked: Request, *, progress: Callable[[int, int, str], None] | None = None
) -> tuple[records.RunSpec, dict[str, str]]:
    """The record of a run that is asked for, its code and data sent, and the values of its secrets. Raises like start()."""
    _check_environment(asked)
    _check_group(asked)
    launcher(stack.outputs.target)  # before anything is sent
    read = understand(asked)
    packed = read.packed
    secret_values = kept.resolve(stack.project, asked.secrets)
    if packed is not None:
        _send_code(stack.keep, packed)
    spec = records.RunSpec(
        id=runs.next_run_id(stack.keep, stack.work.clock("live/.clock")),
        recipe=packed.module if packed is not None else read.recipe.name,
        hyperparameters=read.values,
        code=packed.digest if packed is not None else None,
        dataset=_send_data(stack.keep, asked.data, progress) if asked.data is not None else None,
        model=read.model,
        seed=asked.seed,
        formats=list(asked.formats),
        explain=asked.explain,
        workers=asked.workers,
        strategy="ps" if asked.ps else asked.strategy,
        ps=asked.ps,
        env=asked.env,
        secrets=sorted(set(asked.secrets)),
        commit=commit_of(packed.root if packed is not None else stack.project.root),
        **_common(stack),
    )
    return spec, secret_values


def resume(stack: Stack, name: str) -> Run:
    """Go on with a run from its last checkpoint.

    Raises:
        NotFoundError: no such run, or no value is kept for a secret of its.
        ConflictError: it is still at work.
    """
    run_id = runs.find_run(stack.keep, name)
    view = runs.view_run(stack.keep, stack.work, run_id)
    secret_values = kept.resolve(stack.project, view.spec.secrets)
    if view.result is None:
        if not is_dead(view):
            raise ConflictError(
                f"run {run_id} is still at work ({view.state})",
                hint=f"`skylift logs -f {run_id}` follows it, `skylift cancel {run_id}` stops it",
            )
        stack.work.delete([layout.live_cancel(run_id)])
        _announce(stack, view.spec, attempts=view.status.attempt if view.status is not None else 0)
        launcher(view.spec.target).start(stack.project, view.spec, secret_values)
        return Run(stack, run_id)
    again = msgspec.structs.replace(renewed(stack, view.spec), resumed_from=run_id)
    return launch(stack, again, secret_values)


def _check_group(asked: Request) -> None:
    if asked.ps and asked.strategy not in ("auto", "ps"):
        raise InputError(
            f"strategy {asked.strategy!r} knows no parameter servers, and {asked.ps} are asked for",
            hint="leave the strategy out, or leave out `--ps`",
        )
    if asked.strategy == "ps" and not asked.ps:
        raise InputError("strategy 'ps' needs parameter servers", hint="add `--ps 1` or more")
    if asked.ps and asked.workers < 2:
        raise InputError(
            "parameter servers are for several workers, and one is asked for", hint="add `--workers 2` or more"
        )
    if asked.workers > 1 and asked.strategy in ("one", "mirrored"):
        raise InputError(
            f"strategy {asked.strategy!r} is of one process, and {asked.workers} workers are asked for",
            hint="leave the strategy out, or take `--workers 1`",
        )
    if asked.workers == 1 and asked.strategy == "multiworker":
        raise InputError("strategy 'multiworker' needs more than one worker", hint="add `--workers 2` or more")


def _end(stack: Stack, view: runs.RunView) -> None:
    """Record that a run at rest was cancelled; if it ended in this very moment, that stands."""
    status = view.status
    cancelled = records.RunResult(
        id=view.spec.id,
        state="cancelled",
        started=view.spec.created,
        ended=records.now(),
        hyperparameters=view.spec.hyperparameters,
        attempts=max(status.attempt if status is not None else 0, 1),
    )
    with contextlib.suppress(ConflictError):
        runs.write_result(stack.keep, cancelled)


def is_dead(view: runs.RunView) -> bool:
    """Whether a run without a result is known to be at rest: saved, silent, its process gone, or never begun."""
    if view.status is None or view.state in ("lost", "preempted"):
        return True
    never_begun = view.state == "queued" and view.spec.target == "local" and (view.beat_age_s or 0.0) > START_LIMIT / 4
    return never_begun or launcher(view.spec.target).is_dead(view.status)


def follow(run: Run) -> Iterator[Update]:
    """Look at a run until it has ended, stopped or fallen silent; an update whenever something is new."""
    keep, work = run.stack.keep, run.stack.work
    events = chunks.ChunkReader(work, layout.events(run.id))
    spec = runs.read_spec(keep, run.id)
    starter = launcher(spec.target)
    pause = POLL if work.folder is not None else 2.0
    seen = Update()
    begun = checked = time.monotonic()
    partial = b""
    while True:
        result = runs.read_result(keep, run.id)
        partial += events.read()
        *lines, partial = partial.split(b"\n")
        for line in lines:
            event = read_event(line)
            if event is not None:
                yield (seen := _absorb(seen, event))
        status = runs.read_status(work, run.id)
        if status is not None and (status.state, status.message) != (seen.state, seen.message):
            seen = replace(seen, state=status.state, message=status.message, finished_epoch=0)
            yield seen
        if result is not None or (status is not None and status.state in ("preempted", *records.FINAL)):
            return
        if status is not None and starter.is_dead(status):
            if runs.read_result(keep, run.id) is None:
                return
            continue
        if time.monotonic() - checked > 10:
            checked = time.monotonic()
            if runs.view_run(keep, work, run.id).state == "lost":
                return
        waiting = status is None or status.state == "queued"
        if waiting and spec.target == "local" and time.monotonic() - begun > START_LIMIT:
            return
        time.sleep(pause)


def ended(run: Run) -> records.RunResult:
    """The result of a run that follow() has left, or the error that says how it stopped."""
    result = run.result
    if result is not None:
        if result.state == "succeeded":
            return result
        failure = result.failure
        message = f"run {run.id} {result.state}" + (f": {failure.message}" if failure is not None else "")
        hint = (failure.hint if failure is not None else "") or f"`skylift logs {run.id}` shows its output"
        raise RunFailedError(message, hint=hint, details={"run": run.id, "state": result.state})
    view = run.view()
    if view.state == "preempted":
        raise SavedError(
            f"run {run.id} was stopped and is saved"
            + (f": {view.status.message}" if view.status and view.status.message else ""),
            hint=f"`skylift train --resume {run.id}` goes on",
            details={"run": run.id},
        )
    raise _silent(run, view)


def _silent(run: Run, view: runs.RunView) -> SkyliftError:
    said = launcher(view.spec.target).output(run.stack.project, view.spec)
    last = said.splitlines()[-1] if said else ""
    return UnreachableError(
        f"run {run.id} has stopped without a word" + (f"; the last was: {last}" if last else ""),
        hint=f"`skylift train --resume {run.id}` goes on from its last checkpoint; `skylift logs {run.id}` shows its output",
        details={"run": run.id},
    )


def read_event(line: bytes) -> records.Event | None:
    """An event, or None for a line that a killed writer left half, or of a kind that a newer release writes."""
    try:
        return msgspec.json.decode(line, type=records.Event)
    except msgspec.DecodeError:
        return None


def _absorb(seen: Update, event: records.Event) -> Update:
    seen = replace(seen, finished_epoch=0)
    if event.kind == "plan":
        return replace(seen, steps=event.steps, epochs=event.epochs)
    if event.kind == "stage":
        return replace(seen, stage=event.text)
    if event.kind == "epoch":
        return replace(
            seen, step=event.step, epoch=event.epoch, finished_epoch=event.epoch, epoch_metrics=event.metrics
        )
    if event.kind == "step":
        return replace(seen, step=event.step, epoch=event.epoch, metrics=event.metrics)
    return seen


def renewed(stack: Stack, spec: records.RunSpec) -> records.RunSpec:
    """The same asked once more, under an id of its own."""
    return msgspec.structs.replace(
        spec, id=runs.next_run_id(stack.keep, stack.work.clock("live/.clock")), **_common(stack)
    )


def _common(stack: Stack) -> dict[str, Any]:
    from skylift.client.stack import who

    return {
        "created": records.now(),
        "by": who(),
        "stack": stack.name,
        "target": stack.outputs.target,
        "keep": stack.keep.url,
        "work": stack.work.url,
        "skylift": __version__,
    }


def launch(stack: Stack, spec: records.RunSpec, secret_values: dict[str, str]) -> Run:
    """Record a run and start it. Raises MachineError where this machine cannot."""
    runs.create_run(stack.keep, spec)
    _announce(stack, spec)
    runs.write_index(stack.keep, stack.work)
    launcher(spec.target).start(stack.project, spec, secret_values)
    return Run(stack, spec.id)


def _announce(stack: Stack, spec: records.RunSpec, *, attempts: int = 0) -> None:
    """Say that a run is on its way, after so many attempts at it; the next one counts itself."""
    now = records.now()
    before = runs.read_status(stack.work, spec.id)  # of a run that goes on: when its first attempt began stays known
    history = [*(before.history if before is not None else []), records.Transition(state="queued", at=now)]
    status = records.RunStatus(id=spec.id, state="queued", beat=now, attempt=attempts, history=history)
    runs.write_status(stack.work, status)


def _check_environment(asked: Request) -> None:
    both = sorted(set(asked.secrets) & set(asked.env))
    if both:
        raise InputError(f"{', '.join(both)} is given both as --env and as --secret", hint="keep the secret")
    for name, value in asked.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise InputError(
                f"{name!r} cannot be set in a run's environment", hint="give --env NAME=VALUE, without NUL bytes"
            )


def _send_code(keep: Store, packed: code.Code) -> None:
    try:
        keep.create(layout.code(packed.digest), packed.archive)
    except ObjectExistsError:
        return  # the same content: the name is its digest


@dataclass(frozen=True)
class Understood:
    """What a request means: the user's code if the recipe is theirs, the recipe, typed values of what was set, the model's name."""

    packed: code.Code | None
    recipe: recipes.Recipe
    values: dict[str, Any]
    model: str


def understand(asked: Request) -> Understood:
    """Read the recipe and check what was set against it. Raises like start()."""
    packed = code.pack(asked.recipe, Path.cwd()) if code.is_own(asked.recipe) else None
    recipe = (
        recipes.describe_code(str(packed.root), packed.module) if packed is not None else recipes.describe(asked.recipe)
    )
    values = recipes.parse(recipe, {name: str(value) for name, value in asked.hyperparameters.items()})
    name = layout.check_name("model", asked.model or _as_name(recipe.name.rpartition(".")[2], "model"))
    return Understood(packed, recipe, values, name)


def named_dataset(data: Path | str) -> str | None:
    """The dataset that is meant by its name, or None where a folder is: one that is there, or anything that looks like a path."""
    text = str(data)
    is_folder = isinstance(data, Path) or "/" in text or text in (".", "..") or Path(text).is_dir()
    return None if is_folder else text


def folder_name(folder: Path) -> str:
    """The name of the dataset that a folder becomes."""
    return _as_name(folder.resolve().name, "data")


def _send_data(keep: Store, data: Path | str, progress: Callable[[int, int, str], None] | None) -> str:
    name = named_dataset(data)
    if name is not None:
        return datasets.resolve(keep, name)
    folder = Path(data)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", hint="--data takes a folder of files")
    return datasets.publish(keep, folder_name(folder), folder, {}, progress=progress)


def _as_name(text: str, otherwise: str) -> str:
    """A file's or folder's name as one that the layout allows: `My_Data 2` becomes `my-data-2`."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower())[:63].strip("-.") or otherwise
