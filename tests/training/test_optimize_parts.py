"""What optimising decides by, without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from skylift.artifacts.optimized import Choice, Form, Optimized, Skipped
from training.contract import Data, Input, Split, Task
from training.export.causes import explained
from training.export.compare import ExportError
from training.optimize.judging import loss_of, value_of
from training.optimize.magnitude import mask_of
from training.optimize.page import render
from training.optimize.table import choose

VALUES = Task("regression", "mean_squared_error", (Input((1,), "float32", "x"),), metrics=("mean_absolute_error",))


def row(method: str, size: int, ms: float, **more: Any) -> Form:
    usual = {"runtime": "ONNX Runtime", "format": "onnx", "value": 0.95, "loss": 0.0, "gzip_bytes": size}
    return Form(method=method, bytes=size, ms_batch_1=ms, ms_batch_32=9 * ms, **{**usual, **more})


ORIGINAL = row("original", 1000, 1.0, verdict="original")


def test_the_choice_is_the_form_that_saves_most_and_is_not_slower() -> None:
    small_but_slow, both = row("int8", 250, 1.6), row("channels", 400, 0.6, loss=0.004)
    chosen = choose([ORIGINAL, small_but_slow, both], "accuracy")
    assert chosen.method == "channels"
    assert (
        chosen.text
        == "Take channels for an endpoint: 40% of the size, 0.6 times the time at batch 1, accuracy 0.95 (0.004 lost)."
    )
    assert choose([ORIGINAL, small_but_slow], "accuracy").method is None
    assert choose([ORIGINAL, row("prune", 990, 1.0)], "accuracy").method is None
    refused = row("channels", 100, 0.1, verdict="refused")
    assert "loses little enough" in choose([ORIGINAL, refused], "accuracy").text


def test_tflite_is_named_for_devices_and_never_for_an_endpoint() -> None:
    lite = [
        row(name, size, 0.5, runtime="LiteRT", format="tflite") for name, size in (("original", 900), ("int8", 200))
    ]
    lite[0].verdict = "original"
    chosen = choose([ORIGINAL, *lite], "accuracy")
    assert chosen.method is None and "the TFLite file of int8, 22% of the size" in chosen.text


def test_a_loss_is_points_of_accuracy_or_the_relative_growth_of_an_error() -> None:
    accuracy = Task("classification", "sparse_categorical_crossentropy", VALUES.inputs, ("a", "b"))
    assert round(loss_of(accuracy, 0.97, 0.95), 6) == 0.02
    assert loss_of(VALUES, 20.0, 21.0) == 0.05 and loss_of(VALUES, 20.0, 19.0) < 0
    test = Split(np.zeros((3, 1), np.float32), np.array([1.0, 2.0, 3.0], np.float32))
    assert value_of(np.array([[1.0], [2.0], [6.0]]), Data(test, test, test), VALUES) == 1.0


def test_masks_take_the_smallest_weights_whatever_their_sign() -> None:
    kernel = np.array([[0.5, -0.1], [0.05, -2.0]], np.float32)
    assert mask_of(kernel, 0.5).tolist() == [[1, 0], [0, 1]] and mask_of(kernel, 0.0).all()
    assert mask_of(np.zeros((10, 10)), 0.37).sum() == 63  # equal weights: the share holds all the same


def test_what_converters_say_becomes_a_cause_and_a_fix() -> None:
    known = explained("ONNX", ValueError("Error No Op registered for Bessel with domain_version of 18"))
    assert known.message == "ONNX has no operation Bessel" and known.hint == "build the model without Bessel"
    loop = explained("TFLite", RuntimeError("'tf.TensorListReserve' op requires element_shape"))
    assert "unroll=True" in loop.hint
    ours = explained("ONNX", ExportError("it differs", hint="do this"))
    assert (ours.message, ours.hint) == ("it differs", "do this")
    assert explained("TFLite", RuntimeError("")).message == "it cannot be written: RuntimeError"


def test_the_page_shows_every_form_and_why_others_are_missing() -> None:
    result = Optimized(
        model="digits:1",
        metric="accuracy",
        max_loss=0.01,
        test_rows=1000,
        rows=[ORIGINAL, row("int8", 250, 0.5, verdict="refused", loss=0.2, details={"calibrated_on": "256 rows"})],
        skipped=[Skipped(method="channels", why="no <chain>", hint="take prune")],
        notes=["int8: no TFLite form"],
        choice=Choice(method=None, text="Keep the original."),
        machine="x86_64",
    )
    page = render(result)
    for text in (
        "digits:1 optimised",
        "+0.2000",
        "refused",
        "no &lt;chain&gt;",
        "calibrated on 256 rows",
        "int8: no TFLite form",
    ):
        assert text in page
    assert "http" not in page.replace("http-equiv", "")
