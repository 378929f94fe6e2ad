"""`python write_models.py FOLDER`: small models as TensorFlow itself writes them, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import compat

v1: Any = compat.v1


class Several(tf.Module):  # type: ignore[misc]
    """Signatures with one output, two outputs, strings, an input that may be left out, a shape that is refused late."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def scale(self, x: Any) -> Any:
        return {"y": self.factor * x, "z": x + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])  # type: ignore[untyped-decorator]
    def length(self, text: Any) -> Any:
        return {"size": tf.strings.length(text), "raw_bytes": text}

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([], tf.float32, name="power")]
    )
    def power(self, x: Any, power: Any = tf.constant(3.0)) -> Any:  # noqa: B008
        return {"y": x**power}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])  # type: ignore[untyped-decorator]
    def picky(self, x: Any) -> Any:
        tf.debugging.assert_positive(x)
        return {"y": x}


class Without(tf.Module):  # type: ignore[misc]
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def plus(self, x: Any) -> Any:
        return {"y": x + 1}


class Same(tf.Module):  # type: ignore[misc]
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])  # type: ignore[untyped-decorator]
    def same(self, text: Any) -> Any:
        return {"text_again": tf.gather(text, [0])}


class Dense(tf.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.reshape(tf.linspace(-1.0, 1.0, 12), [3, 4]))

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def call(self, x: Any) -> Any:
        return {"y": tf.matmul(x, self.weights)}


def graph_of_1(folder: Path) -> None:
    """A SavedModel of TensorFlow 1's kind: classify and regress signatures that take tf.Example, no serving_default."""
    graph = tf.Graph()
    with graph.as_default(), v1.Session(graph=graph) as session:
        examples = v1.placeholder(tf.string, [None], name="tf_example")
        x = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
        weight = v1.get_variable("weight", initializer=2.0)
        y = x * weight
        labels = tf.tile(tf.constant([["low", "high"]]), [tf.shape(y)[0], 1])
        session.run(v1.global_variables_initializer())
        make = v1.saved_model.signature_def_utils
        signatures = {
            "regress": make.regression_signature_def(examples, y),
            "classify": make.classification_signature_def(examples, labels, tf.concat([1 - y, y], 1)),
            "predict": make.predict_signature_def({"x": x}, {"y": y}),
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


def lite(saved: Path, path: Path, signature: str, **options: Any) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[signature])
    for name, value in options.items():
        setattr(converter, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(converter.convert())


def rows() -> Any:
    generator = np.random.default_rng(0)
    for _ in range(50):
        yield "serving_default", {"x": generator.uniform(-1, 1, (1, 3)).astype(np.float32)}


def main(folder: Path) -> None:
    several, dense, without, same = Several(), Dense(), Without(), Same()
    save = tf.saved_model.save
    save(several, str(folder / "several"), {"serving_default": several.scale, "length": several.length})
    save(several, str(folder / "odd"), {"serving_default": several.picky, "power": several.power})
    save(without, str(folder / "without"), {"plus": without.plus})
    save(dense, str(folder / "dense"), {"serving_default": dense.call})
    graph_of_1(folder / "one")
    lite(folder / "dense", folder / "float" / "model.tflite", "serving_default")
    whole = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": rows,
        "inference_input_type": tf.int8,
        "inference_output_type": tf.int8,
    }
    lite(folder / "dense", folder / "int8" / "model.tflite", "serving_default", **whole)
    lite(folder / "without", folder / "named" / "plus.tflite", "plus")
    lite(folder / "several", folder / "custom" / "model.tflite", "length", allow_custom_ops=True)
    save(same, str(folder / "same"), {"serving_default": same.same})
    lite(folder / "same", folder / "strings" / "model.tflite", "serving_default")
    bare = tf.lite.TFLiteConverter.from_concrete_functions([dense.call.get_concrete_function()])
    (folder / "bare").mkdir()
    (folder / "bare" / "model.tflite").write_bytes(bare.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
