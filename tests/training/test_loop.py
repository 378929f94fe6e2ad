"""What the loop is made of: feeds, calls, optimizers, saves. TensorFlow in this process."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import numpy as np
import pytest

from skylift.errors import MachineError
from tests.training.small import BINARY, CLASSES, TWO_INPUTS, VALUES, learner_for, model_for, split
from training.contract import Task
from training.loop import batches, optimizing
from training.loop.calls import Calls
from training.loop.feed import Resident, Streamed, feed_for
from training.loop.learner import Learner
from training.loop.progress import Progress
from training.loop.saving import Saver, Snapshot
from training.loop.settings import LoopSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]


class TestFeed:
    """Both kinds of feed give the same batches, whole epochs and rests of them."""

    @pytest.mark.parametrize("kind", [Resident, Streamed])
    @pytest.mark.parametrize("task", [CLASSES, BINARY, VALUES, TWO_INPUTS])
    def test_batches_are_those_of_the_order_from_any_batch_on(
        self, frameworks: tuple[Any, Any], task: Task, kind: Any
    ) -> None:
        tf, _ = frameworks
        rows = split(task)
        order = batches.order(5, 2, rows.rows)
        feed = kind(tf, rows, task, 16)
        for first in (0, 3, 5):
            source = feed.begin(order, first)
            for number in range(first, 5):
                x, y, weights = feed.share(feed.fetch(source, number - first), 0)
                wanted_x, wanted_y = batches.batch(rows, task, order[number * 16 : (number + 1) * 16])
                assert np.allclose(weights, 1 / len(wanted_y)) and len(weights) == len(wanted_y)
                assert np.array_equal(y.numpy(), wanted_y) and y.dtype == wanted_y.dtype
                pairs = (
                    [(x[each], wanted_x[each]) for each in wanted_x] if isinstance(wanted_x, dict) else [(x, wanted_x)]
                )
                assert all(np.array_equal(given.numpy(), wanted) for given, wanted in pairs)

    def test_a_stream_reads_several_batches_at_a_time_and_gives_them_one_by_one(
        self, frameworks: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("training.loop.feed.MOST_AT_ONCE", 3)
        for rows in (70, 64, 7):  # with a rest, without one, nothing but a rest
            data, order = split(CLASSES, rows), batches.order(5, 2, rows)
            feed, in_all = Streamed(frameworks[0], data, CLASSES, 8), batches.count(rows, 8)
            for first in range(in_all):
                source = feed.begin(order, first)
                given = [feed.share(feed.fetch(source, number), 0)[1].numpy() for number in range(in_all - first)]
                assert np.array_equal(np.concatenate(given), data.y[order[first * 8 :]])

    def test_what_is_too_large_for_the_memory_is_streamed(
        self, frameworks: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(feed_for(frameworks[0], split(CLASSES), CLASSES, 8), Resident)
        monkeypatch.setattr("training.loop.feed.RESIDENT_SHARE", 1e-12)
        assert isinstance(feed_for(frameworks[0], split(CLASSES), CLASSES, 8), Streamed)

    @pytest.mark.parametrize("steps_per_call", [1, 3, 64])
    @pytest.mark.parametrize("kind", [Resident, Streamed])
    def test_steps_in_one_call_learn_what_single_steps_learn(
        self, frameworks: tuple[Any, Any], kind: Any, steps_per_call: int
    ) -> None:
        tf, keras = frameworks
        rows, order = split(CLASSES), batches.order(0, 0, 70)
        keras.utils.set_random_seed(1)
        first = learner_for(frameworks, CLASSES)
        for start in range(0, 70, 8):
            first.train_step(*batches.batch(rows, CLASSES, order[start : start + 8]))
        keras.utils.set_random_seed(1)
        second, progress = learner_for(frameworks, CLASSES), Progress()
        calls = Calls(second, kind(tf, rows, CLASSES, 8), steps_per_call, progress, time.monotonic)
        calls.begin(order)
        while progress.batch < 9:
            calls.go(9)
        assert progress.step == 9
        assert all(np.allclose(a, b, atol=1e-7) for a, b in zip(first.weights, second.weights, strict=True))
        assert first.sums.means() == pytest.approx(second.sums.means(), rel=1e-6)


class TestCalls:
    def test_quick_steps_are_bundled_slow_ones_are_not_and_the_choice_is_kept(
        self, frameworks: tuple[Any, Any]
    ) -> None:
        tf, _ = frameworks
        chosen = []
        for seconds in (0.0001, 0.004, 0.2):
            times = iter(np.arange(1000) * seconds)
            progress = Progress()
            learner = learner_for(frameworks, CLASSES)
            calls = Calls(
                learner, Resident(tf, split(CLASSES), CLASSES, 2), 0, progress, lambda times=times: next(times)
            )  # type: ignore[misc]
            calls.begin(np.arange(70))
            for _ in range(5):
                calls.go(35)
            chosen.append(progress.steps_per_call)
            Calls(learner, Resident(tf, split(CLASSES), CLASSES, 2), 0, progress, time.monotonic)
            assert progress.steps_per_call == chosen[-1]
        assert chosen == [256, 8, 1]


class TestOptimizing:
    @pytest.mark.parametrize(
        ("schedule", "wanted"),
        [
            ("constant", [0.5, 1, 1, 1, 1]),
            ("linear", [0.5, 1, 0.75, 0.5, 0]),
            ("cosine", [0.5, 1, 0.853553, 0.5, 0]),
            ("exponential", [0.5, 1, 0.316228, 0.1, 0.01]),
        ],
    )
    def test_the_learning_rate_rises_and_falls(
        self, frameworks: tuple[Any, Any], schedule: str, wanted: list[float]
    ) -> None:
        settings = LoopSettings(schedule=schedule, warmup_steps=2, learning_rate=2.0)
        made = optimizing.optimizer(frameworks[1], settings, 10, "float32")
        rate = made._learning_rate
        assert [float(rate(step)) / 2 for step in (0, 1, 4, 6, 10)] == pytest.approx(wanted, abs=1e-5)

    def test_long_gradients_are_cut_to_the_norm(self, frameworks: tuple[Any, Any]) -> None:
        learner = learner_for(frameworks, VALUES, optimizer="sgd", learning_rate=1.0, clip_norm=1e-3)
        before = [each.numpy() for each in learner.model.trainable_variables]
        learner.train_step(*batches.batch(split(VALUES), VALUES, slice(None)))
        moved = [a.numpy() - b for a, b in zip(learner.model.trainable_variables, before, strict=True)]
        assert math.sqrt(sum(float((each**2).sum()) for each in moved)) == pytest.approx(1e-3, rel=1e-3)

    def test_rare_classes_count_for_more(self, frameworks: tuple[Any, Any]) -> None:
        y = np.array([0] * 60 + [1] * 30 + [2] * 10)
        weights = optimizing.class_weights(CLASSES, LoopSettings(class_weights="balanced"), y)
        assert weights is not None and weights[y].mean() == pytest.approx(1)
        assert weights * [60, 30, 10] == pytest.approx([100 / 3] * 3)
        assert optimizing.class_weights(CLASSES, LoopSettings(), y) is None
        learner, rows = learner_for(frameworks, CLASSES), split(CLASSES, 8)
        x, targets = batches.batch(rows, CLASSES, slice(None))
        kept = [each.numpy() for each in learner.weights]
        learner.train_step(x, targets)
        plain = [each.numpy() for each in learner.weights]
        for variable, value in zip(learner.weights, kept, strict=True):
            variable.assign(value)
        tf, keras = frameworks
        only_first = Learner(
            tf, keras, learner.model, CLASSES, LoopSettings(), 100, weights=np.array([1, 0, 0], np.float32)
        )
        only_first.train_step(x, np.ones_like(targets))
        assert all(np.array_equal(a, b) for a, b in zip(kept, only_first.weights, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(kept, plain, strict=True))

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_half_precision_learns_and_keeps_float32_weights(self, frameworks: tuple[Any, Any], policy: str) -> None:
        tf, keras = frameworks
        keras.config.set_dtype_policy(policy)
        try:
            model = model_for(keras, CLASSES)
        finally:
            keras.config.set_dtype_policy("float32")
        learner = Learner(tf, keras, model, CLASSES, LoopSettings(learning_rate=0.05), 100, policy=policy)
        x, y = batches.batch(split(CLASSES), CLASSES, slice(None))
        losses = []
        for _ in range(20):
            learner.sums.reset()
            learner.train_step(x, y)
            losses.append(learner.sums.means()["loss"])
        assert losses[-1] < 0.8 * losses[0] and learner.bad_step is None
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}

    def test_xla_computes_the_same(self, frameworks: tuple[Any, Any]) -> None:
        x, y = batches.batch(split(VALUES, 16), VALUES, slice(None))
        losses = []
        for xla in ("on", "off"):
            frameworks[1].utils.set_random_seed(3)
            learner = learner_for(frameworks, VALUES, xla=xla)
            for _ in range(3):
                learner.train_step(x, y)
            losses.append(learner.sums.means()["loss"])
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


class TestSaving:
    """Saves beside the loop."""

    class Slow:
        """A sink that stores when it is told to."""

        def __init__(self) -> None:
            self.may_go = threading.Event()
            self.saved: list[tuple[int, list[Any]]] = []
            self.fault: Exception | None = None

        def save(self, state: Snapshot, progress: Progress, copied: Any) -> None:
            weights = [each.numpy() for each in state.parts(progress)["weights"]]
            copied()
            assert self.may_go.wait(60)
            if self.fault:
                raise self.fault
            self.saved.append((progress.step, weights))

    def test_steps_go_on_while_a_state_is_stored_and_what_is_stored_is_the_state_then(
        self, frameworks: tuple[Any, Any]
    ) -> None:
        learner, sink = learner_for(frameworks, CLASSES), self.Slow()
        saver = Saver(frameworks[0], learner, sink)
        before = [each.numpy() for each in learner.weights]
        saver.save(Progress(step=7))
        learner.train_step(*batches.batch(split(CLASSES), CLASSES, slice(None)))
        assert saver.is_busy and not sink.saved
        sink.may_go.set()
        saver.wait()
        ((step, weights),) = sink.saved
        assert step == 7 and all(map(np.array_equal, weights, before))

    def test_what_goes_wrong_is_raised_in_the_loop(self, frameworks: tuple[Any, Any]) -> None:
        learner, sink = learner_for(frameworks, CLASSES), self.Slow()
        sink.fault = MachineError("the disk is full", hint="make room")
        saver = Saver(frameworks[0], learner, sink)
        saver.save(Progress(step=7))
        saver.raise_failed()  # it has not failed yet
        sink.may_go.set()
        with pytest.raises(MachineError, match="disk is full"):
            saver.wait()
        saver.wait()
