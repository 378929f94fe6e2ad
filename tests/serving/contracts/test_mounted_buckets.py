"""Vertex AI names a prefix of a bucket: it is fetched, in whichever form it holds a model. The bucket is a simulated S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from serving.interface import ModelConfig
from serving.sources.fetch import Versions
from serving.sources.folders import Source
from tests.serving import onnx_models
from tests.serving.contracts.services import Place
from tests.store.simulated_s3 import SimulatedS3, simulated_s3

URI = "s3://tenant/1234/artifacts"


@pytest.fixture
def s3() -> Iterator[SimulatedS3]:
    with simulated_s3() as running:
        yield running


class TestPrefixes:
    @pytest.mark.parametrize("form", ["", "7/"])
    def test_a_version_is_fetched(
        self, place: Place, s3: SimulatedS3, monkeypatch: pytest.MonkeyPatch, form: str
    ) -> None:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        model = onnx_models.scale(2)
        s3.add(f"1234/artifacts/{form}model.onnx", model)
        s3.add(f"1234/artifacts/{form}labels/names.txt", b"a\nb\n")
        source = Source(ModelConfig("m", URI, is_mounted=True), Versions(place.folder / "cache"))
        (found,) = source.look().wanted.items()
        assert found[0] == (7 if form else 1)
        assert (found[1] / "model.onnx").read_bytes() == model
        assert (found[1] / "labels" / "names.txt").exists()

    def test_an_empty_prefix_waits_and_says_why(
        self, place: Place, s3: SimulatedS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        seen = Source(ModelConfig("m", URI, is_mounted=True), Versions(place.folder / "cache")).look()
        assert not seen.wanted
        assert "saved_model.pb" in seen.waiting[1]


class TestWhole:
    def test_a_server_at_vertex_answers_with_it(self, place: Place, s3: SimulatedS3) -> None:
        s3.add("1234/artifacts/model.onnx", onnx_models.scale(2))
        given: Any = {**s3.environment, "AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": URI}
        server = place.start("serve", **given)
        answer = server.ask("POST", "/predict", {"instances": [[1, 2, 3]]})
        assert answer.json() == {"predictions": [[2.0, 4.0, 6.0]]}
