"""gRPC at a whole server: on a port of its own, on the port of HTTP, through restarts and drains."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.serving.conftest import Bench, Server
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS, publish_slow

TWICE = [[2.0, 4.0, 6.0]]


@pytest.fixture(params=["own port", "HTTP's port"])
def served(request: pytest.FixtureRequest, bench: Bench) -> tuple[Server, str]:
    bench.deploy(bench.publish_scale(2))
    options = ["--grpc-port", "0"] if request.param == "own port" else []
    server = bench.start(*options)
    server.wait_ready()
    return server, _address(server, is_own=request.param == "own port")


def _address(server: Server, *, is_own: bool = True) -> str:
    port = server.events("listening")[0]["grpc_port"] if is_own else server.port
    return f"127.0.0.1:{port}"


def _infer(client: Any, rows: Any, model: str = "scale", **more: Any) -> Any:
    tensor = triton.InferInput("x", list(np.shape(rows)), "FP32")
    tensor.set_data_from_numpy(np.float32(rows))
    return client.infer(model, [tensor], client_timeout=20, **more).as_numpy("y").tolist()


def _client(address: str) -> Any:
    return triton.InferenceServerClient(address)


def test_it_answers(served: tuple[Server, str]) -> None:
    client = _client(served[1])
    assert client.is_server_ready() and client.is_model_ready("scale")
    assert _infer(client, ROWS[:1]) == TWICE
    many = np.tile(np.float32([1, 2, 3]), (200_000, 1))
    assert np.array_equal(np.float32(_infer(client, many)), many * 2)
    with pytest.raises(triton.InferenceServerException, match="NOT_FOUND"):
        _infer(client, ROWS[:1], model="other")
    client.close()


def test_http_goes_on_beside_it(served: tuple[Server, str]) -> None:
    server, address = served
    client = _client(address)
    for _ in range(3):
        assert _infer(client, ROWS[:1]) == TWICE
        assert server.predict(ROWS).status == 200
    client.close()
    metrics = server.ask("GET", "/metrics").body.decode()
    assert 'protocol="v2-grpc",api="infer",canary="false",status="0"} 3' in metrics
    assert 'protocol="tfs-rest",api="predict",canary="false",status="200"} 3' in metrics


def test_a_request_under_way_is_answered_at_a_stop(bench: Bench) -> None:
    bench.deploy(publish_slow(bench))
    server = bench.start()
    server.wait_ready()
    client = _client(_address(server, is_own=False))
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(_infer(client, [[300.0]], model="slow")))
    thread.start()
    wait_for(lambda: _grpc_under_way(server))
    assert server.stop() == 0
    thread.join(20)
    assert answers == [[[300.0]]]
    client.close()


def _grpc_under_way(server: Server) -> bool:
    page = server.ask("GET", "/metrics").body.decode()
    lines = [line for line in page.splitlines() if line.startswith("skylift_requests_in_flight ")]
    return bool(lines) and float(lines[0].split()[1]) >= 2  # the slow one, and this


def test_a_killed_worker_is_followed_by_one_that_answers_grpc(bench: Bench) -> None:
    bench.deploy(bench.publish_scale(2))
    server = bench.start("--grpc-port", "0")
    server.wait_ready()
    client = _client(_address(server))
    assert _infer(client, ROWS[:1]) == TWICE
    os.kill(server.workers[-1], signal.SIGKILL)
    began = time.monotonic()

    def answered() -> bool:
        try:
            return bool(_infer(client, ROWS[:1]) == TWICE)
        except (triton.InferenceServerException, grpc.RpcError):
            return False

    wait_for(answered, 20)
    assert time.monotonic() - began < 20
    client.close()


def test_the_port_of_grpc_tells_http_that_it_is_none(bench: Bench) -> None:
    bench.deploy(bench.publish_scale(2))
    server = bench.start("--grpc-port", "0")
    server.wait_ready()
    connection = http.client.HTTPConnection(_address(server), timeout=10)
    connection.request("GET", "/v1/models/scale")
    answer = connection.getresponse()
    assert (answer.status, b"this port speaks gRPC" in answer.read()) == (400, True)
    connection.close()
