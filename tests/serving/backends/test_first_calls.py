"""Warming: what is called, what is timed, what refuses a version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from serving.backends.base import Array, RunError
from serving.backends.composite import CompositeBackend
from serving.backends.lazy import LazyBackend
from serving.backends.onnx import OnnxBackend
from serving.backends.warm import Costs, warm
from serving.signature import ModelSignature, Tensor
from skylift.errors import DeployError
from tests.serving import onnx_models
from tests.serving.backends.v2_endpoint import write

ROW = ModelSignature((Tensor("x", "float32", (None, 3)),), (Tensor("y", "float32", (None, 3)),))
TEXT = ModelSignature((Tensor("text", "string", (None,)),), (Tensor("y", "float32", (None,)),))


class Watched:
    """Notes what it is asked; refuses what `refuses` names."""

    name = platform = "watched"
    concurrency = 1
    methods: Mapping[str, str] = {}
    defaults: Mapping[str, Mapping[str, Array]] = {}

    def __init__(self, signatures: Mapping[str, ModelSignature], refuses: str = "") -> None:
        self.signatures = signatures
        self.asked: list[tuple[str, int]] = []
        self._refuses = refuses

    def run(self, signature: str, inputs: Mapping[str, Array], *given: object, **more: object) -> dict[str, Array]:
        self.asked.append((signature, len(next(iter(inputs.values())))))
        if signature == self._refuses:
            raise RunError("no", is_callers_fault=True)
        return dict(inputs)

    def close(self) -> None: ...


class TestZeros:
    def test_every_size_that_batches_are_padded_to_is_called_and_timed(self) -> None:
        backend = Watched({"serving_default": ROW})
        costs = warm(backend, 32, sizes=(4, 16))
        assert {rows for _, rows in backend.asked} == costs.seconds.keys() == {1, 4, 16, 32}

    def test_all_signatures_are_called(self) -> None:
        backend = Watched({"serving_default": ROW, "other": ROW})
        warm(backend, 2)
        assert {name for name, _ in backend.asked} == {"serving_default", "other"}

    def test_one_that_is_loaded_on_demand_stays_so(self) -> None:
        def load() -> Watched:
            raise AssertionError

        explain = LazyBackend("t", "t", {"explain": ROW}, load)
        warm(CompositeBackend(Watched({"serving_default": ROW}), [explain]), 4)
        assert not explain.is_loaded

    @pytest.mark.parametrize(
        ("signature", "refuses", "must", "is_error"),
        [
            (ROW, "serving_default", True, True),
            (ROW, "serving_default", False, False),
            (TEXT, "serving_default", True, False),
            (ROW, "other", True, False),
        ],
    )
    def test_a_refusal_counts_where_zeros_are_proof(
        self, signature: ModelSignature, refuses: str, must: bool, is_error: bool
    ) -> None:
        backend = Watched({"serving_default": signature, "other": signature}, refuses)
        if is_error:
            with pytest.raises(DeployError, match="fails on 1 rows of zeros: no"):
                warm(backend, 4, must_take_zeros=must)
        else:
            warm(backend, 4, must_take_zeros=must)

    def test_without_serving_default_there_are_no_costs(self) -> None:
        assert warm(Watched({"other": ROW}), 4).seconds == {}


class TestRecorded:
    ONE: Mapping[str, Array] = {"x": np.ones((3, 3), np.float32)}

    def test_each_is_made_so_many_times_and_so_many_of_them_at_most(self) -> None:
        backend = Watched({"serving_default": ROW})
        warm(backend, 1, recorded=(("serving_default", self.ONE) for _ in range(50)), iterations=2, most_recorded=5)
        assert backend.asked.count(("serving_default", 3)) == 10

    def test_a_refused_one_refuses_the_version(self) -> None:
        backend = Watched({"serving_default": ROW, "other": ROW}, "other")
        recorded = [("serving_default", self.ONE), ("other", self.ONE)]
        with pytest.raises(DeployError, match="refuses recorded request 2: no"):
            warm(backend, 1, recorded=recorded)

    def test_a_signature_that_it_lacks_is_named(self) -> None:
        with pytest.raises(DeployError, match="recorded request 1 asks for signature 'more'; the model has serving"):
            warm(Watched({"serving_default": ROW}), 1, recorded=[("more", self.ONE)])


class TestCosts:
    def test_what_a_call_and_what_a_row_costs(self) -> None:
        costs = Costs({1: 0.003, 64: 0.066})
        assert costs.per_row == pytest.approx(0.001)
        assert costs.per_call == pytest.approx(0.002)

    @pytest.mark.parametrize(("seconds", "call", "row"), [({}, 0, 0), ({1: 0.5}, 0, 0.5), ({1: 2.0, 8: 1.0}, 2, 0)])
    def test_they_are_never_below_zero(self, seconds: dict[int, float], call: float, row: float) -> None:
        assert (Costs(seconds).per_call, Costs(seconds).per_row) == (call, row)

    def test_of_a_real_model(self, tmp_path: Path) -> None:
        costs = warm(OnnxBackend(write(tmp_path, onnx_models.scale(2)), 1, None), 64)
        assert 0 < costs.seconds[1] < 1 and 0 < costs.seconds[64] < 1
