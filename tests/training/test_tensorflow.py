"""The compiled loop and the exports, with TensorFlow in this process."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.artifacts import transfer
from skylift.errors import RecipeError
from tests.training.small import BINARY, CLASSES, POINT, TWO_INPUTS, VALUES, learner_for, model_for, split
from training.contract import Data, Input, Split, Task
from training.export import formats
from training.export.formats import ExportError, export_all
from training.loop import batches
from training.loop.checkpoints import Checkpoints
from training.loop.checks import check_model
from training.loop.events import EventLog
from training.loop.learner import Learner
from training.loop.progress import Progress
from training.loop.saving import Saver
from training.loop.settings import LoopSettings
from training.loop.stopping import Stopped, StopSignal
from training.loop.train import Training, evaluate, evaluate_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]


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
        assert set(exported.formats) == {"saved_model", "onnx", "keras"}
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
        assert "no ONNX form" in exported.notes[0]
        assert "no Keras form: model.keras cannot be read again: it has custom code: Could not" in exported.notes[1]
        assert [each.name for each in (tmp_path / "model").iterdir()] == ["saved_model"]

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
        monkeypatch.setattr(formats, "write_saved_model", off_by(formats.write_saved_model, math.nan))
        with pytest.raises(ExportError, match="saved_model differs"):
            export_all(tf, model_for(keras, VALUES), VALUES, split(VALUES), tmp_path / "model")
