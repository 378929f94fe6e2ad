"""One member of a group that is measured: learns as a run does, by the same loop, and takes the time."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skylift.errors import InputError
from training.cluster.description import Cluster, read_tf_config
from training.contract import Data, Task
from training.loop import backend, batches
from training.loop.calls import CALL_SECONDS, MOST
from training.loop.checks import check_data, check_model, check_task
from training.loop.feed import feed_for
from training.loop.group import Group, join
from training.loop.learner import Learner
from training.loop.optimizing import policy_for
from training.loop.settings import LoopSettings
from training.recipes.hyperparameters import fill
from training.recipes.loading import bundled, from_code
from training.scaling.records import KINDS, Kind, Measured, Order, Speed

ROUNDS = 3
LARGE_BYTES = 8 << 20
REDUCTIONS = 10
"""All-reduces in one call, so that the call itself counts little."""

SEED = 0


def measure(order: Order) -> Measured:
    """The speeds of the group that TF_CONFIG describes; of a process alone without it.

    Raises:
        RecipeError: the recipe, or what it loads or builds, is none.
        InputError: the training split is smaller than a batch.
    """
    cluster = read_tf_config(os.environ.get("TF_CONFIG", "{}"))
    recipe = bundled(order.recipe) if order.code_root is None else from_code(Path(order.code_root), order.recipe)
    hp, settings, _ = fill(recipe.name, recipe.hyperparameters, order.hyperparameters)
    task = recipe.task(hp)
    check_task(recipe.name, task)
    backend.prepare(SEED)
    tf, keras = backend.start(SEED, deterministic=settings.deterministic)
    group = join(tf, cluster, "one")
    keras.config.set_dtype_policy(policy_for(tf, settings))
    data = recipe.load(hp, Path(order.data) if order.data is not None else None)
    check_data(recipe.name, data, task)
    workers = _workers(cluster)
    _refuse_few_rows(data.train.rows, settings.batch_size, workers)
    with group.scope():
        model = recipe.build(hp, data)
    check_model(recipe.name, model, data, task)
    learner = Learner(tf, keras, model, task, settings, 10**9, policy=keras.config.dtype_policy().name, group=group)
    speeds = [_speed(learner, data, task, settings, kind, order) for kind in KINDS[: 1 if workers == 1 else 2]]
    told = sum(each.shape.num_elements() * each.dtype.size for each in (v.value for v in model.trainable_variables))
    small, large = (_reduction_s(tf, group, size) for size in (4, LARGE_BYTES)) if workers > 1 else (0.0, 0.0)
    return Measured(
        workers=workers,
        batch_size=settings.batch_size,
        speeds=speeds,
        gradient_bytes=told,
        small_s=small,
        large_s=large,
        large_bytes=LARGE_BYTES if workers > 1 else 0,
    )


def _workers(cluster: Cluster | None) -> int:
    return 1 if cluster is None else cluster.workers


def _refuse_few_rows(rows: int, batch: int, workers: int) -> None:
    needed = batch * workers
    if rows < needed:
        raise InputError(
            f"the training split has {rows} rows, a step of {workers} worker{'s' * (workers > 1)} with {batch} each takes {needed}",
            hint=f"measure fewer workers, or smaller batches: `--set batch_size={max(1, rows // workers)}`",
        )


def _speed(learner: Learner, data: Data, task: Task, settings: LoopSettings, kind: Kind, order: Order) -> Speed:
    group = learner.group
    batch = settings.batch_size * (group.workers if kind == "same share" else 1)
    steps = _Steps(learner, data, task, batch)
    first = steps.timed(1)  # compiles
    first = min(steps.timed(1) for _ in range(3))
    per_call = int(group.from_chief([max(1, min(MOST, steps.in_epoch, int(CALL_SECONDS / max(first, 1e-6))))])[0])
    steps.per_call = per_call
    steps.timed(per_call)
    a_step = group.from_chief([steps.timed(2 * per_call) / (2 * per_call)])[0]
    count = math.ceil(order.steps / ROUNDS) if order.steps else max(1, int(order.seconds / ROUNDS / a_step))
    used, began = time.process_time(), time.perf_counter()
    times = [steps.timed(count) / count for _ in range(ROUNDS)]
    cores = (time.process_time() - used) / (time.perf_counter() - began)
    return Speed(
        kind=kind,
        batch=batch,
        step_s=statistics.median(times),
        spread=max(times) / min(times) - 1,
        cores=cores,
    )


class _Steps:
    """Whole batches of one epoch behind the other; all members of a group take the same steps."""

    def __init__(self, learner: Learner, data: Data, task: Task, batch: int) -> None:
        self.in_epoch = data.train.rows // batch
        self.per_call = 1
        self._rows = data.train.rows
        self._learner = learner
        self._feed = feed_for(learner.tf, data.train, task, batch, learner.group)
        self._run: Callable[[Any, int, int], None] = learner.steps_of(self._feed)
        self._epoch = -1
        self._at = self.in_epoch
        self._source: Any = None

    def timed(self, count: int) -> float:
        """Learn from so many batches; how long it took [s]."""
        began = time.perf_counter()
        while count:
            if self._at == self.in_epoch:
                self._epoch, self._at = self._epoch + 1, 0
                self._source = self._feed.begin(batches.order(SEED, self._epoch, self._rows), 0)
            taken = min(self.per_call, count, self.in_epoch - self._at)
            self._run(self._source, self._at, taken)
            self._at += taken
            count -= taken
        self._learner.wait()
        return time.perf_counter() - began


def _reduction_s(tf: Any, group: Group, size: int) -> float:
    """How long the group takes to sum so many bytes [s], the median of several calls."""
    values = tf.ones([size // 4], tf.float32)

    @tf.function  # type: ignore[untyped-decorator]
    def reduce(value: Any) -> Any:
        for _ in range(REDUCTIONS):  # one behind the other: each takes what the one before gave
            value = group.strategy.reduce("MEAN", group.strategy.run(tf.identity, args=(value,)), axis=None)
        return value[0]

    times = []
    for _ in range(2 + 5):
        began = time.perf_counter()
        float(reduce(values))
        times.append((time.perf_counter() - began) / REDUCTIONS)
    return statistics.median(times[2:])
