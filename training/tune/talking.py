"""`training tune suggest`: skylift and Optuna talk, a JSON object a line each way, until skylift closes the pipe.

    {"do": "open", "metric", "seed", "trials", "parallel", "epochs", "space", "ended"}   {"direction"}
    {"do": "ask", "number"}                                                              {"values"}, null where all were tried
    {"do": "take", "number", "values"}                                                   {"values"}
    {"do": "report", "number", "epoch", "value"}                                         {"prune"}
    {"do": "tell", "number", "state", "value"}                                           {}

An error of ours is answered as {"error": …}, and ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from skylift.artifacts.studies import Parameter, Trial, TrialState
from training.tune.optuna_study import OptunaStudy


class Open(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="open"):
    metric: str
    seed: int
    trials: int
    parallel: int
    epochs: int
    space: list[Parameter]
    ended: list[Trial] = []


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="ask"):
    number: int


class Take(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="take"):
    number: int
    values: dict[str, Any]


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="report"):
    number: int
    epoch: int
    value: float


class Tell(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="tell"):
    number: int
    state: TrialState
    value: float | None = None


Said = Open | Ask | Take | Report | Tell


def opened(said: Open) -> OptunaStudy:
    """A study that knows the trials that have ended."""
    study = OptunaStudy(
        said.metric, said.space, seed=said.seed, trials=said.trials, parallel=said.parallel, epochs=said.epochs
    )
    for trial in said.ended:
        study.add(trial)
    return study


def answers(lines: Iterable[bytes | str]) -> Iterator[dict[str, Any]]:
    """An answer to each line; the first one opens the study."""
    study: OptunaStudy | None = None
    for line in lines:
        said = msgspec.json.decode(line, type=Said)
        if isinstance(said, Open):
            study = opened(said)
            yield {"direction": study.direction}
        elif study is not None:
            yield _answer(study, said)


def _answer(study: OptunaStudy, said: Ask | Take | Report | Tell) -> dict[str, Any]:
    if isinstance(said, Ask):
        return {"values": study.ask(said.number)}
    if isinstance(said, Take):
        return {"values": study.take(said.number, said.values)}
    if isinstance(said, Report):
        return {"prune": study.report(said.number, said.epoch, said.value)}
    study.tell(said.number, said.state, said.value)
    return {}
