"""The forms that are asked for: stored when they compute what the model computes, else refused before anything has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import models
from training.export import formats
from training.export.formats import export_all
from training.recipes import attention, sequence, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]

ALL = formats.FORMATS


def test_a_transformer_has_all_forms_but_h5_and_with_exact_gelu_no_onnx(frameworks: Any, tmp_path: Path) -> None:
    tf, keras = frameworks
    hp = text.Hyperparameters(width=16, heads=2)
    data, task = text.load(hp, None), text.task(hp)
    exported = export_all(tf, text.build(hp, data), task, data.test, tmp_path / "tanh", ALL)
    assert set(exported.formats) == {"saved_model", "keras", "onnx", "tflite"}
    for form in exported.formats.values():
        assert form.parity is not None and form.parity.max_abs_difference < 1e-5 and form.parity.rows == 256
    assert "HDF5 knows layers alone" in exported.failed[".h5"].message and ".keras" in exported.failed[".h5"].hint

    row = keras.Input((hp.length,), dtype="uint8", name="text")
    x = attention.embedding(hp.width)(row)
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 8)(x, x)])
    x = keras.layers.Activation(lambda x: keras.activations.gelu(x, approximate=False))(keras.layers.Dense(32)(x))
    out = keras.layers.Dense(10, activation="softmax")(keras.layers.GlobalAveragePooling1D()(x))
    exported = export_all(tf, keras.Model(row, out), task, data.test, tmp_path / "exact", ("onnx", "tflite"))
    assert set(exported.formats) == {"saved_model", "tflite"}
    assert "exact GELU" in exported.failed["ONNX"].message and "approximate=True" in exported.failed["ONNX"].hint
    assert not (tmp_path / "exact" / "model.onnx").exists()


def test_an_lstm_has_a_tflite_form_when_it_is_unrolled(frameworks: Any, tmp_path: Path) -> None:
    tf, keras = frameworks
    hp = sequence.Hyperparameters(cell="lstm", units=8)
    data, task = sequence.load(hp, None), sequence.task(hp)
    exported = export_all(tf, sequence.build(hp, data), task, data.test, tmp_path / "loop", ("onnx", "h5", "tflite"))
    assert set(exported.formats) == {"saved_model", "onnx", "h5"}
    assert "unroll=True" in exported.failed["TFLite"].hint and not (tmp_path / "loop" / "model.tflite").exists()
    layers = [keras.Input((hp.window, 1), name="years"), keras.layers.LSTM(8, unroll=True), keras.layers.Dense(1)]
    exported = export_all(tf, keras.Sequential(layers), task, data.test, tmp_path / "unrolled", ("h5", "tflite"))
    assert set(exported.formats) == {"saved_model", "h5", "tflite"}


def test_a_run_stores_the_forms_that_were_asked_for_beside_the_saved_model(bench: Any) -> None:
    run = bench.ask(hp={"epochs": 1}, formats=["h5", "tflite"])
    code, printed = bench.run(run)
    assert code == 0, printed
    manifest = models.read_manifest(bench.keep, models.resolve(bench.keep, "points"))
    assert set(manifest.formats) == {"saved_model", "onnx", "keras", "h5", "tflite"}
    assert all(form.parity is not None and form.parity.holds for form in manifest.formats.values())


def test_a_run_whose_model_cannot_have_an_asked_form_ends_before_it_learns(bench: Any) -> None:
    run = bench.ask("sequence", hp={"cell": "lstm"}, formats=["onnx", "tflite"])
    code, printed = bench.run(run)
    result = bench.result(run)
    assert code == 9 and result.steps == 0 and result.failure.kind == "export"
    assert "the model cannot be stored as TFLite" in printed and "unroll=True" in result.failure.hint
    assert bench.saved_steps(run) == [] and models.list_models(bench.keep) == []
