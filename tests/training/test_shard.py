"""Models cut into parts: what the parts compute together, how they are published, and that serving loads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.backends.choose import load as load_backend
from skylift.artifacts import layout, models, transfer
from skylift.artifacts.records import ModelManifest, ModelRef, Signature, TaskInfo, TensorSpec, decode, now
from skylift.errors import InputError
from skylift.store import Store, open_store
from training.contract import Task
from training.export.compare import Named
from training.export.signature import signature_of, task_info
from training.importing.add import add
from training.importing.meaning import Meaning
from training.published import Published
from training.recipes.hyperparameters import fill
from training.recipes.loading import bundled
from training.shard.chain import open_chain, open_folder
from training.shard.cuts import Wish
from training.shard.exact import TOLERANCE
from training.shard.sharding import Cut, Order, cut_model, shard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # TensorFlow, Keras and tf2onnx warn about each other
]


def quiet(done: int, total: int, text: str) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def keep(tmp_path: Path) -> Store:
    (tmp_path / "keep").mkdir()
    return open_store(f"file://{tmp_path / 'keep'}")


def opened(frameworks: Any, model: Any, signature: Signature, task: Task | None = None, data: Any = None) -> Published:
    """A model as if it had been opened, without any version behind it."""
    tf, keras = frameworks
    info = task_info(task) if task else TaskInfo()
    manifest = ModelManifest(name="m", created=now(), by="tester", signature=signature, task=info, formats={}, files=[])
    ref = ModelRef(name="m", version=1, digest="0" * 64)
    plain = task or Task("regression", "mean_squared_error", ())
    return Published(tf, keras, ref, manifest, Path("/nonexistent"), model, plain, data)


def own_signature(model: Any) -> Signature:
    inputs = [TensorSpec(name=each.name, dtype=each.dtype, shape=list(each.shape)) for each in model.inputs]
    if isinstance(getattr(model, "output", None), dict):
        names = sorted(model.output)
    else:
        names = list(getattr(model, "output_names", ["out"]))
    outputs = [
        TensorSpec(name=name, dtype=each.dtype, shape=list(each.shape))
        for name, each in zip(names, model.outputs, strict=True)
    ]
    return Signature(inputs=inputs, outputs=outputs)


def answers(cut: Cut) -> Named:
    """What the parts give one behind another, in this process."""
    from training.export.running import function_runner

    known = dict(cut.whole.rows)
    for part in cut.parts:
        run = function_runner(cut.opened.tf, part.serving(cut.opened.tf))
        known.update(run({spec.name: known[spec.name] for spec in part.signature.inputs}))
    return known


def assert_same(cut: Cut) -> None:
    known = answers(cut)
    for name, expected in cut.whole.expected.items():
        scale = max(1.0, float(np.abs(expected).max()))
        assert np.abs(known[name] - expected).max() <= TOLERANCE * scale


@pytest.mark.parametrize(
    ("recipe", "parts"), [("mnist", 3), ("resnet", 4), ("text", 3), ("sequence", 2), ("tabular", 3)]
)
def test_every_bundled_recipe_answers_the_same_in_parts(frameworks: Any, recipe: str, parts: int) -> None:
    found = bundled(recipe)
    hp, _, _ = fill(found.name, found.hyperparameters, {})
    task, data = found.task(hp), found.load(hp, None)
    model = found.build(hp, data)
    signature = signature_of(task, list(model.outputs[0].shape))
    cut = cut_model(opened(frameworks, model, signature, task, data), Wish(parts))
    assert len(cut.parts) == parts and cut.whole.has_data
    assert_same(cut)
    assert all(layer.ms[32] >= 0 for layer in cut.layers) and sum(layer.ms[32] for layer in cut.layers) > 0
    given = {spec.name for part in cut.parts for spec in part.signature.outputs}
    taken = {spec.name for part in cut.parts for spec in part.signature.inputs}
    assert given - taken == {spec.name for spec in signature.outputs}  # nothing is sent that nobody takes


def branches(keras: Any) -> Any:
    """Two inputs of which one is needed at the end only, and a way around the middle: two tensors cross most cuts."""
    layers = keras.layers
    left, right = keras.Input((8,), name="left"), keras.Input((3,), name="right", dtype="int32")
    x = layers.Dense(16, activation="relu")(left)
    y = layers.Dense(32, activation="relu")(layers.Dense(32, activation="relu")(x))
    x = layers.Add()([x, layers.Dense(16)(y)])
    seen = layers.Flatten()(layers.Embedding(100, 4)(right))
    joined = layers.Concatenate()([x, seen])
    return keras.Model([left, right], {"price": layers.Dense(1)(joined), "early": layers.Dense(2)(y)})


def masked(keras: Any) -> Any:
    """A mask that an embedding makes and an LSTM needs layers later."""
    layers = keras.layers
    words = keras.Input((7,), dtype="int32", name="words")
    x = layers.Embedding(3, 6, mask_zero=True)(words)
    x = layers.LSTM(5, return_sequences=True)(layers.Dropout(0.5)(x))
    return keras.Model(words, layers.Dense(2)(layers.LSTM(4)(layers.TimeDistributed(layers.Dense(5))(x))))


def nested(keras: Any) -> Any:
    """A model within a model whose layers are called like those outside, called twice, and ops between layers."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6, "relu", name="same"), layers.Dense(6, name="end")])
    x = keras.Input((6,), name="x")
    y = inner(layers.Dense(6, name="same")(x))
    y = keras.ops.tanh(inner(y) * 2.0) + y
    return keras.Model(x, layers.Dense(3)(y))


def sequential(keras: Any) -> Any:
    layers = keras.layers
    normal = layers.BatchNormalization()
    return keras.Sequential([keras.Input((None, 4), name="steps"), layers.LSTM(6), normal, layers.Dense(2)])


@pytest.mark.parametrize(
    ("build", "parts"),
    [(branches, 4), (masked, 4), (nested, 5), (sequential, 3)],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_graphs_of_every_kind_answer_the_same_in_parts(
    frameworks: Any, build: Callable[[Any], Any], parts: int
) -> None:
    model = build(frameworks[1])
    cut = cut_model(opened(frameworks, model, own_signature(model)), Wish(parts))
    assert len(cut.parts) == parts and not cut.whole.has_data
    assert_same(cut)


def test_a_mask_is_handed_on_and_a_late_input_comes_from_the_request(frameworks: Any) -> None:
    model = masked(frameworks[1])
    cut = cut_model(opened(frameworks, model, own_signature(model)), Wish(4))
    assert any(spec.dtype == "bool" for part in cut.parts[1:] for spec in part.signature.inputs)
    rows = dict(cut.whole.rows, words=np.array([[1, 2, 0, 0, 0, 0, 0]], np.int32))  # not what zeros in their place give
    known = answers(replace(cut, whole=replace(cut.whole, rows=rows)))
    whole = np.asarray(model(rows["words"]))
    assert np.abs(known[cut.whole.signature.outputs[0].name] - whole).max() <= TOLERANCE
    model = branches(frameworks[1])
    cut = cut_model(opened(frameworks, model, own_signature(model)), Wish(4))
    sources = {name: source for part in cut.parts[1:] for name, source in part.sources.items()}
    assert sources.get("right", 0) == 0 and set(sources.values()) > {1}


class TestPublished:
    def test_a_run_s_model_is_cut_published_and_loaded_by_serving(
        self, bench: Any, frameworks: Any, tmp_path: Path
    ) -> None:
        run = bench.ask(hp={"epochs": 1}, model="points")
        assert bench.run(run)[0] == 0
        report = shard(bench.keep, Order("points", Wish(2), "tester"), quiet)
        assert models.list_models(bench.keep) == ["points", "points-in2", "points-part1of2", "points-part2of2"]
        assert report.rows == "test split" and report.notes == []
        assert {(each.form, each.against) for each in report.parity} >= {
            ("keras", "keras"),
            ("saved_model", "saved_model"),
            ("onnx", "onnx"),
        }
        assert all(each.max_abs_difference <= each.tolerance for each in report.parity)
        rows = {"point": np.random.default_rng(0).normal(size=(5, 4)).astype("float32")}
        whole = self.version(bench.keep, "points", tmp_path / "whole")
        wanted = load_backend(*whole, "tensorflow", 1).run("serving_default", rows)["probabilities"]
        for form in ("onnx", "saved_model", "keras"):
            chain = open_chain(bench.keep, "points-in2", tmp_path / form, form)
            assert np.abs(chain.run(rows)["probabilities"] - wanted).max() <= TOLERANCE
        for choice in ("onnx", "tensorflow"):
            known = dict(rows)
            for ref in models.read_manifest(bench.keep, models.resolve(bench.keep, "points-in2")).chain:
                manifest, folder = self.version(bench.keep, f"{ref.name}:{ref.version}", tmp_path / choice / ref.name)
                served = load_backend(manifest, folder, choice, 1)
                known.update(
                    served.run("serving_default", {each.name: known[each.name] for each in manifest.signature.inputs})
                )
            assert np.abs(known["probabilities"] - wanted).max() <= TOLERANCE
        with pytest.raises(InputError, match="points-in2:1 is a chain of parts already") as caught:
            shard(bench.keep, Order("points-in2", Wish(2), "tester"), quiet)
        assert "skylift shard points:1" in caught.value.hint
        assert manifest.part is not None and (manifest.part.index, manifest.part.count) == (2, 2)
        assert manifest.part.of == models.resolve(bench.keep, "points:1") and set(manifest.part.inputs.values()) == {1}
        assert manifest.task.labels == ["low", "high"]  # what comes last is what `predict` decodes

    @staticmethod
    def version(keep: Store, name: str, folder: Path) -> tuple[ModelManifest, Path]:
        ref = models.resolve(keep, name)
        manifest = models.read_manifest(keep, ref)
        folder.mkdir(parents=True)
        transfer.download_folder(keep, layout.model(ref.name, ref.digest), manifest.files, folder)
        return manifest, folder

    def test_a_model_made_elsewhere_with_several_tensors_goes_to_a_folder(
        self, frameworks: Any, keep: Store, tmp_path: Path
    ) -> None:
        model = branches(frameworks[1])
        model.save(tmp_path / "made.keras")
        add(tmp_path / "made.keras", keep.url, "made", "tester", Meaning())
        report = shard(keep, Order("made", Wish(3), "tester", out=tmp_path / "parts"), quiet)
        assert models.list_models(keep) == ["made"] and report.rows.startswith("made up")
        rng = np.random.default_rng(3)
        rows = {"left": rng.normal(size=(4, 8)).astype("float32"), "right": rng.integers(0, 99, (4, 3), np.int32)}
        whole = {name: np.asarray(each) for name, each in model(rows).items()}
        for form in ("onnx", "saved_model", "keras"):
            found = open_folder(tmp_path / "parts", form).run(rows)
            assert set(found) == {"price", "early"}
            assert all(np.abs(found[name] - whole[name]).max() <= 1e-6 for name in whole)
        known = dict(rows)
        for number in (1, 2, 3):
            folder = tmp_path / "parts" / f"part{number}"
            manifest = decode((folder / "manifest.json").read_bytes(), ModelManifest, "here")
            served = load_backend(manifest, folder, "onnx", 1)
            known.update(served.run("serving_default", {e.name: known[e.name] for e in manifest.signature.inputs}))
        assert all(np.abs(known[name] - whole[name]).max() <= 1e-6 for name in whole)
        chain = decode((tmp_path / "parts" / "manifest.json").read_bytes(), ModelManifest, "here")
        served = load_backend(chain, tmp_path / "parts", "onnx", 1).run("serving_default", rows)
        assert all(np.abs(served[name] - whole[name]).max() <= 1e-6 for name in whole)
        with pytest.raises(InputError, match="is not empty"):
            shard(keep, Order("made", Wish(3), "tester", out=tmp_path / "parts"), quiet)


class TestRefused:
    def test_more_parts_than_places_says_how_many_there_can_be(self, frameworks: Any) -> None:
        model = sequential(frameworks[1])
        with pytest.raises(InputError, match=r"m:1 cannot be cut into 9 parts") as caught:
            cut_model(opened(frameworks, model, own_signature(model)), Wish(9))
        assert "give --parts 3 or fewer" in caught.value.hint

    def test_a_model_that_computes_in_its_own_call(self, frameworks: Any) -> None:
        _, keras = frameworks

        class Own(keras.Model):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.dense = keras.layers.Dense(2)

            def call(self, x: Any) -> Any:
                return self.dense(x)

        model = Own()
        model(np.ones((1, 3), np.float32))
        inputs = [TensorSpec(name="x", dtype="float32", shape=[None, 3])]
        signature = Signature(inputs=inputs, outputs=[TensorSpec(name="y", dtype="float32", shape=[None, 2])])
        with pytest.raises(InputError, match="m:1 has no graph of layers to cut at") as caught:
            cut_model(opened(frameworks, model, signature), Wish(2))
        assert "keras.Input" in caught.value.hint

    def test_rows_that_meet_each_other_are_not_cut_between(self, frameworks: Any) -> None:
        _, keras = frameworks
        layers = keras.layers
        x = keras.Input((4,), name="x")
        flat = keras.ops.reshape(layers.Dense(4)(x), (-1,))  # no row for a row
        y = keras.ops.reshape(keras.ops.tanh(flat), (-1, 4))
        model = keras.Model(x, layers.Dense(2)(y))
        cut = cut_model(opened(frameworks, model, own_signature(model)), Wish(3))
        assert_same(cut)
        assert all(spec.shape[1:] == [4] for part in cut.parts for spec in part.signature.inputs)
