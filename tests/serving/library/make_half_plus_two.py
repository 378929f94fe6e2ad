"""A program that writes TensorFlow Serving's own test model, y = 0.5 * x + 2, by TensorFlow into the folder that it is given."""

from __future__ import annotations

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

v1 = tf.compat.v1
with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
    half, two = v1.get_variable("a", initializer=0.5), v1.get_variable("b", initializer=2.0)
    serialized = v1.placeholder(tf.string, [None], name="tf_example")
    feature = {"x": tf.io.FixedLenFeature([1], tf.float32)}
    of_example = half * tf.io.parse_example(serialized, feature)["x"] + two
    x = v1.placeholder(tf.float32, [None, 1], name="x")
    y = tf.identity(half * x + two, name="y")
    session.run(v1.global_variables_initializer())
    builder = v1.saved_model.Builder(sys.argv[1])
    made = v1.saved_model.signature_def_utils
    builder.add_meta_graph_and_variables(
        session,
        ["serve"],
        {
            "serving_default": made.predict_signature_def({"x": x}, {"y": y}),
            "regress_x_to_y": made.regression_signature_def(serialized, of_example),
            "classify_x_to_y": made.classification_signature_def(serialized, None, of_example),
        },
    )
    builder.save()
