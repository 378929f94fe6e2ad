"""What can be known of GPUs without one: what is asked of the runtimes, and staging in memory from a simulated CUDA runtime."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from serving.backends import onnx_session
from serving.backends.onnx import OnnxBackend
from serving.backends.pinned import LEAST_BYTES, PinnedMemory
from tests.serving import onnx_models
from tests.serving.backends.v2_endpoint import write

MANY = np.arange(3 * LEAST_BYTES // 4, dtype=np.float32).reshape(-1, 3)


class Simulated:
    """Plain memory under CUDA's two calls."""

    def __init__(self, limit: int = 2**30) -> None:
        self.held: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._limit = limit

    def allocate(self, size: int) -> int:
        if size > self._limit:
            return 0
        block = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def free(self, address: int) -> None:
        del self.held[address]

    def memory(self) -> PinnedMemory:
        return PinnedMemory(self.allocate, self.free)


class TestProviders:
    def test_the_cpu_alone_where_the_runtime_has_no_cuda(self) -> None:
        assert onnx_session.providers_of(["AzureExecutionProvider", "CPUExecutionProvider"], 0, 0) == [
            "CPUExecutionProvider"
        ]

    def test_cuda_before_the_cpu_with_its_device_and_limit(self) -> None:
        available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        (name, options), fallback = onnx_session.providers_of(available, 1, 2048)
        assert (name, fallback) == ("CUDAExecutionProvider", "CPUExecutionProvider")
        assert options["device_id"] == "1"
        assert options["gpu_mem_limit"] == str(2048 * 2**20)
        assert "gpu_mem_limit" not in onnx_session.providers_of(available, 0, 0)[0][1]

    def test_a_cuda_that_does_not_start_is_said_and_the_cpu_computes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cuda = ("CUDAExecutionProvider", {"device_id": "0"})
        monkeypatch.setattr(onnx_session, "providers_of", lambda *_: [cuda, "CPUExecutionProvider"])
        with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
            backend = OnnxBackend(write(tmp_path, onnx_models.scale(2)), 1, None)
        assert "gpu_unused" in capsys.readouterr().err
        assert backend.run("serving_default", {"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[2, 2, 2]]


class TestPinned:
    def test_tensors_of_all_sizes_arrive_unchanged(self, tmp_path: Path) -> None:
        backend, cuda = OnnxBackend(write(tmp_path, onnx_models.scale(2)), 1, None), Simulated()
        backend._pinned = cuda.memory()
        for rows in (1, len(MANY) // 2, len(MANY), 2, len(MANY)):
            given = backend.run("serving_default", {"x": MANY[:rows]})["y"]
            np.testing.assert_array_equal(given, 2 * MANY[:rows])
        assert len(cuda.held) == 1
        backend.close()
        assert not cuda.held

    def test_where_pinned_memory_is_short_the_tensor_is_taken_as_it_is(self) -> None:
        assert Simulated(limit=100).memory().stage("x", MANY) is MANY
