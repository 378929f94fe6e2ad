"""The models that are served, made once by Keras into a cache folder, as the project's own export writes them.

`python -m benchmarks.serving_bench.model FOLDER` makes them: TensorFlow stays out of the process that measures.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_bench import ROOT

INPUT, OUTPUT = "x", "y"
VERSION = 2
"""Of the models below: one more makes them anew."""


@dataclass(frozen=True)
class Model:
    """Where a model's forms lie, and the shape of one row of float32."""

    name: str
    folder: Path
    row: tuple[int, ...]
    outputs: int

    @property
    def onnx(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def saved_model(self) -> Path:
        return self.folder / "saved_model"

    def rows(self, count: int) -> Any:
        """Pixels of 8 bits divided by 255, as a client of an image model sends them; always the same."""
        pixels = np.random.default_rng(7).integers(0, 256, (count, *self.row))
        return (pixels / 255).astype(np.float32)


def cnn(cache: Path) -> Model:
    """28x28x1, Conv32-Conv64-MaxPool-Dense128-Dense10, 1.2 million parameters."""
    return Model("cnn", cache / f"models-{VERSION}" / "cnn", (28, 28, 1), 10)


def images(cache: Path) -> Model:
    """224x224x3 (602,112 bytes a row), nine convolutions, 0.18 billion multiplications: less than a MobileNetV2 has (0.3)."""
    return Model("images", cache / f"models-{VERSION}" / "images", (224, 224, 3), 1000)


def make(cache: Path) -> None:
    """Make what is not there yet: half a minute."""
    if images(cache).onnx.exists():
        return
    subprocess.run(
        [sys.executable, "-m", "benchmarks.serving_bench.model", str(cache)], cwd=ROOT, check=True, capture_output=True
    )


def tiny(number: int) -> bytes:
    """An ONNX model of one matrix of 512x512 float32: 1 MB."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.full((512, 512), 1 / (number + 512), np.float32)
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", 512])]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", 512])]
    nodes = [helper.make_node("MatMul", [INPUT, "weights"], [OUTPUT])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [numpy_helper.from_array(weights, "weights")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def changed(model: Model) -> bytes:
    """The ONNX file with another description: a second version that costs and answers the same."""
    import onnx

    loaded = onnx.load(str(model.onnx))
    loaded.doc_string = "another version"
    return bytes(loaded.SerializeToString())


def _main(cache: Path) -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(7)
    for model, built in ((cnn(cache), _cnn(keras)), (images(cache), _images(keras))):
        _export(tf, model, built)


def _cnn(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def _images(keras: Any) -> Any:
    layers = keras.layers
    blocks = [layers.Input((224, 224, 3)), layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")]
    for filters in (32, 64, 128, 256):
        blocks.append(layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu"))
        blocks.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
    return keras.Sequential([*blocks, layers.GlobalAveragePooling2D(), layers.Dense(1000, activation="softmax")])


def _export(tf: Any, model: Model, built: Any) -> None:
    from training.export.formats import export_function
    from training.export.running import function_runner

    @tf.function(input_signature=[tf.TensorSpec([None, *model.row], tf.float32, name=INPUT)])  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def serve(rows: Any) -> dict[str, Any]:
        return {OUTPUT: tf.cast(built(rows, training=False), tf.float32)}

    rows = {INPUT: model.rows(4)}
    exported = export_function(tf, built, serve, rows, function_runner(tf, serve)(rows), model.folder)
    if "onnx" not in exported.formats:
        raise RuntimeError("; ".join(exported.notes))
    built.save(model.folder / "model.keras")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
