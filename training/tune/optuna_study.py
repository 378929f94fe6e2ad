"""One study in Optuna, in memory: the bucket's records are what lasts, and are told again to a fresh one when a study is resumed."""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skylift.artifacts.studies import Direction, Parameter, Trial
from skylift.errors import InputError
from training.loop.progress import SMALLER_IS_BETTER

if TYPE_CHECKING:
    import optuna

TRIES = 20
"""How often a setting is suggested anew because it was tried before."""
LISTED = 4096
"""A space of so many settings is gone through for those that are left, when suggestions only repeat themselves."""


def direction_of(metric: str) -> Direction:
    return "minimize" if metric in SMALLER_IS_BETTER else "maximize"


class OptunaStudy:
    """Suggests settings, stops trials that are behind, knows what it was told.

    What trial n tries follows from the seed, n, and what is known of the others, not from how often it was asked before: so a
    study that is resumed goes on as if it had never stopped.

    Args:
        epochs: of a whole trial; the first quarter of them is never judged.
        trials: in all; the first third of them, 4 to 10, is drawn at random, and none is stopped before a few have ended.
    """

    def __init__(
        self, metric: str, space: Sequence[Parameter], *, seed: int, trials: int, parallel: int, epochs: int
    ) -> None:
        import optuna

        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._optuna = optuna
        self._space = {each.name: each for each in space}
        self._distributions = {each.name: _distribution(optuna, each) for each in space}
        self._seed = seed
        self._random = max(4, min(10, trials // 3))
        self._parallel = parallel
        self.direction = direction_of(metric)
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=max(3, min(5, trials // 3)), n_warmup_steps=max(1, epochs // 4)
        )
        self._study = optuna.create_study(direction=self.direction, pruner=pruner, sampler=self._sampler(0, 0))
        self._running: dict[int, optuna.Trial] = {}
        self._tried: set[tuple[Any, ...]] = set()

    def ask(self, number: int) -> dict[str, Any] | None:
        """Values for trial `number`; None where every setting of the space has been tried."""
        for again in range(TRIES):
            self._study.sampler = self._sampler(number, again)
            trial = self._study.ask(self._distributions)
            if self._key(trial.params) not in self._tried:
                return self._run(number, trial)
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)  # nobody learns from it, nor counts it
        if math.prod(each.count() for each in self._space.values()) <= LISTED:
            left = self._left(number)
            return self.take(number, left) if left is not None else None
        return self._run(number, self._study.ask(self._distributions))

    def take(self, number: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Let trial `number` have these values: of one that was begun before, or the recipe's own."""
        self._study.enqueue_trial(dict(values))
        return self._run(number, self._study.ask(self._distributions))

    def report(self, number: int, epoch: int, value: float) -> bool:
        """What a running trial is worth after an epoch; whether it is so far behind the others that it should stop."""
        trial = self._running[number]
        trial.report(value, epoch)
        return bool(trial.should_prune())  # numpy's, else

    def tell(self, number: int, state: str, value: float | None) -> None:
        """How a running trial ended."""
        states = self._optuna.trial.TrialState
        trial = self._running.pop(number)
        if state == "complete" and value is not None:
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=states.PRUNED if state == "pruned" else states.FAIL)

    def add(self, trial: Trial) -> None:
        """A trial that has ended, from its record."""
        self.take(trial.number, trial.values)
        for epoch, value in trial.history:
            self._running[trial.number].report(value, epoch)
        self.tell(trial.number, trial.state, trial.value)

    def importance(self) -> dict[str, float]:
        """How much of what trials are worth each parameter explains, in all 1; empty where too little is known."""
        values = {trial.value for trial in self._study.get_trials(states=(self._optuna.trial.TrialState.COMPLETE,))}
        if len(values) < 3 or len(self._space) < 2:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        return dict(self._optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    def _run(self, number: int, trial: optuna.Trial) -> dict[str, Any]:
        self._running[number] = trial
        self._tried.add(self._key(trial.params))
        return {name: trial.params[name] for name in self._space}

    def _key(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(values[name] for name in self._space)

    def _left(self, number: int) -> dict[str, Any] | None:
        ranges = (each.choices or range(int(each.low or 0), int(each.high or 0) + 1) for each in self._space.values())
        left = [values for values in itertools.product(*ranges) if values not in self._tried]
        return dict(zip(self._space, left[_mixed(self._seed, number, 0) % len(left)], strict=True)) if left else None

    def _sampler(self, number: int, again: int) -> optuna.samplers.BaseSampler:
        seed = _mixed(self._seed, number, again)
        if again > TRIES // 2:
            return self._optuna.samplers.RandomSampler(seed)
        return self._optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=self._random, multivariate=True, constant_liar=self._parallel > 1
        )


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    kinds = optuna.distributions
    if parameter.choices:
        return kinds.CategoricalDistribution(parameter.choices)
    if parameter.low is None or parameter.high is None:
        raise InputError(
            f"{parameter.name} has neither choices nor a range", hint="see skylift.artifacts.studies.Parameter"
        )
    if parameter.type == "int":
        return kinds.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return kinds.FloatDistribution(float(parameter.low), float(parameter.high), log=parameter.log)


def _mixed(*numbers: int) -> int:
    """One seed from several numbers, [0, 2**32)."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:4], "big")
