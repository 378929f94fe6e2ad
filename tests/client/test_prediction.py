"""Asking a real server, and what its numbers mean."""

from __future__ import annotations

import math
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.artifacts import models
from skylift.artifacts.records import (
    Format,
    ModelManifest,
    ModelRef,
    Samples,
    Signature,
    TaskInfo,
    TensorSpec,
    encode,
    now,
)
from skylift.client import prediction
from skylift.client.prediction import Prediction
from skylift.errors import InputError, NotFoundError, UnreachableError
from skylift.stack.outputs import EndpointOutput
from tests.client.conftest import ROW, StackBench
from tests.serving import onnx_models
from tests.serving.waiting import wait_for

REF = ModelRef(name="m", version=3, digest="d" * 64)


def decode(row: Any, task: TaskInfo) -> Prediction:
    manifest = ModelManifest(
        name="m",
        created=now(),
        by="test",
        signature=Signature(inputs=ROW, outputs=ROW),
        task=task,
        formats={},
        files=[],
    )
    return prediction.decode(row, manifest, REF, 7)


class TestDecode:
    def test_classification(self) -> None:
        task = TaskInfo(kind="classification", labels=["cat", "dog", "owl"])
        told = decode([0.1, 0.7, 0.2], task)
        assert (told.label, told.probability, told.value) == ("dog", 0.7, None)
        assert told.scores == {"cat": 0.1, "dog": 0.7, "owl": 0.2}
        assert (told.model, told.version, told.deployment, told.raw) == ("m", 3, 7, [0.1, 0.7, 0.2])
        assert told.to_dict()["label"] == "dog"

    def test_labels_that_do_not_fit_are_numbers(self) -> None:
        assert decode([0.2, 0.8], TaskInfo(kind="classification", labels=["only one"])).label == "1"

    @pytest.mark.parametrize(("row", "label", "probability"), [([0.9], "spam", 0.9), (0.2, "ham", 0.8)])
    def test_binary(self, row: Any, label: str, probability: float) -> None:
        told = decode(row, TaskInfo(kind="binary", labels=["ham", "spam"]))
        assert told.label == label and told.probability == pytest.approx(probability)
        assert sum(told.scores.values()) == pytest.approx(1)

    def test_binary_without_labels(self) -> None:
        assert decode([0.9], TaskInfo(kind="binary")).label == "yes"

    @pytest.mark.parametrize(
        ("row", "value"), [([21.5], 21.5), (21.5, 21.5), ([[21.5]], 21.5), ([1.0, 2.0], [1.0, 2.0])]
    )
    def test_regression(self, row: Any, value: Any) -> None:
        told = decode(row, TaskInfo(kind="regression", unit="°C"))
        assert (told.value, told.unit, told.label, told.probability) == (value, "°C", None, None)

    def test_one_output_that_is_named(self) -> None:
        assert decode({"y": [0.1, 0.9]}, TaskInfo(kind="classification", labels=["a", "b"])).label == "b"

    @pytest.mark.parametrize("kind", ["classification", "regression", "binary", "generic"])
    @pytest.mark.parametrize("row", [{"a": [0.1], "b": [0.9]}, ["text"], None, [None, 0.5]])
    def test_what_has_no_meaning_known_to_us_stays_as_it_is(self, kind: Any, row: Any) -> None:
        told = decode(row, TaskInfo(kind=kind))
        assert (told.label, told.value, told.raw) == (None, None, row)


def publish(bench: StackBench, factor: float, task: TaskInfo, instances: list[Any] | None = None) -> ModelRef:
    """`y = factor * x` with a meaning and, maybe, samples."""
    folder = bench.folder / f"published-{factor}"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onnx_models.scale(factor))
    if instances is not None:
        (folder / "samples.json").write_bytes(encode(Samples(instances=instances, expected=["b"])))
    outputs = [TensorSpec(name="y", dtype="float32", shape=[None, 3])]
    manifest = ModelManifest(
        name="scale",
        created=now(),
        by="test",
        signature=Signature(inputs=ROW, outputs=outputs),
        task=task,
        formats={"onnx": Format(path="model.onnx")},
        files=[],
    )
    made = models.publish(bench.keep, "scale", folder, manifest)
    return ModelRef(name=made.name, version=made.version, digest=made.digest)


LETTERS = TaskInfo(kind="classification", labels=["a", "b", "c"], input_names=["p", "q", "r"])


class TestAsk:
    def test_rows_in_every_form_and_who_answered(self, bench: StackBench, tmp_path: Path) -> None:
        bench.serve()
        publish(bench, 1, LETTERS, [[0.1, 0.8, 0.1]])
        bench.stack.deploy("scale")
        one = bench.stack.predict([0.1, 0.8, 0.1])
        assert [(told.label, told.model, told.version, told.deployment) for told in one] == [("b", "scale", 1, 1)]
        assert one[0].probability == pytest.approx(0.8)
        np.save(tmp_path / "rows.npy", np.eye(3))
        (tmp_path / "rows.csv").write_text("r,q,p\n1,0,0\n0,0,1\n")
        (tmp_path / "rows.json").write_text('{"instances": [[0, 1, 0]]}')
        for name, labels in (("rows.npy", "abc"), ("rows.csv", "ca"), ("rows.json", "b")):
            assert "".join(str(told.label) for told in bench.stack.predict(tmp_path / name)) == labels
        kept = prediction.samples(bench.stack)
        assert bench.stack.predict(kept.instances[0])[0].label == kept.expected[0]

    def test_the_answers_own_version_is_named_while_another_is_loaded(self, bench: StackBench) -> None:
        server = bench.serve()
        publish(bench, 1, LETTERS)
        bench.stack.deploy("scale")
        publish(bench, 2, TaskInfo(kind="regression"))
        for worker in server.workers:
            assert worker
        server.process.send_signal(signal.SIGSTOP)  # the supervisor follows no pointer; its worker goes on answering
        try:
            bench.stack.deploy("scale:2", wait=False)
            told = bench.stack.predict([0, 0, 1])[0]
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert (told.version, told.deployment, told.label) == (1, 1, "c")
        wait_for(lambda: bench.stack.predict([0, 0, 1])[0].version == 2)

    def test_a_shape_that_does_not_fit_is_told_before_anything_is_sent(self, bench: StackBench) -> None:
        publish(bench, 1, LETTERS)
        bench.stack.deploy("scale", wait=False)
        with pytest.raises(InputError, match=r"shape \[1, 2\], the model takes \[rows, 3\] float32"):
            bench.stack.predict([[1, 2]])

    def test_what_is_no_number_is_told(self, bench: StackBench) -> None:
        bench.serve()
        publish(bench, 1, LETTERS)
        bench.stack.deploy("scale")
        told = bench.stack.predict([math.nan, 1, 2])[0]
        assert told.label is None and told.raw is not None

    def test_nothing_deployed(self, bench: StackBench) -> None:
        bench.serve()
        for ask in (lambda: bench.stack.predict([1, 2, 3]), lambda: prediction.samples(bench.stack)):
            with pytest.raises(NotFoundError, match="serves nothing yet") as told:
                ask()
            assert "skylift deploy" in told.value.hint

    def test_no_samples(self, bench: StackBench) -> None:
        publish(bench, 1, LETTERS)
        bench.stack.deploy("scale", wait=False)
        with pytest.raises(NotFoundError, match="scale:1 came without samples"):
            prediction.samples(bench.stack)

    def test_a_server_that_is_gone(self, bench: StackBench) -> None:
        publish(bench, 1, LETTERS)
        bench.stack.deploy("scale", wait=False)
        begun = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer") as told:
            bench.stack.predict([1, 2, 3])
        assert time.monotonic() - begun < 5
        assert "skylift up" in told.value.hint

    def test_a_deployment_that_is_not_loaded_yet(self, bench: StackBench) -> None:
        bench.serve()
        bench.deploy(bench.publish_garbage())
        with pytest.raises((UnreachableError, NotFoundError)) as told:
            bench.stack.predict([1, 2, 3])
        assert told.value.hint

    @pytest.mark.parametrize("answer", [b"<html>hello</html>", b"[1]", b"{}", b'{"predictions": 3}'])
    def test_somebody_else_at_the_address(self, bench: StackBench, answer: bytes) -> None:
        class Stranger(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        publish(bench, 1, LETTERS)
        bench.stack.deploy("scale", wait=False)
        with HTTPServer(("127.0.0.1", 0), Stranger) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                bench.promise(f"http://127.0.0.1:{server.server_port}")
                with pytest.raises(UnreachableError, match=r"answers, but") as told:
                    bench.stack.predict([1, 2, 3])
            finally:
                server.shutdown()
                thread.join()
        assert told.value.hint == "check the address"


class TestReach:
    def test_without_a_serving_image_it_says_which_setting_lets_it_answer(self) -> None:
        with pytest.raises(NotFoundError) as caught:
            prediction.check_reach("default", EndpointOutput(url=""))
        assert "skylift:images.serving" in caught.value.hint

    def test_a_private_endpoint_names_the_path_that_leads_there(self) -> None:
        with pytest.raises(UnreachableError, match="reached by ssm"):
            prediction.check_reach("default", EndpointOutput(url="http://10.64.0.9:8080", access="ssm"))

    def test_one_that_only_its_network_reaches_says_from_where_to_call(self) -> None:
        with pytest.raises(UnreachableError, match="only from inside the stack's network") as caught:
            prediction.check_reach("default", EndpointOutput(url="http://10.64.0.9:8080", access="network"))
        assert "VPN" in caught.value.hint

    def test_an_open_one_passes(self) -> None:
        prediction.check_reach("default", EndpointOutput(url="http://127.0.0.1:8501"))
