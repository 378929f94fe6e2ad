"""Models that another server computes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from serving.backends.base import RunError
from serving.backends.onnx import OnnxBackend
from serving.backends.remote import RemoteBackend
from skylift.errors import InputError, UnreachableError
from tests.serving import onnx_models
from tests.serving.backends.v2_endpoint import Endpoint, serve, write
from tests.serving.conftest import Bench

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
ASK = {"x": ROWS}


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with serve(OnnxBackend(write(tmp_path, onnx_models.scale(2)), 1, None)) as running:
        yield running


class Remote(Protocol):
    def __call__(self, *urls: str, **more: Any) -> RemoteBackend: ...


@pytest.fixture
def remote() -> Iterator[Remote]:
    made = []

    def make(*urls: str, **more: Any) -> RemoteBackend:
        backend = RemoteBackend(urls, more.pop("model", "part"), 1, **more)
        made.append(backend)
        return backend

    yield make
    for backend in made:
        backend.close()


def dead_url() -> str:
    """Of a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


class TestAsks:
    def test_it_computes_what_the_other_does_on_one_connection(self, remote: Remote, endpoint: Endpoint) -> None:
        backend = remote(endpoint.url)
        for _ in range(5):
            np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 2 * ROWS)
        assert endpoint.connections == 1
        assert backend.is_ready()

    def test_what_it_takes_is_asked_of_the_server(self, remote: Remote, endpoint: Endpoint) -> None:
        signature = remote(endpoint.url).signatures["serving_default"]
        assert [(one.name, one.dtype, one.shape) for one in signature.inputs] == [("x", "float32", (None, 3))]

    def test_strings_and_several_tensors(self, remote: Remote, tmp_path: Path) -> None:
        with serve(OnnxBackend(write(tmp_path, onnx_models.two_inputs()), 1, None)) as running:
            backend = remote(running.url)
            given = backend.run(
                "serving_default",
                {"int_tensor": np.int32([1, 2]), "str_tensor": np.array([b"a", "é".encode()], dtype=object)},
            )
        assert given["i"].tolist() == [1, 2]
        assert given["s"].tolist() == [b"a", "é".encode()]

    def test_large_tensors(self, remote: Remote, endpoint: Endpoint) -> None:
        many = np.random.default_rng(0).random((100_000, 3), np.float32)
        np.testing.assert_array_equal(remote(endpoint.url).run("serving_default", {"x": many})["y"], 2 * many)

    def test_headers_such_as_a_key_are_sent(self, remote: Remote, endpoint: Endpoint) -> None:
        backend = remote(endpoint.url, headers={"Authorization": "Bearer key"})
        backend.run("serving_default", ASK)
        assert endpoint.requests[0]["Authorization"] == "Bearer key"


class TestReplicas:
    def test_requests_go_round(self, remote: Remote, endpoint: Endpoint) -> None:
        with serve(endpoint.backend) as other:
            backend = remote(endpoint.url, other.url)
            for _ in range(4):
                backend.run("serving_default", ASK)
        assert len(endpoint.requests) == len(other.requests) == 2

    def test_one_that_is_not_there_is_passed_over_and_set_aside(self, remote: Remote, endpoint: Endpoint) -> None:
        dead = dead_url()
        backend = remote(dead, endpoint.url)
        for _ in range(4):
            np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 2 * ROWS)
        assert backend.working == [endpoint.url]

    def test_one_that_is_too_busy_is_passed_over(self, remote: Remote, endpoint: Endpoint) -> None:
        with serve(endpoint.backend) as busy:
            busy.before = lambda: (503, b'{"error":"full"}')
            backend = remote(busy.url, endpoint.url)
            for _ in range(3):
                np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 2 * ROWS)
        assert busy.requests

    def test_a_connection_that_was_closed_while_idle_is_replaced(
        self, remote: Remote, endpoint: Endpoint, tmp_path: Path
    ) -> None:
        backend = remote(endpoint.url)
        backend.run("serving_default", ASK)
        assert endpoint.server is not None
        for connection in [found[0] for found in backend._addresses.all[0]._idle]:
            assert connection.sock is not None
            connection.sock.shutdown(socket.SHUT_RDWR)
        np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 2 * ROWS)
        assert endpoint.connections == 2

    def test_a_server_that_comes_again_is_found_again(self, remote: Remote, endpoint: Endpoint) -> None:
        with serve(endpoint.backend) as first:
            backend = remote(first.url)
            backend.run("serving_default", ASK)
            port = int(first.url.rpartition(":")[2])
        backend.close()
        with pytest.raises(RunError, match="cannot be reached") as refused:
            backend.run("serving_default", ASK)
        assert refused.value.cause == "unavailable"
        with serve(endpoint.backend, port=port):
            np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 2 * ROWS)


class TestNoAnswer:
    def test_what_ends_a_server_is_not_sent_to_the_next(self, remote: Remote, endpoint: Endpoint) -> None:
        with serve(endpoint.backend) as other:
            backend = remote(endpoint.url, other.url)

            def die() -> tuple[int, bytes] | None:
                raise ConnectionAbortedError

            endpoint.before = other.before = die
            with pytest.raises(RunError, match="was asked and not answered") as lost:
                backend.run("serving_default", ASK)
        assert lost.value.cause == "unavailable" and not lost.value.is_callers_fault
        assert len(endpoint.requests) + len(other.requests) == 1

    def test_what_a_server_that_is_gone_did_not_answer_is_asked_of_the_next(
        self, remote: Remote, endpoint: Endpoint
    ) -> None:
        with serve(endpoint.backend) as leaving:
            backend = remote(leaving.url, endpoint.url)
            assert leaving.server is not None
            listening = leaving.server.socket

            def leave() -> tuple[int, bytes] | None:
                listening.close()
                raise ConnectionAbortedError

            leaving.before = leave
            for _ in range(2):
                np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 2 * ROWS)
        assert len(leaving.requests) == 1

    def test_of_two_that_go_one_request_is_not_sent_on_for_ever(self, remote: Remote, endpoint: Endpoint) -> None:
        backend = remote(endpoint.url, endpoint.url, endpoint.url)
        monkey = [0]

        def die() -> tuple[int, bytes] | None:
            monkey[0] += 1
            raise ConnectionAbortedError

        endpoint.before = die
        for address in backend._addresses.all:
            address.is_gone = lambda: True  # type: ignore[method-assign]
        with pytest.raises(RunError, match="was asked and not answered") as lost:
            backend.run("serving_default", ASK)
        assert monkey == [2] and lost.value.retry_after == 1.0

    def test_where_even_connecting_takes_long_it_is_not_tried_by_each_request(
        self, remote: Remote, endpoint: Endpoint
    ) -> None:
        backend = remote(endpoint.url)
        (address,) = backend._addresses.all
        address.failed(is_silent=True)
        with pytest.raises(RunError, match="none has answered lately") as refused:
            backend.run("serving_default", ASK)
        assert refused.value.cause == "unavailable" and refused.value.retry_after == 1.0
        assert not endpoint.requests
        address.aside_until = 0.0
        np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 2 * ROWS)

    def test_past_the_deadline_nobody_waits(self, remote: Remote, endpoint: Endpoint) -> None:
        backend, held = remote(endpoint.url), threading.Event()
        endpoint.before = lambda: (held.wait(30), None)[1]
        with pytest.raises(RunError, match="in time") as late:
            backend.run("serving_default", ASK, deadline=time.monotonic() + 0.1)
        held.set()
        assert late.value.cause == "late"

    def test_the_longest_wait_is_its_own(self, remote: Remote, endpoint: Endpoint) -> None:
        backend, held = remote(endpoint.url, timeout_seconds=0.1), threading.Event()
        endpoint.before = lambda: (held.wait(30), None)[1]
        with pytest.raises(RunError, match="in time"):
            backend.run("serving_default", ASK, deadline=time.monotonic() + 60)
        held.set()

    @pytest.mark.parametrize(
        ("status", "cause"),
        [(400, "refused"), (404, "unavailable"), (500, "broken"), (504, "late"), (429, "unavailable")],
    )
    def test_its_refusals_keep_their_meaning(self, remote: Remote, endpoint: Endpoint, status: int, cause: str) -> None:
        backend = remote(endpoint.url)
        endpoint.before = lambda: (status, b'{"error":"no more"}')
        with pytest.raises(RunError, match="no more") as refused:
            backend.run("serving_default", ASK)
        assert refused.value.cause == cause
        assert refused.value.is_callers_fault == (cause == "refused")

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1]}]}']
    )
    def test_an_answer_that_is_none_is_named(self, remote: Remote, endpoint: Endpoint, body: bytes) -> None:
        backend = remote(endpoint.url)
        endpoint.before = lambda: (200, body)
        with pytest.raises(RunError, match=r"part at http://127.0.0.1:\d+ answers with") as wrong:
            backend.run("serving_default", ASK)
        assert wrong.value.cause == "broken"

    def test_a_model_that_is_not_there_is_named_at_the_start(self, remote: Remote, endpoint: Endpoint) -> None:
        with pytest.raises(UnreachableError, match="answers 404: no such model"):
            remote(endpoint.url, model="other")

    @pytest.mark.parametrize("url", ["", "host:8501", "ftp://host", "http://", "http://u:p@host", "http://host:99999"])
    def test_what_is_no_address(self, remote: Remote, url: str) -> None:
        with pytest.raises(InputError, match="no address"):
            remote(url)


@pytest.mark.slow
class TestServer:
    def test_a_version_that_our_own_server_answers_for(self, bench: Bench, remote: Remote) -> None:
        bench.deploy(bench.publish_scale(3))
        server = bench.start()
        server.wait_ready()
        backend = remote(f"http://127.0.0.1:{server.port}", model="scale")
        assert backend.is_ready()
        for _ in range(3):
            np.testing.assert_array_equal(backend.run("serving_default", ASK)["y"], 3 * ROWS)
        with pytest.raises(RunError) as refused:
            backend.run("serving_default", {"x": np.ones((2, 4), np.float32)})
        assert refused.value.is_callers_fault
