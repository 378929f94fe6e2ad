"""A program that writes small SavedModels by TensorFlow into the folder that it is given: what is read here without it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2  # type: ignore[import-untyped]

ROOT = Path(sys.argv[1])
(ROOT / "vocabulary.txt").write_text("a\nb\n")
TWO = tf.constant(2.0)
v1 = tf.compat.v1


class Line(tf.Module):  # type: ignore[misc]
    """Variables, an asset, two signatures, an input with a default."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = tf.Variable(tf.ones([300, 2]))
        index = tf.lookup.TextFileIndex
        lines = tf.lookup.TextFileInitializer(
            str(ROOT / "vocabulary.txt"), tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER
        )
        self.words = tf.lookup.StaticVocabularyTable(lines, 1)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x"), tf.TensorSpec([], name="by")])  # type: ignore[untyped-decorator]
    def times(self, x: Any, by: Any = TWO) -> Any:
        return {"y": x * self.slope[0] * by}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, name="word")])  # type: ignore[untyped-decorator]
    def number(self, word: Any) -> Any:
        return {"number": self.words.lookup(word)}


line = Line()
tf.saved_model.save(line, str(ROOT / "line"), signatures={"serving_default": line.times, "number": line.number})

with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
    examples = v1.placeholder(tf.string, [None], name="examples")
    scores = tf.zeros([tf.shape(examples)[0], 2], name="scores")
    builder = v1.saved_model.Builder(str(ROOT / "methods"))
    made = v1.saved_model.signature_def_utils
    builder.add_meta_graph_and_variables(
        session,
        ["serve", "gpu"],
        {
            "classify": made.classification_signature_def(examples, None, scores),
            "regress": made.regression_signature_def(examples, scores[:, 0]),
        },
    )
    builder.save()


def record(name: str, *logs: Any) -> None:
    (ROOT / name / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(ROOT / name / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


predict = prediction_log_pb2.PredictionLog()
asked = predict.predict_log.request
asked.model_spec.name = "line"
asked.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0]] * 3000))
asked.inputs["by"].CopyFrom(tf.make_tensor_proto(3.0))
words = prediction_log_pb2.PredictionLog()
words.predict_log.request.model_spec.signature_name = "number"
words.predict_log.request.inputs["word"].CopyFrom(tf.make_tensor_proto(["a", "z"]))
record("line", predict, words)

example = tf.train.Example(features={"feature": {"x": {"float_list": {"value": [1.0]}}}})
classify, regress, both = (prediction_log_pb2.PredictionLog() for _ in range(3))
classify.classify_log.request.model_spec.signature_name = "classify"
regress.regress_log.request.model_spec.signature_name = "regress"
for task, method in (("classify", "classify"), ("regress", "regress")):
    added = both.multi_inference_log.request.tasks.add(method_name=f"tensorflow/serving/{method}")
    added.model_spec.signature_name = task
for request in (classify.classify_log.request, regress.regress_log.request, both.multi_inference_log.request):
    request.input.example_list.examples.add().CopyFrom(example)
record("methods", classify, regress, both)
