"""Fine-tuning: a few more epochs at a low learning rate, with something done to the weights around every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.loop import batches
from training.loop.learner import Learner
from training.loop.optimizing import class_weights
from training.loop.settings import LoopSettings
from training.optimize.bench import Bench, UnfitError

SLOWER = 0.3
"""Of the learning rate that the model was trained with."""


def _nothing() -> None:
    pass


def steps_of(bench: Bench) -> int:
    return bench.asked.epochs * batches.count(bench.data("to learn from").train.rows, _settings(bench).batch_size)


def tune(
    bench: Bench,
    model: Any,
    *,
    each: Callable[[int], None] = lambda step: None,
    before: Callable[[], None] = _nothing,
    after: Callable[[], None] = _nothing,
) -> None:
    """Train `model` on.

    Args:
        each: called before every step with its number.
        before: part of the compiled step, ahead of it.
        after: the same behind it.

    Raises:
        UnfitError: the loss stopped being a number.
    """
    tf, settings, train = bench.tf, _settings(bench), bench.data("to learn from").train
    bench.keras.utils.set_random_seed(bench.asked.seed)
    weights = class_weights(bench.task, settings, train.y)
    learner = Learner(tf, bench.keras, model, bench.task, settings, steps_of(bench), weights=weights)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(x: Any, y: Any) -> None:
        before()
        learner.train_step(x, y)
        after()

    done = 0
    for epoch in range(settings.epochs):
        bench.say(f"epoch {epoch + 1} of {settings.epochs}")
        order = batches.order(bench.asked.seed, epoch, train.rows)
        for start in range(0, train.rows, settings.batch_size):
            each(done)
            step(*batches.batch(train, bench.task, order[start : start + settings.batch_size]))
            done += 1
        if learner.bad_step is not None:
            raise UnfitError(
                f"the loss became NaN at step {learner.bad_step} of the fine-tuning",
                hint="take fewer epochs, or another method",
            )


def _settings(bench: Bench) -> LoopSettings:
    known = bench.opened.manifest.hyperparameters
    usual = LoopSettings()
    return LoopSettings(
        epochs=bench.asked.epochs,
        batch_size=int(known.get("batch_size", usual.batch_size)),
        learning_rate=SLOWER * float(known.get("learning_rate", usual.learning_rate)),
        schedule="cosine",
        class_weights=str(known.get("class_weights", usual.class_weights)),
    )
