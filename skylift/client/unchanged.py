"""Whether a run would learn anything new: what is asked against the newest run that gave the same model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skylift.artifacts import datasets, runs
from skylift.artifacts.records import RunResult, RunSpec
from skylift.client import data
from skylift.client.training import Request, Understood, folder_name, named_dataset, understand
from skylift.errors import InputError

if TYPE_CHECKING:
    from skylift.client.stack import Stack


AT_WORK = ("queued", "acquiring", "booting", "pulling", "running", "preempted")


@dataclass(frozen=True)
class Comparison:
    """A run that is at work on the very same, else the newest succeeded run of the model, None where there is none.

    `differs` says what is different now, a sentence each.
    """

    model: str
    run: str | None
    differs: list[str]
    is_at_work: bool = False
    though: str = ""
    """What is different, and does not count."""

    @property
    def is_same(self) -> bool:
        return self.run is not None and not self.differs

    def sentence(self) -> str:
        """What was found, for people."""
        if self.run is None:
            return f"no run has given a model {self.model} yet"
        if self.is_at_work:
            return f"run {self.run} is at work on the same data, code, hyperparameters and seed for {self.model}"
        if self.is_same:
            if self.though:
                return f"since run {self.run} {self.though}"
            return f"nothing has changed since run {self.run}: the same data, code, hyperparameters and seed gave {self.model}"
        return f"since run {self.run}: {'; '.join(self.differs)}"


def compare(stack: Stack, asked: Request, *, by_drift: bool = False) -> Comparison:
    """Compare what is asked with the newest succeeded run that published the same model. Sends and starts nothing.

    Args:
        by_drift: a newer version of the dataset counts only if one of its columns has moved.

    Raises:
        NotFoundError, InputError, MachineError: as `training.start` does, and `data.drift`.
    """
    read = understand(asked)
    if by_drift and (asked.data is None or named_dataset(asked.data) is None):
        raise InputError(
            "--if-drifted compares versions of a prepared dataset, and none is named",
            hint="`skylift data add NAME PATH` prepares one; then `--data NAME`",
        )
    dataset = _dataset(stack, asked)
    for run in runs.list_runs(stack.keep, stack.work):
        is_at_work = run.state in AT_WORK
        if run.model != read.model or run.trial is not None or not (is_at_work or run.state == "succeeded"):
            continue
        result = runs.read_result(stack.keep, run.id)
        spec = runs.read_spec(stack.keep, run.id)
        differs = _differs(spec, result, read, asked)
        if is_at_work and differs:
            continue
        newer, though = _data_differs(stack, spec.dataset, dataset, by_drift)
        if not (is_at_work and newer):
            return Comparison(read.model, run.id, [*newer, *differs], is_at_work, though)
    return Comparison(read.model, None, [])


def _data_differs(stack: Stack, before: str | None, now: str | None, by_drift: bool) -> tuple[list[str], str]:
    """What counts, a sentence each, and what does not."""
    if now == before:
        return [], ""
    newer = f"the data is {_short(now)}, it was {_short(before)}"
    if not by_drift or before is None or now is None:
        return [newer], ""
    shifts = data.drift(stack, before, now)
    moved = [
        f"{each.column} has drifted ({each.measure}: PSI {each.psi:.2f}, limit {each.limit:.2f})"
        for each in shifts
        if each.has_moved
    ]
    if moved:
        return [newer, *moved], ""
    first = shifts[0]
    return [], f"{newer}, but nothing has drifted: at most {first.column}, PSI {first.psi:.2f} of {first.limit:.2f}"


def _dataset(stack: Stack, asked: Request) -> str | None:
    if asked.data is None:
        return None
    name = named_dataset(asked.data)
    if name is not None:
        return datasets.resolve(stack.keep, name)
    folder = Path(asked.data)
    return datasets.digest_of_folder(folder_name(folder), folder)


def _differs(spec: RunSpec, result: RunResult | None, read: Understood, asked: Request) -> list[str]:
    found = []
    recipe = read.packed.module if read.packed is not None else read.recipe.name
    digest = read.packed.digest if read.packed is not None else None
    if recipe != spec.recipe:
        found.append(f"the recipe is {recipe}, it was {spec.recipe}")
    elif digest != spec.code:
        found.append(f"the recipe's code is {_short(digest)}, it was {_short(spec.code)}")
    defaults = {field.name: field.default for field in read.recipe.hyperparameters}
    now = defaults | read.values
    before = result.hyperparameters if result is not None else defaults | spec.hyperparameters
    found += [
        f"{name} is {now.get(name)!r}, it was {before.get(name)!r}"
        for name in sorted({*now, *before})
        if _other(name, now, before)
    ]
    if asked.explain and not spec.explain:
        found.append("the signature `explain` is asked for, the model has none")
    if asked.seed != spec.seed:
        found.append(f"the seed is {asked.seed}, it was {spec.seed}")
    if more := sorted({*asked.formats} - {*spec.formats}):
        found.append(f"{', '.join(more)} must be among the model's forms, nobody asked for it before")
    return found


def _other(name: str, now: dict[str, Any], before: dict[str, Any]) -> bool:
    return (name in now) != (name in before) or now[name] != before[name]


def _short(digest: str | None) -> str:
    """A digest's beginning, behind the name that it has."""
    if digest is None:
        return "the recipe's own"
    name, at, rest = digest.rpartition("@")
    return f"{name}{at}{rest[:12]}"
