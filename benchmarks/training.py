"""Compares the bundled loop with plain Keras `fit` on the same model, data and batch size, in the same run.

    python benchmarks/training.py                 # five rounds; fails below the limits
    python benchmarks/training.py --count 2 --json

The loop writes its events and checkpoints into buckets on this machine's disk and validates after every epoch; `fit` validates too
and writes nothing. Rounds take turns, and what is compared is the median of the pairs' ratios. Beside it: what a checkpoint every
ten seconds costs, how fast batches come without a model, and the memory of a long run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from skylift.store import open_store  # noqa: E402
from training.contract import Data, Input, Split, Task  # noqa: E402
from training.loop import backend, batches  # noqa: E402
from training.loop.checkpoints import Checkpoints  # noqa: E402
from training.loop.events import EventLog  # noqa: E402
from training.loop.feed import Feed, Streamed, feed_for  # noqa: E402
from training.loop.learner import Learner  # noqa: E402
from training.loop.progress import Progress  # noqa: E402
from training.loop.saving import Saver  # noqa: E402
from training.loop.settings import LoopSettings  # noqa: E402
from training.loop.stopping import StopSignal  # noqa: E402
from training.loop.train import Training  # noqa: E402
from training.recipes import mnist  # noqa: E402

RUN = "20260101t000000-000000"
BATCH = 32
LEAST = {"CNN": 0.97, "dense": 2.0}
"""Steps a second of the loop, in those of `fit`."""

MOST_FOR_CHECKPOINTS = 0.02
LEAST_FEED = 5.0
MOST_GROWTH = 0.05
"""Share by which the memory may grow from the tenth to the last epoch."""


@dataclass
class Case:
    """A model with data to learn."""

    name: str
    build: Callable[[Any], Any]
    task: Task
    data: Data
    epochs: int
    loop: list[float] = field(default_factory=list)
    fit: list[float] = field(default_factory=list)
    feed: float = 0.0
    streamed: float = 0.0

    @property
    def ratio(self) -> float:
        return statistics.median(ours / theirs for ours, theirs in zip(self.loop, self.fit, strict=True))

    @property
    def steps(self) -> int:
        return batches.count(self.data.train.rows, BATCH) * self.epochs


def cnn() -> Case:
    """The bundled recipe on its digits."""
    hp = mnist.Hyperparameters()
    data = mnist.load(hp, None)
    return Case("CNN", lambda keras: mnist.build(hp, data), mnist.task(hp), data, 2)


def dense() -> Case:
    """64-64-1 on 30 columns, twenty thousand rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24_000, 30)).astype(np.float32)
    y = (x[:, :5].sum(axis=1) + rng.normal(size=len(x)) > 0).astype(np.int64)
    cut = [Split(x[start:stop], y[start:stop]) for start, stop in ((0, 20_000), (20_000, 22_000), (22_000, 24_000))]

    def build(keras: Any) -> Any:
        layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(64, "relu"), keras.layers.Dense(1, "sigmoid")]
        return keras.Sequential([keras.Input((30,), name="row"), *layers])

    task = Task("binary", "binary_crossentropy", (Input((30,), "float32", "row"),), ("no", "yes"))
    return Case("dense", build, task, Data(cut[0], cut[1], cut[2]), 4)


def main() -> int:
    """Measure and print; 1 where a limit is not held."""
    options = _options()
    tf, keras = backend.start(0)
    cases = [cnn(), dense()]
    for number in range(options.count + 1):  # the first round warms caches and does not count
        for case in cases:
            ours, theirs = _loop(tf, keras, case), _fit(keras, case)
            if number:
                case.loop.append(ours)
                case.fit.append(theirs)
    for case in cases:
        case.feed = _feed(tf, case, feed_for) / statistics.median(case.loop)
        case.streamed = _feed(tf, case, Streamed) / statistics.median(case.loop)
    cost = _checkpoints(tf, keras, cases[0])
    growth = _memory(tf, keras, cases[1])
    shown = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, TensorFlow {tf.__version__}",
        "loop": {
            case.name: {
                "steps_per_s": statistics.median(case.loop),
                "fit_steps_per_s": statistics.median(case.fit),
                "ratio": case.ratio,
                "least": LEAST[case.name],
                "pipeline_ratio": case.feed,
                "streamed_ratio": case.streamed,
            }
            for case in cases
        },
        "checkpoint_every_10_s": cost,
        "memory_growth": growth,
    }
    held = all(case.ratio >= LEAST[case.name] and case.feed >= LEAST_FEED for case in cases)
    held = held and cost <= MOST_FOR_CHECKPOINTS and growth <= MOST_GROWTH
    print(json.dumps(shown) if options.json else _report(shown))
    return 0 if held else 1


def _training(tf: Any, keras: Any, case: Case, folder: Path, **settings: Any) -> Training:
    keras.utils.set_random_seed(0)
    chosen = LoopSettings(batch_size=BATCH, **settings)
    work = open_store(f"file://{folder}")
    learner = Learner(tf, keras, case.build(keras), case.task, chosen, case.steps)
    return Training(
        run=RUN,
        seed=0,
        learner=learner,
        task=case.task,
        data=case.data,
        settings=chosen,
        progress=Progress(),
        saver=Saver(tf, learner, Checkpoints(tf, work, RUN, folder / "scratch")),
        events=EventLog(work, RUN),
        stop=StopSignal(),
        tell=lambda text: None,
    )


def _loop(tf: Any, keras: Any, case: Case) -> float:
    """Steps a second of the epochs behind the first, in which TensorFlow compiles."""
    with tempfile.TemporaryDirectory() as folder, _silence():
        training = _training(tf, keras, case, Path(folder), epochs=case.epochs + 1)
        ends: list[float] = []
        training.tell = lambda text: ends.append(time.perf_counter())
        training.learn()
        return case.steps / (time.perf_counter() - ends[1])


def _fit(keras: Any, case: Case) -> float:
    keras.utils.set_random_seed(0)
    model = case.build(keras)
    model.compile(optimizer="adam", loss=case.task.loss, metrics=["accuracy"])
    train, validation = case.data.train, case.data.validation
    ends: list[float] = []
    watch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: ends.append(time.perf_counter()))
    options = {"batch_size": BATCH, "validation_data": (validation.x, validation.y), "verbose": 0, "callbacks": [watch]}
    model.fit(train.x, train.y, epochs=case.epochs + 1, **options)
    return case.steps / (time.perf_counter() - ends[1])


def _feed(tf: Any, case: Case, kind: Callable[..., Feed]) -> float:
    """Batches a second without a model."""
    feed = kind(tf, case.data.train, case.task, BATCH)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def drain(source: Any, count: Any) -> Any:
        rows = tf.constant(0, tf.int64)
        for number in tf.range(count):
            _, y, _ = feed.share(feed.fetch(source, number), 0)
            rows += tf.shape(y, tf.int64)[0]
        return rows

    rows, rates = case.data.train.rows, []
    count = batches.count(rows, BATCH)
    for epoch in range(4):
        began = time.perf_counter()
        source = feed.begin(batches.order(0, epoch, rows), 0)
        assert int(drain(source, tf.constant(count, tf.int64))) == rows
        rates.append(count / (time.perf_counter() - began))
    return max(rates)


def _checkpoints(tf: Any, keras: Any, case: Case) -> float:
    """Share of the time that a save every ten seconds costs: what the loop waits for one, and half of the thread's own time, which
    on a machine of two CPUs it takes from the steps."""
    with tempfile.TemporaryDirectory() as folder, _silence():
        training = _training(tf, keras, case, Path(folder), epochs=1)
        training.learn()
        waits, costs = [], []
        for _ in range(5):
            training.progress.step += 1
            began = time.perf_counter()
            training.saver.save(training.progress)
            waits.append(time.perf_counter() - began)
            training.saver.wait()
            costs.append(training.saver.cost)
    return (statistics.median(waits) + statistics.median(costs) / 2) / 10


def _memory(tf: Any, keras: Any, case: Case) -> float:
    """Growth of the resident memory from the tenth to the hundredth epoch."""
    small = Case(
        case.name, case.build, case.task, Data(_rows(case.data.train, 4000), case.data.validation, case.data.test), 99
    )
    sizes: list[int] = []
    with tempfile.TemporaryDirectory() as folder, _silence():
        training = _training(tf, keras, small, Path(folder), epochs=100)
        training.tell = lambda text: sizes.append(psutil.Process().memory_info().rss)
        training.learn()
    return sizes[-1] / sizes[10] - 1


def _rows(split: Split, count: int) -> Split:
    assert not isinstance(split.x, dict)
    return Split(np.asarray(split.x)[:count], split.y[:count])


def _silence() -> contextlib.redirect_stdout[io.StringIO]:
    """The loop prints a line an epoch."""
    return contextlib.redirect_stdout(io.StringIO())


def _report(shown: dict[str, Any]) -> str:
    lines = [shown["machine"], "", "           loop [steps/s]   fit [steps/s]   ratio   least   pipeline alone"]
    for name, row in shown["loop"].items():
        lines.append(
            f"{name:10} {row['steps_per_s']:14.0f} {row['fit_steps_per_s']:15.0f} {row['ratio']:7.2f} {row['least']:7.2f}"
            f" {row['pipeline_ratio']:11.1f} times what the model takes (least {LEAST_FEED:.0f}); streamed {row['streamed_ratio']:.1f}"
        )
    lines.append(
        f"a checkpoint every 10 s costs {100 * shown['checkpoint_every_10_s']:.2f} % (most {100 * MOST_FOR_CHECKPOINTS:.0f} %)"
    )
    lines.append(
        f"memory after 100 epochs {100 * shown['memory_growth']:+.1f} % of that after 10 (most {100 * MOST_GROWTH:.0f} %)"
    )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5, help="rounds")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
