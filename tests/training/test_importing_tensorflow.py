"""Keras files and SavedModel folders that were made elsewhere, with TensorFlow in this process."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.backends.choose import choose
from serving.backends.choose import load as load_backend
from skylift.artifacts import models, transfer
from skylift.artifacts.records import ModelManifest, ModelRef
from skylift.errors import InputError
from skylift.store import Store, open_store
from training.importing.add import Added, add
from training.importing.meaning import Meaning
from training.loop import backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]


@pytest.fixture(scope="module")
def frameworks() -> tuple[Any, Any]:
    return backend.start(0)


@pytest.fixture
def keep(tmp_path: Path) -> Store:
    (tmp_path / "keep").mkdir()
    return open_store(f"file://{tmp_path / 'keep'}")


def take(keep: Store, path: Path, **meaning: Any) -> Added:
    return add(path, keep.url, "mine", "tester", Meaning(**meaning))


def fetch(keep: Store, added: Added, folder: Path) -> ModelManifest:
    model = added.model
    ref = ModelRef(name=model.name, version=model.version, digest=model.digest)
    manifest = models.read_manifest(keep, ref)
    transfer.download_folder(keep, f"models/mine/{model.digest}", manifest.files, folder)
    return manifest


def picture_model(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12, 12, 1), name="image"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax", name="kind"),
        ]
    )


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_keras_file_lies_there_in_both_forms_that_serve_what_it_computes(
    frameworks: tuple[Any, Any], keep: Store, tmp_path: Path, ending: str
) -> None:
    model = picture_model(frameworks[1])
    path = tmp_path / f"net.{ending}"
    model.save(path)
    added = take(keep, path, labels=("cat", "dog", "owl"), is_image=True)
    assert added.notes == []
    manifest = fetch(keep, added, tmp_path / "copy")
    assert set(manifest.formats) == {"saved_model", "onnx", "keras"}
    assert all(form.parity is not None and form.parity.holds for form in manifest.formats.values())
    assert manifest.task.kind == "classification" and manifest.task.input_kind == "image"
    assert [(each.name, each.shape) for each in manifest.signature.inputs] == [("image", [None, 12, 12, 1])]
    assert [(each.name, each.shape) for each in manifest.signature.outputs] == [("kind", [None, 3])]
    rows = np.random.default_rng(3).integers(0, 256, (5, 12, 12, 1)).astype(np.float32)
    expected = model(rows, training=False).numpy()
    for choice in ("onnx", "tensorflow"):
        served = load_backend(manifest, tmp_path / "copy", choice, 1).run("serving_default", {"image": rows})
        assert np.abs(served["kind"] - expected).max() < 1e-4


def test_layers_that_are_random_in_training_are_still_in_serving(
    frameworks: tuple[Any, Any], keep: Store, tmp_path: Path
) -> None:
    _, keras = frameworks
    layers = [keras.layers.RandomFlip(), keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPooling2D()]
    keras.Sequential([keras.Input((8, 8, 3), name="image"), *layers]).save(tmp_path / "augmented.keras")
    manifest = fetch(keep, take(keep, tmp_path / "augmented.keras", is_image=True), tmp_path / "copy")
    assert set(manifest.formats) == {"saved_model", "onnx", "keras"}


def test_several_inputs_and_outputs_go_by_their_names(frameworks: tuple[Any, Any], keep: Store, tmp_path: Path) -> None:
    _, keras = frameworks
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right", dtype="int32")
    looked_up = keras.layers.Flatten()(keras.layers.Embedding(5, 2)(right))
    joined = keras.layers.Concatenate()([left, looked_up])
    outputs = {"price": keras.layers.Dense(1)(joined), "chance": keras.layers.Dense(1, "sigmoid")(joined)}
    keras.Model({"right": right, "left": left}, outputs).save(tmp_path / "two.keras")
    manifest = fetch(keep, take(keep, tmp_path / "two.keras"), tmp_path / "copy")
    assert {(each.name, each.dtype) for each in manifest.signature.inputs} == {("left", "float32"), ("right", "int32")}
    assert {each.name for each in manifest.signature.outputs} == {"price", "chance"}
    rows = {"left": np.ones((3, 4), np.float32), "right": np.ones((3, 6), np.int32)}
    loaded = keras.models.load_model(tmp_path / "two.keras")(rows)
    for choice in ("onnx", "tensorflow"):
        served = load_backend(manifest, tmp_path / "copy", choice, 1).run("serving_default", rows)
        for name in ("price", "chance"):
            assert np.abs(served[name] - loaded[name].numpy()).max() < 1e-4


def test_a_saved_model_is_stored_as_it_is_and_as_onnx(frameworks: tuple[Any, Any], keep: Store, tmp_path: Path) -> None:
    picture_model(frameworks[1]).export(tmp_path / "exported", verbose=False)
    added = take(keep, tmp_path / "exported", labels=("cat", "dog", "owl"), is_image=True)
    manifest = fetch(keep, added, tmp_path / "copy")
    assert set(manifest.formats) == {"saved_model", "onnx"} and added.notes == []
    for file in (tmp_path / "exported").rglob("*"):
        if file.is_file():
            copied = tmp_path / "copy" / "saved_model" / file.relative_to(tmp_path / "exported")
            assert copied.read_bytes() == file.read_bytes()
    for choice in ("onnx", "tensorflow"):
        load_backend(manifest, tmp_path / "copy", choice, 1).close()


def test_a_saved_model_that_onnx_cannot_hold_says_so_and_is_served_by_tensorflow(
    frameworks: tuple[Any, Any], keep: Store, tmp_path: Path
) -> None:
    tf, _ = frameworks
    module = tf.Module()
    function = tf.function(
        lambda x, text: {"y": tf.math.bessel_i0e(x), "upper": tf.strings.upper(text)},
        input_signature=[tf.TensorSpec([None, 2], name="x"), tf.TensorSpec([None], tf.string, name="text")],
    )
    module.serve = function
    tf.saved_model.save(module, str(tmp_path / "bessel"), signatures={"serving_default": function})
    added = take(keep, tmp_path / "bessel")
    assert "no ONNX form" in added.notes[0]
    manifest = fetch(keep, added, tmp_path / "copy")
    assert set(manifest.formats) == {"saved_model"} and not (tmp_path / "copy" / "model.onnx").exists()
    assert choose(manifest, "auto") == ("tensorflow", "saved_model")
    served = load_backend(manifest, tmp_path / "copy", "auto", 1)
    answer = served.run("serving_default", {"x": np.zeros((1, 2), np.float32), "text": np.array([b"a"], object)})
    assert answer["upper"].tolist() == [b"A"]


def test_a_saved_model_without_the_signature_names_those_that_it_has(
    frameworks: tuple[Any, Any], keep: Store, tmp_path: Path
) -> None:
    tf, _ = frameworks
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None, 2], name="x")])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"classify": module.f})
    with pytest.raises(InputError, match="no signature 'serving_default'; its signatures are classify"):
        take(keep, tmp_path / "other")
    tf.saved_model.save(module, str(tmp_path / "none"), signatures={})
    with pytest.raises(InputError, match="it has none at all"):
        take(keep, tmp_path / "none")


class TestRefused:
    def test_a_layer_whose_code_is_not_here(self, frameworks: tuple[Any, Any], keep: Store, tmp_path: Path) -> None:
        _, keras = frameworks

        class Doubled(keras.layers.Layer):  # type: ignore[misc, name-defined]
            def call(self, x: Any) -> Any:
                return 2 * x

        for ending in ("keras", "h5"):
            path = tmp_path / f"custom.{ending}"
            keras.Sequential([keras.Input((4,)), Doubled()]).save(path)
            with pytest.raises(InputError, match=r"custom layer or function: .*Doubled") as caught:
                take(keep, path)
            assert "model.export(folder)" in caught.value.hint

    def test_code_in_the_file_is_not_run(self, frameworks: tuple[Any, Any], keep: Store, tmp_path: Path) -> None:
        _, keras = frameworks
        for ending in ("keras", "h5"):
            path = tmp_path / f"lambda.{ending}"
            keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
            with pytest.raises(InputError, match="Lambda layer, which is code inside the file"):
                take(keep, path)

    def test_a_fixed_batch(self, frameworks: tuple[Any, Any], keep: Store, tmp_path: Path) -> None:
        _, keras = frameworks
        model = keras.Sequential([keras.Input(batch_shape=(4, 3), name="x"), keras.layers.Dense(1)])
        model.save(tmp_path / "fixed.keras")
        with pytest.raises(InputError, match=r"'x' has the shape \[4, 3\]: its first dimension is fixed"):
            take(keep, tmp_path / "fixed.keras")

    def test_a_wrong_number_of_labels(self, frameworks: tuple[Any, Any], keep: Store, tmp_path: Path) -> None:
        picture_model(frameworks[1]).save(tmp_path / "net.keras")
        with pytest.raises(InputError, match=r"3 value\(s\) per row .*2 labels are given"):
            take(keep, tmp_path / "net.keras", labels=("a", "b"))
        assert models.list_models(keep) == []

    def test_weights_alone_and_damaged_files(self, frameworks: tuple[Any, Any], keep: Store, tmp_path: Path) -> None:
        model = picture_model(frameworks[1])
        model.save(tmp_path / "net.h5")
        model.save_weights(tmp_path / "only.weights.h5")
        raw = (tmp_path / "net.h5").read_bytes()
        (tmp_path / "cut.h5").write_bytes(raw[: len(raw) // 2])
        with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
            archive.writestr("readme.txt", "no model")
        for name in ("only.weights.h5", "cut.h5", "other.keras"):
            with pytest.raises(InputError, match=f"Keras cannot load {name}"):
                take(keep, tmp_path / name)

    def test_a_saved_model_that_lost_its_weights(
        self, frameworks: tuple[Any, Any], keep: Store, tmp_path: Path
    ) -> None:
        picture_model(frameworks[1]).export(tmp_path / "exported", verbose=False)
        for file in (tmp_path / "exported" / "variables").iterdir():
            file.unlink()
        with pytest.raises(InputError, match="TensorFlow cannot load exported"):
            take(keep, tmp_path / "exported")
        (tmp_path / "exported" / "saved_model.pb").write_bytes(b"garbage")
        with pytest.raises(InputError, match="TensorFlow cannot load exported"):
            take(keep, tmp_path / "exported")
