"""Small ONNX models, each made for one behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def model(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], constants: Sequence[Any] = ()) -> bytes:
    graph = helper.make_graph(list(nodes), "model", list(inputs), list(outputs), list(constants))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def value(name: str, kind: int, shape: Sequence[int | str | None] | None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, array: Any) -> Any:
    return numpy_helper.from_array(np.asarray(array), name)


def scale(factor: float) -> bytes:
    """`y = factor * x`, rows of three."""
    return model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        [value("x", FLOAT, ["rows", 3])],
        [value("y", FLOAT, ["rows", 3])],
        [constant("factor", np.float32(factor))],
    )


def slow() -> bytes:
    """`y = x`, rows of one number; x says how many times a matrix is multiplied before: some 100 ms for 100."""
    size = 512
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("MatMul", ["carried", "matrix"], ["next"]),
        ],
        "body",
        [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("carried", FLOAT, [size, size])],
        [value("on", TensorProto.BOOL, []), value("next", FLOAT, [size, size])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "yes", "matrix"], ["end"], body=body),
        helper.make_node("ReduceMin", ["end"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    constants = [
        constant("matrix", np.eye(size, dtype=np.float32)),
        constant("yes", np.array(True)),
        constant("zero", np.float32(0)),
    ]
    return model(nodes, [value("x", FLOAT, ["rows", 1])], [value("y", FLOAT, ["rows", 1])], constants)
