"""The compiled loop and the exports, with TensorFlow in this process."""

from __future__ import annotations

import math
import random
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.artifacts import transfer
from skylift.errors import MachineError, RecipeError
from training.contract import Data, Input, Split, Task
from training.export import formats
from training.export.formats import ExportError, export_all
from training.loop import backend, batches, optimizing
from training.loop.calls import Calls
from training.loop.checkpoints import Checkpoints
from training.loop.checks import check_model
from training.loop.events import EventLog
from training.loop.feed import Resident, Streamed, feed_for
from training.loop.learner import Learner
from training.loop.progress import Progress
from training.loop.saving import Saver, Snapshot
from training.loop.settings import LoopSettings
from training.loop.stopping import Stopped, StopSignal
from training.loop.train import Training, evaluate, evaluate_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]

POINT = (Input((4,), "float32", "point"),)
CLASSES = Task("classification", "sparse_categorical_crossentropy", POINT, ("a", "b", "c"))
BINARY = Task("binary", "binary_crossentropy", POINT, ("no", "yes"))
VALUES = Task("regression", "mean_squared_error", POINT, metrics=("mean_absolute_error", "mean_squared_error"))
TWO_INPUTS = Task(
    "regression", "mean_squared_error", (Input((4,), "float32", "left"), Input((2, 3), "float32", "right")), metrics=()
)


@pytest.fixture(scope="module")
def frameworks() -> tuple[Any, Any]:
    return backend.start(0)


def split(task: Task, rows: int = 70, seed: int = 0) -> Split:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    if task.kind == "regression":
        y = (x @ [1.0, -2.0, 0.5, 0.0] + 3).astype(np.float32)
    else:
        y = (np.abs(x).argmax(axis=1) % len(task.labels)).astype(np.int64)
    if len(task.inputs) > 1:
        return Split({"left": x, "right": rng.normal(size=(rows, 2, 3)).astype(np.float32)}, y)
    return Split(x, y)


def model_for(keras: Any, task: Task, *, units: int | None = None, end: str | None = None) -> Any:
    ends = {"classification": (len(task.labels), "softmax"), "binary": (1, "sigmoid"), "regression": (1, None)}
    width, activation = ends[task.kind]
    inputs = [keras.Input(each.shape, name=each.name, dtype=each.dtype) for each in task.inputs]
    flat = [keras.layers.Flatten()(each) for each in inputs]
    joined = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    last = keras.layers.Dense(units or width, activation=end or activation)(keras.layers.Dense(8, "relu")(joined))
    return keras.Model(inputs if len(inputs) == 1 else {each.name: each for each in inputs}, last)


def learner_for(frameworks: tuple[Any, Any], task: Task, **settings: Any) -> Learner:
    tf, keras = frameworks
    return Learner(tf, keras, model_for(keras, task), task, LoopSettings(**settings), 100)


class TestLearner:
    def test_one_step_of_sgd_is_what_the_formula_says(self, frameworks: tuple[Any, Any]) -> None:
        tf, keras = frameworks
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        learner = Learner(tf, keras, model, VALUES, LoopSettings(optimizer="sgd", learning_rate=0.1), 10)
        weights, bias = (each.numpy().astype(np.float64) for each in model.trainable_variables)
        rows = split(VALUES, 8)
        x, y = batches.inputs_of(rows, POINT, slice(None)), batches.targets_of(VALUES, rows.y)
        assert not isinstance(x, dict)
        error = x @ weights + bias - y
        learner.train_step(x, y)
        expected = weights - 0.1 * 2 * x.T @ error / 8, bias - 0.1 * 2 * error.mean()
        assert np.allclose(model.trainable_variables[0].numpy(), expected[0], atol=1e-5)
        assert np.allclose(model.trainable_variables[1].numpy(), expected[1], atol=1e-5)
        assert learner.sums.means()["loss"] == pytest.approx((error**2).mean(), rel=1e-5)

    @pytest.mark.parametrize("task", [CLASSES, BINARY, VALUES])
    def test_metrics_over_uneven_batches_are_those_of_all_rows_at_once(
        self, frameworks: tuple[Any, Any], task: Task
    ) -> None:
        learner, rows = learner_for(frameworks, task), split(task, 300)
        measured, outputs = evaluate_rows(learner, rows, task)
        assert measured == evaluate(learner, rows, task)
        out, y = outputs.astype(np.float64), rows.y
        if task.kind == "classification":
            expected = {"loss": -np.log(out[np.arange(300), y]).mean(), "accuracy": (out.argmax(1) == y).mean()}
        elif task.kind == "binary":
            p = out[:, 0]
            expected = {"loss": -np.where(y == 1, np.log(p), np.log1p(-p)).mean(), "accuracy": ((p >= 0.5) == y).mean()}
        else:
            squares = ((out[:, 0] - y) ** 2).mean()
            expected = {
                "loss": squares,
                "mean_squared_error": squares,
                "mean_absolute_error": np.abs(out[:, 0] - y).mean(),
            }
        assert measured == pytest.approx(expected, rel=1e-4)

    def test_the_first_step_that_is_no_number_is_remembered(self, frameworks: tuple[Any, Any]) -> None:
        learner, rows = learner_for(frameworks, VALUES), split(VALUES, 8)
        x, y = np.asarray(rows.x), batches.targets_of(VALUES, rows.y)
        learner.train_step(x, y)
        assert learner.bad_step is None
        learner.train_step(x * math.inf, y)
        learner.train_step(x, y)
        assert learner.bad_step == 2


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
                assert np.array_equal(y.numpy(), wanted_y) and y.dtype == wanted_y.dtype
                pairs = (
                    [(x[each], wanted_x[each]) for each in wanted_x] if isinstance(wanted_x, dict) else [(x, wanted_x)]
                )
                assert all(np.array_equal(given.numpy(), wanted) for given, wanted in pairs)

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


class TestChecks:
    @pytest.mark.parametrize(
        ("task", "change", "said"),
        [
            (CLASSES, {"units": 5}, r"gives \[5\] per row, the task has 3 labels: expected \[3\]"),
            (CLASSES, {"end": "relu"}, "end it in `softmax`"),
            (BINARY, {"units": 2}, r"gives \[2\] per row"),
            (BINARY, {"end": "softplus"}, "end it in `sigmoid`"),
            (VALUES, {"units": 3}, r"gives \[3\] per row"),
        ],
    )
    def test_a_model_that_does_not_fit_its_task_is_refused(
        self, frameworks: tuple[Any, Any], task: Task, change: dict[str, Any], said: str
    ) -> None:
        rows = split(task)
        data = Data(Split(np.asarray(rows.x) * 50, rows.y), rows, rows)
        with pytest.raises(RecipeError, match=said):
            check_model("mine", model_for(frameworks[1], task, **change), data, task)

    def test_a_model_of_other_inputs_is_refused(self, frameworks: tuple[Any, Any]) -> None:
        wide = Task("regression", "mean_squared_error", (Input((9,), "float32", "point"),))
        rows = split(VALUES)
        with pytest.raises(RecipeError, match=r"cannot be called with inputs point \[4\] float32"):
            check_model("mine", model_for(frameworks[1], wide), Data(rows, rows, rows), VALUES)

    @pytest.mark.parametrize("task", [CLASSES, BINARY, VALUES, TWO_INPUTS])
    def test_models_that_fit_are_taken(self, frameworks: tuple[Any, Any], task: Task) -> None:
        rows = split(task)
        check_model("mine", model_for(frameworks[1], task), Data(rows, rows, rows), task)


class StopsAt(StopSignal):
    """Asks for a stop when so many steps are done."""

    def __init__(self, training: Training, step: int) -> None:
        self._training, self._at = training, step
        super().__init__()

    @property
    def asked(self) -> bool:
        return self._training.progress.step >= self._at

    @asked.setter
    def asked(self, value: bool) -> None:
        pass


class TestLoop:
    def training(self, frameworks: tuple[Any, Any], bench: Any, **settings: Any) -> Training:
        learner = learner_for(frameworks, CLASSES, **settings)
        rows = split(CLASSES)
        sink = Checkpoints(frameworks[0], bench.work, "20260101t000000-abcdef", bench.folder / "scratch")
        return Training(
            run="20260101t000000-abcdef",
            seed=0,
            learner=learner,
            task=CLASSES,
            data=Data(rows, split(CLASSES, 20, 1), rows),
            settings=LoopSettings(**settings),
            progress=Progress(),
            saver=Saver(frameworks[0], learner, sink),
            events=EventLog(bench.work, "20260101t000000-abcdef"),
            stop=StopSignal(),
            tell=lambda text: None,
        )

    def test_without_better_validation_it_stops_early_and_the_best_weights_stay(
        self, frameworks: tuple[Any, Any], bench: Any
    ) -> None:
        training = self.training(frameworks, bench, epochs=50, learning_rate=100.0, patience=3, batch_size=32)
        best: list[Any] = []
        remember = training.saver.remember_best

        def noted() -> None:
            best[:] = [each.numpy() for each in training.learner.weights]
            remember()

        training.saver.remember_best = noted  # type: ignore[method-assign]
        progress = training.learn()
        assert progress.best is not None and progress.stopped_early and progress.epoch == progress.best.epoch + 3
        assert not all(map(np.array_equal, best, (each.numpy() for each in training.learner.weights)))
        steps = bench.saved_steps(training.run)
        assert progress.step in steps and len(steps) <= 2
        found = self.training(frameworks, bench)
        sink = Checkpoints(frameworks[0], bench.work, training.run, bench.folder / "again")
        sink.restore(found.learner, training.run, progress.step, found.saver.snapshot.best.variables)
        found.saver.take_best()
        assert all(map(np.array_equal, best, (each.numpy() for each in found.learner.weights)))

    def test_stopped_anywhere_and_resumed_each_time_it_ends_with_the_same_bits(
        self, frameworks: tuple[Any, Any], bench: Any
    ) -> None:
        def model_with_dropout() -> Any:
            keras = frameworks[1]
            keras.utils.set_random_seed(11)
            layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(3, "softmax")]
            return keras.Sequential([keras.Input((4,)), *layers])

        def training(run: str) -> Training:
            made = self.training(frameworks, bench, epochs=6, batch_size=4, steps_per_call=1, schedule="cosine")
            made.run = run
            made.learner = Learner(*frameworks, model_with_dropout(), CLASSES, made.settings, 108)
            made.saver = Saver(
                frameworks[0], made.learner, Checkpoints(frameworks[0], bench.work, run, bench.folder / "s")
            )
            return made

        whole = training("20260101t000000-aaaaaa")
        whole.learn()
        stops = sorted(random.sample(range(1, 107), 4))
        print(f"stopped behind steps {stops}")
        broken = training("20260101t000000-bbbbbb")
        for stop in stops:
            broken.stop = StopsAt(broken, stop)  # type: ignore[assignment]
            with pytest.raises(Stopped):
                broken.learn()
            progress = broken.progress
            assert progress.step == stop
            broken = training("20260101t000000-bbbbbb")
            sink = Checkpoints(frameworks[0], bench.work, broken.run, bench.folder / "s")
            found = next(sink.whole(broken.run))
            sink.restore(broken.learner, broken.run, found.step, broken.saver.snapshot.best.variables)
            broken.progress = found.progress
        broken.learn()
        assert broken.progress.step == whole.progress.step == 108
        assert [row.metrics for row in broken.progress.history] == [row.metrics for row in whole.progress.history]
        for one, other in (
            (whole.learner.weights, broken.learner.weights),
            (whole.learner.state, broken.learner.state),
        ):
            assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(one, other, strict=True))
        best = [each.saver.snapshot.best.variables for each in (whole, broken)]
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(*best, strict=True))

    def test_a_checkpoint_of_another_model_is_refused(self, frameworks: tuple[Any, Any], bench: Any) -> None:
        training = self.training(frameworks, bench, epochs=1)
        training.learn()
        sink = Checkpoints(frameworks[0], bench.work, training.run, bench.folder / "again")
        with pytest.raises(RecipeError, match="does not fit the model"):
            sink.restore(learner_for(frameworks, VALUES), training.run, 3)

    def test_what_a_killed_attempt_left_half_written_is_written_again(
        self, frameworks: tuple[Any, Any], bench: Any
    ) -> None:
        training = self.training(frameworks, bench, epochs=1)
        prefix = "checkpoints/20260101t000000-abcdef/000000000003"
        bench.work.put(f"{prefix}/weights.data-00000-of-00001", b"half")
        bench.work.put(f"{prefix}/stray", b"left")
        training.learn()
        sink = Checkpoints(frameworks[0], bench.work, training.run, bench.folder / "again")
        (found,) = sink.whole(training.run)
        transfer.verify_folder(bench.work, prefix, found.files)
        assert not [stat for stat in bench.work.names(prefix) if stat.key.endswith("stray")]


class TestExport:
    @pytest.mark.parametrize("task", [CLASSES, BINARY, VALUES, TWO_INPUTS])
    def test_every_kind_exports_in_both_forms_with_its_own_names_and_any_number_of_rows(
        self, frameworks: tuple[Any, Any], tmp_path: Path, task: Task
    ) -> None:
        import onnxruntime

        tf, keras = frameworks
        exported = export_all(tf, model_for(keras, task), task, split(task), tmp_path / "model")
        assert exported.notes == []
        assert set(exported.formats) == {"saved_model", "onnx"}
        assert all(each.parity and each.parity.holds and each.parity.rows == 70 for each in exported.formats.values())
        session = onnxruntime.InferenceSession(str(tmp_path / "model" / "model.onnx"))
        assert [each.name for each in session.get_inputs()] == [each.name for each in task.inputs]
        signature = tf.saved_model.load(str(tmp_path / "model" / "saved_model")).signatures["serving_default"]
        assert set(signature.structured_input_signature[1]) == {each.name for each in task.inputs}
        assert not isinstance(session.get_inputs()[0].shape[0], int)

    def test_a_model_that_onnx_cannot_hold_keeps_its_saved_model_and_says_so(
        self, frameworks: tuple[Any, Any], tmp_path: Path
    ) -> None:
        tf, keras = frameworks

        class Spectrum(keras.layers.Layer):  # type: ignore[misc, name-defined]
            def call(self, x: Any) -> Any:
                return tf.math.bessel_i0e(x)

        model = keras.Sequential([keras.Input((4,)), Spectrum(), keras.layers.Dense(1)])
        exported = export_all(tf, model, VALUES, split(VALUES), tmp_path / "model")
        assert set(exported.formats) == {"saved_model"}
        assert len(exported.notes) == 1 and "no ONNX form" in exported.notes[0]
        assert not (tmp_path / "model" / "model.onnx").exists()

    def test_an_onnx_form_that_computes_something_else_is_dropped_a_saved_model_fails(
        self, frameworks: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tf, keras = frameworks

        def off_by(write: Any, much: float) -> Any:
            def written(*arguments: Any) -> Any:
                run = write(*arguments)
                return lambda rows: {name: output + much for name, output in run(rows).items()}

            return written

        monkeypatch.setattr(formats, "_write_onnx", off_by(formats._write_onnx, 0.01))
        exported = export_all(tf, model_for(keras, VALUES), VALUES, split(VALUES), tmp_path / "model")
        assert "differs from the model by 0.01 on 70 rows" in exported.notes[0]
        monkeypatch.setattr(formats, "_write_saved_model", off_by(formats._write_saved_model, math.nan))
        with pytest.raises(ExportError, match="saved_model differs"):
            export_all(tf, model_for(keras, VALUES), VALUES, split(VALUES), tmp_path / "model")
