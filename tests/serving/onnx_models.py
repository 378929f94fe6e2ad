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
        [
            value("turn", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("carried", FLOAT, [size, size]),
        ],
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


# those that the published TensorFlow Serving cases are about; no rank is declared, as in their graphs


def half_plus_two() -> bytes:
    """`y = 0.5 * x + 2` of any shape."""
    return model(
        [helper.make_node("Mul", ["x", "half"], ["h"]), helper.make_node("Add", ["h", "two"], ["y"])],
        [value("x", FLOAT, None)],
        [value("y", FLOAT, None)],
        [constant("half", np.float32(0.5)), constant("two", np.float32(2))],
    )


def identity(kind: int) -> bytes:
    """One input `default`, given back as `y`."""
    return model(
        [helper.make_node("Identity", ["default"], ["y"])], [value("default", kind, None)], [value("y", kind, None)]
    )


def two_inputs() -> bytes:
    """Inputs int_tensor and str_tensor, given back."""
    return model(
        [helper.make_node("Identity", ["int_tensor"], ["i"]), helper.make_node("Identity", ["str_tensor"], ["s"])],
        [value("int_tensor", TensorProto.INT32, None), value("str_tensor", TensorProto.STRING, None)],
        [value("i", TensorProto.INT32, None), value("s", TensorProto.STRING, None)],
    )


def two_outputs() -> bytes:
    """`a = float(x)`, `b = [2x - 1, 2x]`: for x = 1, 2 the rows [1, 2], [3, 4]."""
    return model(
        [
            helper.make_node("Cast", ["x"], ["a"], to=FLOAT),
            helper.make_node("Unsqueeze", ["x", "last"], ["column"]),
            helper.make_node("Mul", ["column", "double"], ["doubled"]),
            helper.make_node("Add", ["doubled", "offsets"], ["b"]),
        ],
        [value("x", TensorProto.INT32, ["rows"])],
        [value("a", FLOAT, ["rows"]), value("b", TensorProto.INT32, ["rows", 2])],
        [
            constant("last", np.int64([1])),
            constant("double", np.int32(2)),
            constant("offsets", np.int32([[-1, 0]])),
        ],
    )


def fixed_output(array: Any) -> bytes:
    """Gives the same array whatever comes in: for outputs without rows, or with other numbers of rows."""
    kind = helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype)
    return model(
        [helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.asarray(array), "v"))],
        [value("default", FLOAT, None)],
        [value("y", kind, None)],
    )


def uneven_outputs() -> bytes:
    """`a` has a row per row, `b` always two."""
    return model(
        [
            helper.make_node("Cast", ["x"], ["a"], to=FLOAT),
            helper.make_node("Constant", [], ["b"], value=numpy_helper.from_array(np.int32([1, 2]), "v")),
        ],
        [value("x", TensorProto.INT32, ["rows"])],
        [value("a", FLOAT, ["rows"]), value("b", TensorProto.INT32, [2])],
    )


def log() -> bytes:
    """`y = log(x)` of any shape: NaN below zero, -Infinity at zero."""
    return model(
        [helper.make_node("Log", ["default"], ["y"])], [value("default", FLOAT, None)], [value("y", FLOAT, None)]
    )


def mean_of_picture() -> bytes:
    """`y` is the mean of each row of 224 x 224 x 3."""
    return model(
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2, 3], keepdims=0)],
        [value("x", FLOAT, ["rows", 224, 224, 3])],
        [value("y", FLOAT, ["rows"])],
    )


def weights(count: int) -> bytes:
    """`y = x * sum of weights`, with so many weights of four bytes each."""
    return model(
        [
            helper.make_node("ReduceSum", ["weights"], ["total"], keepdims=0),
            helper.make_node("Mul", ["x", "total"], ["y"]),
        ],
        [value("x", FLOAT, ["rows"])],
        [value("y", FLOAT, ["rows"])],
        [constant("weights", np.random.default_rng(0).random(count, np.float32))],
    )


def impossible() -> bytes:
    """A whole file whose model nothing can compute."""
    return model(
        [helper.make_node("NoSuchOperation", ["x"], ["y"])], [value("x", FLOAT, None)], [value("y", FLOAT, None)]
    )
