"""A program that writes a SavedModel by TensorFlow with a prediction, y = 2x, and a signature `explain`, into the folder it is given."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

ROW = [tf.TensorSpec([None, 3], tf.float32, name="x")]


class Explained(tf.Module):  # type: ignore[misc]
    @tf.function(input_signature=ROW)  # type: ignore[untyped-decorator]
    def predict(self, x: Any) -> Any:
        return {"y": 2.0 * x}

    @tf.function(input_signature=ROW)  # type: ignore[untyped-decorator]
    def explain(self, x: Any) -> Any:
        return {"attributions": x * 0.5, "explained": tf.zeros([tf.shape(x)[0]], tf.int32)}


model = Explained()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.predict, "explain": model.explain})
