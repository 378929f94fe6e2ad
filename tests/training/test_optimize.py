"""A real CNN that learned real digits, made smaller and faster by every method, published and served."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from serving.backends.choose import load as load_backend
from skylift.artifacts import layout, models, transfer
from skylift.artifacts.optimized import Form, Optimized
from skylift.artifacts.records import ModelManifest
from skylift.errors import InputError
from tests.training.conftest import Bench
from training.export.compare import ExportError
from training.export.one import export
from training.export.running import onnx_runner, onnx_session
from training.export.tflite import runner as tflite_runner
from training.importing.add import add
from training.importing.meaning import Meaning
from training.optimize.bench import Asked, UnfitError
from training.optimize.channels import without_channels
from training.optimize.optimizing import Order, methods, optimize
from training.published import open_published, some_rows
from training.recipes import resnet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]

SPARSITY = 0.7


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A stack's buckets with the model `digits`, trained by the bundled recipe."""
    made = Bench(tmp_path_factory.mktemp("digits"))
    run = made.ask("mnist", hp={"epochs": 3, "schedule": "constant"}, model="digits")
    code, printed = made.run(run)
    assert code == 0, printed
    return made


@pytest.fixture(scope="module")
def every(digits: Bench, frameworks: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Optimized, list[str]]:
    """Every method in one go, with what was told; cut channels become version 2."""
    told: list[str] = []
    order = Order("digits:1", "tester", max_loss=0.1, publish="channels", asked=Asked(epochs=1, sparsity=SPARSITY))
    scratch = tmp_path_factory.mktemp("every")
    return optimize(digits.keep, order, scratch, lambda done, total, text: told.append(text)), told


def row_of(result: Optimized, method: str, form: str = "onnx") -> Form:
    return next(row for row in result.rows if (row.method, row.format) == (method, form))


def fetch(digits: Bench, name: str, folder: Path) -> ModelManifest:
    ref = models.resolve(digits.keep, name)
    manifest = models.read_manifest(digits.keep, ref)
    folder.mkdir()
    transfer.download_folder(digits.keep, layout.model(ref.name, ref.digest), manifest.files, folder)
    return manifest


def test_every_method_gives_rows_that_were_measured_in_their_own_runtime(every: tuple[Optimized, list[str]]) -> None:
    result, told = every
    assert result.skipped == [] and result.notes == [] and result.test_rows == 1000
    assert {row.method for row in result.rows} == {"original", *methods()}
    for row in result.rows:
        assert row.value is not None and row.value > 0.9 and row.ms_batch_1 > 0 and row.ms_batch_32 > row.ms_batch_1
    original, lite = row_of(result, "original"), row_of(result, "original", "tflite")
    for method, share in (("int8", 0.3), ("float16", 0.55), ("weights-int8", 0.4), ("qat", 0.3)):
        assert row_of(result, method).bytes < share * original.bytes
    for method, share in (("int8", 0.3), ("float16", 0.55)):
        assert row_of(result, method, "tflite").bytes < share * lite.bytes
    assert row_of(result, "weights-int8").details == {"layers": "2 Dense of 4 layers with weights"}
    assert row_of(result, "int8").details["onnx_operations"] == 4 and row_of(result, "qat").details["layers"] == 4
    assert "prune: epoch 1 of 1" in told and told[-1] == "measuring"


def test_pruning_reaches_its_sparsity_which_only_compression_shows_and_cut_channels_are_gone(
    every: tuple[Optimized, list[str]],
) -> None:
    result, _ = every
    original, pruned, cut = (row_of(result, method) for method in ("original", "prune", "channels"))
    assert abs(pruned.details["sparsity"] - SPARSITY) < 0.005
    assert pruned.gzip_bytes < 0.5 * original.gzip_bytes and pruned.bytes > 0.95 * original.bytes
    assert cut.bytes < 0.15 * original.bytes and cut.details["parameters"].startswith("225,034 to ")
    assert cut.ms_batch_32 < original.ms_batch_32


def test_what_is_published_is_a_version_that_says_what_was_done_and_is_served(
    digits: Bench, every: tuple[Optimized, list[str]], tmp_path: Path
) -> None:
    result, _ = every
    assert result.published is not None and result.published.version == 2
    assert result.published_method == "channels"
    manifest = fetch(digits, "digits:2", tmp_path / "version")
    row = row_of(result, "channels")
    done = manifest.optimized
    assert done is not None and (done.method, done.of.version, done.max_loss) == ("channels", 1, 0.1)
    assert done.loss == row.loss and done.settings["asked_sparsity"] == SPARSITY and done.settings["seed"] == 0
    assert manifest.metrics["accuracy"] == pytest.approx(row.value) and manifest.recipe == "mnist"
    assert all(form.parity is not None and form.parity.holds for form in manifest.formats.values())
    opened = open_published(digits.keep, "digits:2", tmp_path)
    assert opened.model.count_params() < 60_000 and opened.rebuild is not None
    rows = some_rows(opened, 64)
    said = np.asarray(opened.model(rows["image"]))
    for choice in ("onnx", "tensorflow"):
        served = load_backend(manifest, tmp_path / "version", choice, 1).run("serving_default", rows)
        assert np.abs(served["probabilities"] - said).max() < 1e-4


def test_int8_is_published_with_its_tflite_file_beside_and_both_say_the_same(digits: Bench, tmp_path: Path) -> None:
    order = Order("digits:1", "tester", methods=["int8"], max_loss=0.03, publish="int8")
    result = optimize(digits.keep, order, tmp_path / "scratch", lambda done, total, text: None)
    assert result.published is not None, result.failure
    name = f"digits:{result.published.version}"
    manifest = fetch(digits, name, tmp_path / "version")
    assert set(manifest.formats) == {"onnx", "tflite"} and (tmp_path / "version" / layout.SAMPLES).exists()
    stored = onnx.load(str(tmp_path / "version" / "model.onnx")).graph.initializer
    assert sum(each.data_type == onnx.TensorProto.INT8 for each in stored) >= 4
    data = open_published(digits.keep, "digits:1", tmp_path / "original").need_data("to test with")
    rows = {"image": data.test.x[:200].astype(np.float32)}  # type: ignore[index]
    ours = load_backend(manifest, tmp_path / "version", "auto", 1).run("serving_default", rows)["probabilities"]
    lite = tflite_runner(tmp_path / "version" / "model.tflite")(rows)["probabilities"]
    assert (ours.argmax(-1) == lite.argmax(-1)).mean() > 0.97
    assert (ours.argmax(-1) == data.test.y[:200]).mean() > 0.9
    with pytest.raises(InputError, match=f"{name} was made by int8 and has no Keras model, only onnx, tflite"):
        open_published(digits.keep, name, tmp_path / "again")


def test_what_loses_too_much_is_refused_and_never_published(digits: Bench, tmp_path: Path) -> None:
    before = len(models.list_versions(digits.keep, "digits"))
    order = Order("digits:1", "tester", ["channels"], 0.001, "channels", Asked(epochs=1, sparsity=0.97))
    result = optimize(digits.keep, order, tmp_path, lambda done, total, text: None)
    row = row_of(result, "channels")
    assert row.verdict == "refused" and row.loss is not None and row.loss > 0.001
    assert result.failure.startswith("channels is not published: it loses 0.") and "--max-loss 0.001" in result.failure
    assert result.published is None and result.choice.method is None
    assert len(models.list_versions(digits.keep, "digits")) == before


def test_a_models_missing_forms_are_made_and_compared_when_asked_for(digits: Bench, tmp_path: Path) -> None:
    opened = open_published(digits.keep, "digits:1", tmp_path / "scratch")
    rows = some_rows(opened, 32)
    said = np.asarray(opened.model(rows["image"]))
    made = export(digits.keep.url, "digits:1", "tflite", tmp_path / "phone.tflite")
    assert made.is_new and made.form.parity is not None and made.form.parity.rows == 256
    assert np.abs(tflite_runner(tmp_path / "phone.tflite")(rows)["probabilities"] - said).max() < 1e-4
    assert export(digits.keep.url, "digits:1", "h5", tmp_path / "old.h5").bytes == (tmp_path / "old.h5").stat().st_size
    again = opened.keras.models.load_model(tmp_path / "old.h5", compile=False)
    assert np.abs(np.asarray(again(rows["image"])) - said).max() < 1e-6
    assert not export(digits.keep.url, "digits:1", "onnx", tmp_path / "served.onnx").is_new
    assert np.abs(onnx_runner(onnx_session(tmp_path / "served.onnx"))(rows)["probabilities"] - said).max() < 1e-4
    with pytest.raises(InputError, match="exists already"):
        export(digits.keep.url, "digits:1", "h5", tmp_path / "old.h5")


def test_a_model_made_elsewhere_can_have_what_needs_no_data_and_nothing_invalid(
    digits: Bench, frameworks: Any, tmp_path: Path
) -> None:
    _, keras = frameworks
    row = keras.Input((12, 8), name="row")
    x = keras.layers.Add()([row, keras.layers.MultiHeadAttention(2, 4)(row, row)])
    x = keras.layers.Dense(512, activation=keras.activations.gelu)(keras.layers.LayerNormalization()(x))
    out = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling1D()(x))
    keras.Model(row, out).save(tmp_path / "exact.keras")
    added = add(tmp_path / "exact.keras", digits.keep.url, "exact", "somebody", Meaning(("a", "b", "c"), "", False))
    assert "ONNX has no form of the exact GELU" in added.notes[0]
    with pytest.raises(ExportError, match="exact:1 has no ONNX form") as refused:
        export(digits.keep.url, "exact", "onnx", tmp_path / "exact.onnx")
    assert "approximate=True" in refused.value.hint
    assert [each.name for each in tmp_path.iterdir()] == ["exact.keras"]

    order = Order("exact", "tester", ["float16", "int8", "prune"], publish="best")
    result = optimize(digits.keep, order, tmp_path / "scratch", lambda done, total, text: None)
    half = row_of(result, "float16", "tflite")
    assert half.verdict == "unjudged" and half.loss is None and half.bytes < row_of(result, "original", "tflite").bytes
    assert [each.method for each in result.skipped] == ["int8", "prune"]
    assert "exact:1 was made elsewhere: there is no data to calibrate with" in result.skipped[0].why
    assert result.published is None and "no loss could be measured" in result.failure


def test_channels_are_cut_along_residual_sums_and_the_pruned_model_computes_with_what_is_left(frameworks: Any) -> None:
    _, keras = frameworks
    model = resnet.build(resnet.Hyperparameters(), resnet.load(resnet.Hyperparameters(), None))
    smaller = without_channels(keras, model, 0.5)
    assert smaller.count_params() < 0.3 * model.count_params()
    assert smaller.output_shape == model.output_shape and smaller.input_shape == model.input_shape
    pair = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
    first, _, second, _ = pair.get_weights()
    first[:, 4:], second[4:] = 0, 0  # what is cut here says nothing, so what is left says all
    pair.set_weights([first, np.zeros(8), second, np.ones(2)])
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    cut = without_channels(keras, pair, 0.5)
    assert cut.layers[1].units == 4 and np.allclose(cut(rows), pair(rows), atol=1e-6)
    recurrent = keras.Sequential([keras.Input((6, 1)), keras.layers.LSTM(8), keras.layers.Dense(1)])
    with pytest.raises(UnfitError, match="no chain of convolutions and dense layers without LSTM"):
        without_channels(keras, recurrent, 0.5)


def test_unknown_methods_and_settings_are_one_clear_error(digits: Bench) -> None:
    command = [sys.executable, "-P", "-m", "training", "optimize", "digits", "--keep", digits.keep.url, "--by", "me"]
    done = subprocess.run([*command, "--method", "int9", "--json"], capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)["error"]
    assert done.returncode == 3 and said["message"] == "there is no method 'int9' to optimise by"
    assert said["hint"] == "did you mean 'int8'?"
    for wrong, message in (
        ({"asked": Asked(sparsity=1.0)}, "sparsity 1.0 is not between 0 and 1"),
        ({"asked": Asked(epochs=0)}, "0 epochs are none"),
        ({"max_loss": float("nan")}, "max-loss nan is no loss"),
        ({"methods": ["int8"], "publish": "prune"}, "'prune' is to be published, but not tried"),
    ):
        with pytest.raises(InputError, match=message):
            optimize(digits.keep, Order("digits", "me", **wrong), Path("unused"), lambda done, total, text: None)
