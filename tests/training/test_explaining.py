"""Explanations against what is known of a model, and of real data against what must hold of every model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from serving.backends.choose import load as load_backend
from skylift.artifacts import layout, models, runs, transfer
from skylift.artifacts.records import ModelManifest, ModelRef, TaskInfo, now
from skylift.artifacts.texts import row_of
from skylift.cli._group import cli
from skylift.client.explaining import explain as ask
from skylift.errors import InputError, MachineError, NotFoundError
from training.contract import Data, Input, Split, Task
from training.explain import explaining
from training.explain.explaining import explain
from training.explain.inlets import Inlets
from training.explain.integrated_gradients import Integrator
from training.explain.methods import fitting
from training.explain.pages import render
from training.explain.pictures import png
from training.explain.target import choose
from training.export.signature import signature_of, task_info
from training.importing.add import add
from training.importing.meaning import Meaning
from training.published import Published, open_published
from training.recipes import mnist, tabular, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]

COLUMNS = ("radius", "texture", "area", "noise")
WEIGHTS = np.array([2.0, -1.0, 0.0, 0.5], np.float32)
TABLE = Task(
    "regression", "mean_squared_error", (Input((4,), "float32", "row"),), input_kind="tabular", input_names=COLUMNS
)
PICTURE = Task(
    "binary",
    "binary_crossentropy",
    (Input((28, 28, 1), "float32", "image"),),
    ("plain", "patched"),
    input_kind="image",
    dark_background=True,
)
LETTERS = Task(
    "binary", "binary_crossentropy", (Input((24,), "uint8", "text"),), ("without", "with"), input_kind="text"
)


def opened(frameworks: tuple[Any, Any], model: Any, task: Task, data: Data | None) -> Published:
    """What open_published gives, of a model that is in no bucket."""
    tf, keras = frameworks
    manifest = ModelManifest(
        name="made",
        created=now(),
        by="tester",
        signature=signature_of(task, [None, *model.output_shape[1:]]),
        task=task_info(task),
        formats={},
        files=[],
    )
    return Published(tf, keras, ModelRef(name="made", version=1, digest="0" * 64), manifest, Path(), model, task, data)


def taught(frameworks: tuple[Any, Any], recipe: Any, epochs: int) -> Published:
    """A bundled recipe's model on its own data, after a little learning."""
    hp = recipe.Hyperparameters()
    data, task = recipe.load(hp, None), recipe.task(hp)
    frameworks[1].utils.set_random_seed(3)
    model = recipe.build(hp, data)
    model.compile("adam", task.loss)
    model.fit(data.train.x, data.train.y, batch_size=64, epochs=epochs, verbose=0)
    return opened(frameworks, model, task, data)


def one_of(split: Split, task: Task, row: int) -> dict[str, Any]:
    return {task.inputs[0].name: np.asarray(split.x[row : row + 1], task.inputs[0].dtype)}


def only(found: Any) -> Any:
    ((_, explanation),) = found.given
    return explanation


@pytest.fixture(scope="module")
def linear(frameworks: tuple[Any, Any]) -> Published:
    """A model that is `row @ WEIGHTS + 3`, with data."""
    _, keras = frameworks
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = (x @ WEIGHTS + 3 + rng.normal(scale=0.1, size=300)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,), name="row"), keras.layers.Dense(1)])
    model.layers[-1].set_weights([WEIGHTS[:, None], np.array([3.0], np.float32)])
    cut = [Split(x[a:b], y[a:b]) for a, b in ((0, 80), (80, 100), (100, 300))]
    return opened(frameworks, model, TABLE, Data(*cut))


@pytest.fixture(scope="module")
def digits(frameworks: tuple[Any, Any]) -> Published:
    return taught(frameworks, mnist, 1)


@pytest.fixture(scope="module")
def examinations(frameworks: tuple[Any, Any]) -> Published:
    return taught(frameworks, tabular, 20)


@pytest.fixture(scope="module")
def languages(frameworks: tuple[Any, Any]) -> Published:
    return taught(frameworks, text, 1)


class TestOfLinearModels:
    """Everything about them is known."""

    def test_integrated_gradients_are_the_weights_times_the_way_from_the_mean(self, linear: Published) -> None:
        found = only(explain(linear, one_of(linear.data.test, TABLE, 0), methods=["integrated-gradients"]))
        way = linear.data.test.x[0] - linear.data.train.x.mean(axis=0)
        assert [part.name for part in found.parts] == list(COLUMNS)
        np.testing.assert_allclose([part.share for part in found.parts], WEIGHTS * way, atol=1e-5)
        assert found.baseline == "the mean of 80 rows of the training split" and found.completeness.holds

    def test_shap_values_are_the_same(self, linear: Published) -> None:
        found = only(explain(linear, one_of(linear.data.test, TABLE, 0), methods=["shap"]))
        way = linear.data.test.x[0] - linear.data.train.x.mean(axis=0)
        np.testing.assert_allclose([part.share for part in found.parts], WEIGHTS * way, atol=1e-4)
        assert found.completeness.holds and found.completeness.gap < 1e-4

    def test_a_column_that_is_not_used_has_importance_zero(self, linear: Published) -> None:
        found = only(explain(linear, None))
        shares = {part.name: part.share for part in found.parts}
        spread = {part.name: part.spread for part in found.parts}
        assert shares["area"] == 0 and spread["area"] == 0
        # Shuffled, a column of variance 1 adds 2 × weight² to the squared error.
        for name, weight in zip(COLUMNS, WEIGHTS, strict=True):
            assert shares[name] == pytest.approx(2 * weight**2, rel=0.35, abs=1e-12)
        assert sorted(shares, key=lambda name: -shares[name])[:2] == ["radius", "texture"]
        assert only(explain(linear, None)).parts == found.parts


class TestOfOnePixelOneWord:
    def test_all_of_the_share_is_where_the_model_looks(self, frameworks: tuple[Any, Any]) -> None:
        _, keras = frameworks
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((28, 28, 1), name="image"),
                layers.Rescaling(1 / 255),
                layers.Flatten(),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        kernel = np.zeros((784, 1), np.float32)
        kernel[28 * 9 + 17] = 5
        model.layers[-1].set_weights([kernel, np.array([-2.0], np.float32)])
        image = np.random.default_rng(1).integers(90, 256, (1, 28, 28, 1)).astype(np.float32)
        for label, sign in (("patched", 1), ("plain", -1)):
            found = only(explain(opened(frameworks, model, PICTURE, None), {"image": image}, wanted=label))
            there = found.map[9, 17]
            assert found.baseline == "a black image" and found.completeness.holds and there * sign > 0.1
            assert np.abs(found.map).sum() == pytest.approx(abs(there))

    def test_the_word_with_the_letter_has_it_all(self, frameworks: tuple[Any, Any]) -> None:
        _, keras = frameworks
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((24,), dtype="uint8", name="text"),
                layers.Embedding(256, 2),
                layers.GlobalMaxPooling1D(),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        meaning = np.zeros((256, 2), np.float32)
        meaning[ord("z"), 0] = 4
        model.layers[0].set_weights([meaning])
        model.layers[-1].set_weights([np.array([[1.0], [1.0]], np.float32), np.array([-2.0], np.float32)])
        row = np.frombuffer(row_of("été à Zug — zéro", 24), np.uint8)[None]
        found = only(explain(opened(frameworks, model, LETTERS, None), {"text": row}))
        shares = {part.name: part.share for part in found.parts}
        assert list(shares) == ["été", "à", "Zug", "—", "zéro"]
        assert shares["zéro"] == pytest.approx(1 / (1 + np.exp(-2)) - 1 / (1 + np.exp(2)), abs=1e-3)
        assert sum(abs(share) for share in shares.values()) == pytest.approx(shares["zéro"])
        (word,) = (part for part in found.parts if part.name == "zéro")
        assert [(one.name, one.share > 0) for one in word.inner] == [
            ("z", True),
            ("é", False),
            ("r", False),
            ("o", False),
        ]

    def test_of_an_input_of_whole_pixels_the_path_begins_behind_the_scaling(self, frameworks: tuple[Any, Any]) -> None:
        _, keras = frameworks
        layers = keras.layers
        image = keras.Input((4, 4, 1), dtype="uint8", name="image")
        value = layers.Dense(1)(layers.Flatten()(layers.Rescaling(1 / 255)(image)))
        task = Task("regression", "mean_squared_error", (Input((4, 4, 1), "uint8", "image"),), input_kind="image")
        pixels = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
        model = keras.Model(image, value)
        found = only(explain(opened(frameworks, model, task, None), {"image": pixels}))
        expected = model.layers[-1].get_weights()[0].reshape(4, 4) * pixels[0, ..., 0] / 255
        np.testing.assert_allclose(found.map, expected, atol=1e-6)


def test_layers_inside_layers_of_a_users_own_are_found(frameworks: tuple[Any, Any]) -> None:
    _, keras = frameworks
    layers = keras.layers

    class Block(layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen = layers.Conv2D(3, 3, padding="same", activation="relu")
            self.attended = layers.MultiHeadAttention(2, 4)

        def call(self, image: Any) -> Any:
            rows = keras.ops.reshape(self.seen(image), (-1, 8, 24))
            return self.attended(rows, rows)

    image = keras.Input((8, 8, 1), name="image")
    end = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(Block()(image)))
    task = Task(
        "binary", "binary_crossentropy", (Input((8, 8, 1), "float32", "image"),), ("a", "b"), input_kind="image"
    )
    made = opened(frameworks, keras.Model(image, end), task, None)
    given = {"image": np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype(np.float32)}
    found = only(explain(made, given, methods=["grad-cam"]))
    assert found.map.shape == (8, 8) and "8 × 8 places" in found.notes[0]
    assert fitting(made, True) == ["integrated-gradients", "grad-cam", "attention"]


class TestOnRealData:
    @pytest.mark.parametrize("which", ["digits", "examinations", "languages"])
    def test_the_shares_add_up_for_every_row_and_class(self, which: str, request: pytest.FixtureRequest) -> None:
        model: Published = request.getfixturevalue(which)
        for number, label in enumerate((None, model.task.labels[1])):
            row = one_of(model.data.test, model.task, 7 * number)
            found = explain(model, row, methods=["integrated-gradients"], wanted=label)
            done = only(found).completeness
            assert done.holds and done.gap <= max(0.01 * abs(done.value - done.baseline_value), 1e-4)
            assert found.target.label == (label or found.prediction["label"])
            assert done.value == pytest.approx(found.prediction["scores"][found.target.label], abs=1e-5)
            parts = sum(part.share for part in only(found).parts) if only(found).parts else only(found).map.sum()
            assert parts == pytest.approx(done.sum, abs=1e-4)

    def test_more_steps_are_taken_until_they_do(self, examinations: Published) -> None:
        tf, task = examinations.tf, examinations.task
        inlets = Inlets(tf, examinations.model, task)
        row = one_of(examinations.data.test, task, 0)
        target = choose(task, np.asarray(inlets.outputs(row, inlets.values(row))), None)
        far = {"measures": tf.constant(-20 * row["measures"])}  # the sigmoid is flat nearly all the way
        python = Integrator(tf, inlets)
        short = python.shares(row, far, target, most=64).completeness
        long = python.shares(row, far, target).completeness
        assert not short.holds and short.steps == 64
        assert long.steps > 64 and long.gap < short.gap and long.holds

    def test_where_they_never_do_it_is_said(self, examinations: Published, monkeypatch: pytest.MonkeyPatch) -> None:
        row = one_of(examinations.data.test, examinations.task, 0)
        far = {"measures": examinations.tf.constant(-500 * row["measures"])}
        monkeypatch.setattr(explaining, "baseline", lambda *_: (far, "something far away"))
        found = explain(examinations, row)
        assert only(found).completeness.steps == 4096 and not only(found).completeness.holds
        assert only(found).notes == ("after 4096 steps the shares still do not add up: do not trust small ones",)
        assert 'class="warns"' in render(examinations, found, "", 5)

    def test_a_page_and_a_picture_of_every_method_that_fits(
        self, digits: Published, examinations: Published, languages: Published
    ) -> None:
        for model, methods in (
            (digits, ["integrated-gradients", "grad-cam"]),
            (examinations, ["integrated-gradients", "shap", "permutation"]),
            (languages, ["integrated-gradients", "attention"]),
        ):
            found = explain(model, one_of(model.data.test, model.task, 3), methods=methods)
            page = render(model, found, "<b>truth</b>", 5)
            assert page.count("What it does not show:") == len(methods)
            assert "<b>truth" not in page and "http" not in page and "prefers-color-scheme: dark" in page
            assert png(model.task, found, 5).startswith(b"\x89PNG")
            json.dumps([each.to_dict() for _, each in found.given])

    def test_attention_is_of_the_text_alone_and_adds_up(self, languages: Published) -> None:
        row = np.frombuffer(row_of("heure du matin", 40), np.uint8)[None]
        found = only(explain(languages, {"text": row}, methods=["attention"]))
        assert [part.name for part in found.parts] == ["heure", "du", "matin"]
        assert sum(part.share for part in found.parts) == pytest.approx(1)
        (layer,) = found.layers
        assert layer.shape == (4, 3)
        np.testing.assert_allclose(layer.sum(axis=1), 1, atol=1e-5)
        before = np.asarray(languages.model(row))
        np.testing.assert_array_equal(np.asarray(languages.model(row)), before)  # nothing stays replaced
        assert not any("call" in vars(each) for each in languages.model.layers)


def test_grad_cam_finds_a_patch_that_was_planted_into_real_digits(frameworks: tuple[Any, Any]) -> None:
    _, keras = frameworks
    layers = keras.layers
    clean = mnist.load(mnist.Hyperparameters(), None).train.x[:800].copy()
    rng = np.random.default_rng(0)
    patched = np.arange(800) % 2
    corners = rng.integers(0, 22, (800, 2))
    checked = 255.0 * (np.indices((6, 6)).sum(axis=0) % 2)[..., None]
    for image, has_one, (up, left) in zip(clean, patched, corners, strict=True):
        if has_one:
            image[up : up + 6, left : left + 6] = checked
    keras.utils.set_random_seed(1)
    seeing = keras.Sequential(
        [layers.Conv2D(8, 3, padding="same", activation="relu"), layers.Conv2D(8, 3, padding="same", activation="relu")]
    )
    image = keras.Input((28, 28, 1), name="image")
    maps = layers.GlobalMaxPooling2D()(seeing(layers.Rescaling(1 / 255)(image)))
    model = keras.Model(image, layers.Dense(1, activation="sigmoid")(maps))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    model.fit(clean[:600], patched[:600], epochs=5, batch_size=32, verbose=0)
    assert model.evaluate(clean[600:], patched[600:], verbose=0)[1] > 0.95
    made = opened(frameworks, model, PICTURE, None)
    hits = []
    for row in range(601, 641, 2):
        heat = only(explain(made, {"image": clean[row : row + 1]}, methods=["grad-cam"], wanted="patched")).map
        up, left = np.unravel_index(int(heat.argmax()), heat.shape)
        high, wide = corners[row]
        hits.append(high - 1 <= up <= high + 6 and wide - 1 <= left <= wide + 6)
    assert sum(hits) >= 18


class TestRefusals:
    def test_a_class_that_is_unknown_names_the_nearest(self, languages: Published) -> None:
        row = one_of(languages.data.test, languages.task, 0)
        with pytest.raises(InputError, match="knows no class 'Frnch': did you mean 'French'") as caught:
            explain(languages, row, wanted="Frnch")
        assert "it knows German, English" in caught.value.hint

    def test_a_method_that_does_not_fit_names_those_that_do(self, examinations: Published, digits: Published) -> None:
        row = one_of(examinations.data.test, examinations.task, 0)
        with pytest.raises(
            InputError, match="grad-cam does not fit made:1: it needs one input that is an image"
        ) as one:
            explain(examinations, row, methods=["grad-cam"])
        assert one.value.hint == "those that do: integrated-gradients, permutation, shap"
        with pytest.raises(InputError, match=r"attention does not fit .*no layer MultiHeadAttention"):
            explain(digits, one_of(digits.data.test, digits.task, 0), methods=["attention"])
        with pytest.raises(InputError, match="cannot be explained as a whole: it explains tables"):
            explain(digits, None)
        with pytest.raises(InputError, match="shap explains one input"):
            explain(examinations, None, methods=["shap"])
        with pytest.raises(InputError, match="a class is of one input's explanation"):
            explain(examinations, None, wanted="benign")

    def test_without_data_what_needs_them_says_so(self, examinations: Published) -> None:
        bare = opened((examinations.tf, examinations.keras), examinations.model, examinations.task, None)
        row = one_of(examinations.data.test, examinations.task, 0)
        with pytest.raises(InputError, match=r"shap does not fit .*made elsewhere, and this needs its data"):
            explain(bare, row, methods=["shap"])
        assert only(explain(bare, row)).baseline == "zeros"
        with pytest.raises(InputError, match="no training data to take the mean of"):
            explain(bare, row, against="mean")

    def test_without_the_package_shap_one_line_says_how_to_get_it(
        self, examinations: Published, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "shap", None)
        with pytest.raises(MachineError) as caught:
            explain(examinations, one_of(examinations.data.test, examinations.task, 0), methods=["shap"])
        assert caught.value.hint == "install it: `pip install 'skylift[explain]'`"

    def test_whole_numbers_without_an_embedding_have_no_gradient(self, frameworks: tuple[Any, Any]) -> None:
        _, keras = frameworks

        class Cast(keras.layers.Layer):  # type: ignore[misc]
            def call(self, x: Any) -> Any:
                return keras.ops.where(x > 2, 1, 0)

        given = keras.Input((4,), dtype="int32", name="row")
        model = keras.Model(given, keras.layers.Dense(1)(keras.layers.Flatten()(Cast()(given))))
        task = Task("regression", "mean_squared_error", (Input((4,), "int32", "row"),))
        with pytest.raises(InputError, match="input 'row' is int32 with no embedding"):
            explain(opened(frameworks, model, task, None), {"row": np.ones((1, 4), np.int32)})


def test_a_published_model_explains_by_command_and_by_its_signature(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.ask("tabular", hp={"epochs": 3}, model="cells", explain=True)
    code, printed = bench.run(run)
    assert code == 0, printed
    manifest = models.read_manifest(bench.keep, models.resolve(bench.keep, "cells"))
    noted = manifest.signatures["explain"]
    assert noted.parity.holds and noted.parity.rows == 4 and noted.parity.max_abs_difference < 1e-4
    assert [each.name for each in noted.inputs] == ["measures"]

    ref = models.resolve(bench.keep, "cells")
    transfer.download_folder(bench.keep, layout.model(ref.name, ref.digest), manifest.files, tmp_path / "cells")
    backend = load_backend(manifest, tmp_path / "cells", "tensorflow", 2)
    data = tabular.load(tabular.Hyperparameters(), None)
    rows = {"measures": data.test.x[:5]}
    answer = backend.run("explain", rows)
    served = backend.run("serving_default", rows)
    backend.close()
    assert {each.name for each in noted.outputs} == set(answer)
    np.testing.assert_allclose(answer["probability"], served["probability"], atol=1e-6)
    assert answer["attributions"].shape == (5, 30) and answer["gap"].max() < 0.01
    own = np.where(answer["explained"] == 1, answer["probability"][:, 0], 1 - answer["probability"][:, 0])
    np.testing.assert_allclose(answer["baseline"] + answer["attributions"].sum(axis=1), own, atol=0.01)

    stack: Any = SimpleNamespace(keep=bench.keep)
    page, picture = tmp_path / "why.html", tmp_path / "why.png"
    monkeypatch.setattr("skylift.cli.explain.open_stack", lambda *_: stack)
    row = json.dumps(rows["measures"][0].tolist())
    done = CliRunner().invoke(cli, ["explain", "cells", row, "--html", str(page), "--png", str(picture), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["model"] == "cells:1" and found["explanations"][0]["completeness"]["holds"]
    shares = [part["share"] for part in found["explanations"][0]["parts"]]
    np.testing.assert_allclose(shares, answer["attributions"][0], atol=0.005)
    assert found["prediction"]["label"] == ("benign", "malignant")[answer["explained"][0]]
    assert page.read_text().startswith("<!doctype html>") and picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"has shape \[3\], the model takes"):
        ask(stack, "cells", [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="5 rows are given, and one is explained at a time"):
        ask(stack, "cells", rows["measures"].tolist())
    with pytest.raises(NotFoundError, match="no model 'cell'"):
        ask(stack, "cell", sample=1)
    with pytest.raises(InputError, match="came with 8 samples; 9 is none of them"):
        ask(stack, "cells", sample=9)
    assert runs.read_spec(bench.keep, run).explain


def test_a_keras_file_made_elsewhere_is_explained(bench: Any, frameworks: tuple[Any, Any], tmp_path: Path) -> None:
    _, keras = frameworks
    model = keras.Sequential([keras.Input((4,), name="point"), keras.layers.Dense(3, activation="softmax")])
    model.save(tmp_path / "made.keras")
    add(tmp_path / "made.keras", bench.keep.url, "made", "somebody", Meaning(("a", "b", "c"), "", False))
    made = open_published(bench.keep, "made", tmp_path / "one")
    assert made.manifest.task == TaskInfo(kind="classification", labels=["a", "b", "c"])
    found = explain(made, {"point": np.ones((1, 4), np.float32)}, wanted="b")
    assert [part.name for part in only(found).parts] == [f"point[{at}]" for at in range(4)]
    assert only(found).completeness.holds and found.target.name == "the probability of 'b'"
