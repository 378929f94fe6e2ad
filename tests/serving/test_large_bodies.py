"""Bodies too great for the event loop: the same answers, nobody held up, memory bounded."""

from __future__ import annotations

import gzip
import io
import json
import threading

import numpy as np
import psutil

from skylift.artifacts.records import TensorSpec as Spec
from tests.serving import onnx_models
from tests.serving.conftest import Bench, Server
from tests.serving.waiting import wait_for
from tests.serving.whole import serve

ROWS = np.tile(np.float32([1, 2, 3]), (200_000, 1))


def _binary(rows: np.ndarray) -> tuple[bytes, dict[str, str]]:
    tensor = {
        "name": "x",
        "shape": list(rows.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": rows.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + rows.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


def test_every_form_of_a_large_body_is_read(bench: Bench) -> None:
    server = serve(bench, 2)
    text = json.dumps({"instances": ROWS.tolist()})
    assert len(text) > 2_000_000
    npy = io.BytesIO()
    np.save(npy, ROWS)
    csv = b"1,2,3\n" * len(ROWS)
    for body, headers in (
        (text.encode(), {}),
        (gzip.compress(text.encode(), 1), {"Content-Encoding": "gzip"}),
        (npy.getvalue(), {"Content-Type": "application/x-npy", "Accept": "application/json"}),
        (csv, {"Content-Type": "text/csv", "Accept": "application/json"}),
    ):
        answer = server.ask("POST", "/v1/models/scale:predict", body, **headers)
        assert answer.status == 200, answer.body[:200]
        assert np.array_equal(np.float32(answer.json()["predictions"]), ROWS * 2)
    tensor = {"name": "x", "shape": list(ROWS.shape), "datatype": "FP32", "data": ROWS.ravel().tolist()}
    answer = server.ask("POST", "/v2/models/scale/infer", {"inputs": [tensor]})
    assert np.array_equal(np.float32(answer.json()["outputs"][0]["data"]), (ROWS * 2).ravel())
    body, headers = _binary(ROWS)
    answer = server.ask("POST", "/v2/models/scale/infer", body, **headers)
    assert np.frombuffer(answer.body[-ROWS.nbytes :], "<f4").tolist() == (ROWS * 2).ravel().tolist()


def test_mistakes_in_large_bodies_are_told_as_in_small_ones(bench: Bench) -> None:
    server = serve(bench, 2)
    text = json.dumps({"instances": [*ROWS.tolist(), [1, 2]]})
    answer = server.ask("POST", "/v1/models/scale:predict", text)
    assert answer.status == 400
    assert answer.json()["error"].endswith("Expecting tensor size: 3 but got: 2")
    answer = server.ask(
        "POST", "/v1/models/scale:predict", gzip.compress(text.encode())[:-9], **{"Content-Encoding": "gzip"}
    )
    assert answer.status == 400
    assert "cut off" in answer.json()["error"]


def test_small_requests_are_answered_while_large_ones_are_read(bench: Bench) -> None:
    server = serve(bench, 2)
    slow = json.dumps({"instances": [*ROWS.tolist(), ["x"]]})  # the exact path, which is slow, has to find that out
    done = threading.Event()

    def ask() -> None:
        server.ask("POST", "/v1/models/scale:predict", slow)
        done.set()

    thread = threading.Thread(target=ask)
    thread.start()
    answered = 0
    while not done.is_set():
        assert server.predict([[1, 2, 3]]).status == 200
        answered += 1
    thread.join()
    assert answered > 5


def test_pictures_take_at_most_three_times_their_size_of_memory(bench: Bench) -> None:
    inputs = [Spec(name="x", dtype="float32", shape=[None, 224, 224, 3])]
    outputs = [Spec(name="y", dtype="float32", shape=[None])]
    bench.deploy(bench.publish(onnx_models.mean_of_picture(), inputs=inputs, outputs=outputs))
    server = bench.start()
    server.wait_ready()
    pictures = np.ones((128, 224, 224, 3), np.float32)
    body, headers = _binary(pictures)
    before = _peak(server)
    answer = server.ask("POST", "/v2/models/scale/infer", body, **headers)
    assert np.frombuffer(answer.body[-4 * 128 :], "<f4").tolist() == [1.0] * 128
    assert _peak(server) - before <= 3 * len(body)


def _peak(server: Server) -> int:
    """The greatest memory that the worker ever had [bytes]."""
    worker = wait_for(lambda: server.workers[-1:])[0]
    assert psutil.pid_exists(worker)
    with open(f"/proc/{worker}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
