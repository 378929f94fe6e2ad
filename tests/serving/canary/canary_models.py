"""Versions of the model `scale` that are worse than it, each in its own way."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from skylift.artifacts.records import ModelRef
from skylift.artifacts.records import TensorSpec as Spec
from tests.serving.conftest import Bench
from tests.serving.onnx_models import FLOAT, constant, model, value

ROW = [Spec(name="x", dtype="float32", shape=[None, 3])]
OUT = [Spec(name="y", dtype="float32", shape=[None, 3])]


def breaks_above(limit: float) -> bytes:
    """`y = 2x` while no number is above `limit`; then it looks up what is not there, and fails."""
    return model(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Greater", ["most", "limit"], ["is_above"]),
            helper.make_node("Cast", ["is_above"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "place"], ["factor"]),
            helper.make_node("Mul", ["x", "factor"], ["y"]),
        ],
        [value("x", FLOAT, ["rows", 3])],
        [value("y", FLOAT, ["rows", 3])],
        [constant("limit", np.float32(limit)), constant("table", np.array([2.0], np.float32))],
    )


def slow_scale(turns: int) -> bytes:
    """`y = 2x` after a matrix was multiplied `turns` times: some 40 ms for 40."""
    size = 512
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("MatMul", ["carried", "matrix"], ["next"]),
        ],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("carried", FLOAT, [size, size]),
        ],
        [value("on", TensorProto.BOOL, []), value("next", FLOAT, [size, size])],
    )
    nodes = [
        helper.make_node("Loop", ["turns", "yes", "matrix"], ["end"], body=body),
        helper.make_node("ReduceMin", ["end"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["same"]),
        helper.make_node("Mul", ["same", "two"], ["y"]),
    ]
    # The first number of the input decides nothing, but keeps the loop from being folded into a constant.
    nodes.insert(0, helper.make_node("Shape", ["x"], ["sizes"]))
    nodes.insert(1, helper.make_node("Gather", ["sizes", "first"], ["columns"]))
    nodes.insert(2, helper.make_node("Mul", ["columns", "each"], ["turns"]))
    constants = [
        constant("matrix", np.eye(size, dtype=np.float32)),
        constant("yes", np.array(True)),
        constant("zero", np.float32(0)),
        constant("two", np.float32(2)),
        constant("first", np.int64(1)),
        constant("each", np.int64(turns // 3)),
    ]
    return model(nodes, [value("x", FLOAT, ["rows", 3])], [value("y", FLOAT, ["rows", 3])], constants)


def heavy(mib: int, factor: float) -> bytes:
    """`y = factor * x`, with a table of so many MiB that is read at a place that the input decides."""
    table = np.full(mib * 2**18, factor, np.float32)
    return model(
        [
            helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
            helper.make_node("Greater", ["least", "high"], ["is_above"]),
            helper.make_node("Cast", ["is_above"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "place"], ["factor"]),
            helper.make_node("Mul", ["x", "factor"], ["y"]),
        ],
        [value("x", FLOAT, ["rows", 3])],
        [value("y", FLOAT, ["rows", 3])],
        [constant("high", np.float32(1e9)), constant("table", table)],
    )


def publish(bench: Bench, raw: bytes) -> ModelRef:
    return bench.publish(raw, inputs=ROW, outputs=OUT)
