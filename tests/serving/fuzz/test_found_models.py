"""What fuzzing found in models: inputs that do not go together inside are the client's mistake, not the server's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from benchmarks.fuzzing_parts.served import MODELS
from serving.backends.base import RunError
from serving.backends.onnx import OnnxBackend
from serving.signature import DEFAULT_SIGNATURE
from tests.serving import onnx_models
from tests.serving.onnx_models import FLOAT, value


def _backend(folder: Path, raw: bytes) -> OnnxBackend:
    (folder / "model.onnx").write_bytes(raw)
    return OnnxBackend(folder / "model.onnx", 1, None)


def _run(backend: OnnxBackend, **rows: list[list[float]]) -> RunError:
    with pytest.raises(RunError) as caught:
        backend.run(DEFAULT_SIGNATURE, {name: np.array(one, np.float32) for name, one in rows.items()})
    return caught.value


def test_two_inputs_that_cannot_be_added_are_the_clients_fault(tmp_path: Path) -> None:
    problem = _run(_backend(tmp_path, MODELS["sum"]), a=[[1, 2, 3]], b=[[1, 2]])
    assert problem.is_callers_fault and "broadcast" in problem.message


def test_a_model_that_cannot_take_its_own_rows_is_at_fault_itself(tmp_path: Path) -> None:
    two_rows = helper.make_node("Reshape", ["x", "as"], ["y"])
    shape = onnx_models.constant("as", [2, 3])
    raw = onnx_models.model([two_rows], [value("x", FLOAT, ["rows", 3])], [value("y", FLOAT, None)], [shape])
    problem = _run(_backend(tmp_path, raw), x=[[1, 2, 3]])
    assert not problem.is_callers_fault and "reshape" in problem.message
