"""The load generators of benchmarks/serving.py, against real sockets and a real gRPC server."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving_bench import ROOT, asking, calling
from benchmarks.serving_bench.load import program, wire, wrk
from benchmarks.serving_bench.load.clients import LOST, Clients
from benchmarks.serving_bench.load.program import Plan
from benchmarks.serving_bench.load.record import Record
from benchmarks.serving_bench.load.wire import BROKEN, Http1
from serving.grpc.protos import tensorflow_serving_pb2
from tests.serving.grpc.line_models import running

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Skylift-Deployment: 4\r\n\r\nabc"
ASK = asking.v2_binary("m", np.ones((1, 4), np.float32))


@pytest.fixture
def sink() -> Iterator[int]:
    """The port of a server that answers at once."""
    command = [sys.executable, "-m", "benchmarks.serving_bench.load.sink", str(len(ASK.raw()))]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.kill()
    process.communicate()


@pytest.mark.parametrize("size", [1, 7, 40, len(ANSWER)])
def test_an_answer_is_whole_however_it_is_cut(size: int) -> None:
    client = Http1(b"")
    for _ in range(2):
        statuses = [client.feed(ANSWER[at : at + size]) for at in range(0, len(ANSWER), size)]
        assert statuses[-1] == 200 and not any(statuses[:-1])
        assert client.answer == ANSWER


def test_other_statuses_and_lengths_are_not_taken_for_the_usual_answer() -> None:
    client = Http1(b"")
    assert client.feed(ANSWER) == 200
    assert client.feed(ANSWER.replace(b"200", b"429")) == 429
    assert client.feed(ANSWER.replace(b"Length: 3", b"Length: 4") + b"d") == 200
    assert client.feed(b"SSH-2.0 hello\r\n\r\n") == BROKEN


def test_chunked_answers_end_with_their_last_chunk() -> None:
    client = Http1(b"")
    assert client.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n") is None
    assert client.feed(b"0\r\n\r\n") == 200


def test_a_closed_loop_counts_what_is_answered(sink: int) -> None:
    said = program.http(sink, ASK.raw(), Plan(8, 0.3))
    assert said.answered > 100
    assert set(said.statuses) == {200}
    assert 0 < said.p50_ms <= said.p99_ms < 300


def test_a_constant_rate_is_kept(sink: int) -> None:
    said = program.http(sink, ASK.raw(), Plan(64, 0.5, rate=400, warm=0.1))
    assert 150 <= said.offered <= 215


def test_a_record_has_every_answer_and_the_first_of_each_deployment(tmp_path: Path) -> None:
    with _Stalling(ANSWER, every=10**9) as server:
        path = tmp_path / "record"
        said = program.http(server.port, ASK.raw(), Plan(2, 0.2, record=str(path)))
    record = Record(path)
    assert len(record.spans) == said.offered > 2
    assert all(began <= ended for began, ended in record.spans)
    assert record.first[4] == record.spans[0][1]


def test_time_counts_from_when_a_request_was_due_although_the_server_stood_still() -> None:
    with _Stalling(ANSWER, every=50, seconds=0.4) as server:
        clients = Clients(server.port, lambda: Http1(ASK.raw()), 1)
        seen = clients.constant_rate(100, 1.0)
        clients.close()
    assert max(seen.took) > 0.3
    assert seen.statuses[LOST] > 20  # of one connection: those that were due while it waited


def test_grpc_is_understood_by_a_real_server() -> None:
    message = calling.predict_request("line", np.ones((1, 2), np.float32))
    with running(as_content=True) as server:
        said = program.grpc(server.port, calling.METHOD, message, Plan(4, 0.4), (("x-request-id", "abc"),))
        refused = program.grpc(server.port, calling.METHOD + "s", message, Plan(2, 0.2))
    assert said.answered > 20 and set(said.statuses) == {200}
    assert refused.answered == 0 and refused.statuses[500] > 2


def test_a_message_that_does_not_fit_the_first_window_is_refused() -> None:
    with pytest.raises(ValueError, match="more than this generator sends"):
        wire.Grpc("/a/b", b"." * 70_000)


def test_the_predict_request_is_the_protocols() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    found = tensorflow_serving_pb2.PredictRequest.FromString(calling.predict_request("m", rows))
    tensor = found.inputs["x"]
    assert found.model_spec.name == "m"
    assert [dim.size for dim in tensor.tensor_shape.dim] == [1, 2, 3]
    assert np.frombuffer(tensor.tensor_content, np.float32).tolist() == rows.ravel().tolist()


def test_bodies_hold_the_same_rows_in_every_way() -> None:
    rows = np.array([[0.1, 0.25]], np.float32)
    binary = asking.v2_binary("m", rows)
    length = int(binary.headers[asking.LENGTH])
    assert np.frombuffer(binary.body[length:], "<f4").tolist() == rows.ravel().tolist()
    assert json.loads(asking.tfs_json("m", rows).body)["instances"] == rows.astype(float).tolist()
    assert json.loads(asking.v2_json("m", rows).body)["inputs"][0]["data"] == rows.astype(float).ravel().tolist()
    assert b"[[1, 2]]" in asking.tfs_json("m", np.array([[1, 2]])).body


def test_answers_are_compared_with_the_models() -> None:
    with _Stalling(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", every=10**9) as server:
        assert asking.problem(server.port, ASK, np.ones(4)) == "not served"
    with _Stalling(ANSWER, every=10**9) as server:
        assert asking.problem(server.port, ASK, np.ones(4)).startswith("an answer that cannot be read")
    body = np.ones(4, "<f4").tobytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + 2}\r\n{asking.LENGTH}: 2\r\n\r\n{{}}".encode()
    with _Stalling(head + body, every=10**9) as server:
        assert asking.problem(server.port, ASK, np.ones(4)) == ""
        assert asking.problem(server.port, ASK, np.zeros(4)) == "another answer than the model's"


def test_wrk_is_told_and_read(tmp_path: Path) -> None:
    script = wrk.lua(ASK, tmp_path / "body")
    assert 'wrk.path = "/v2/models/m/infer"' in script
    assert f'wrk.headers["{asking.LENGTH}"]' in script
    said = f'Running 1s test\n{wrk.MARK}{{"requests":100,"seconds":2.0,"p50":1.5,"p99":9.0,"status":3,"broken":2}}\n'
    outcome = wrk.read(said, 0.25)
    assert (outcome.answered, outcome.failed, outcome.p99_ms, outcome.client_cpu) == (97, 5, 9.0, 0.25)


@pytest.mark.skipif(not wrk.is_there(), reason="wrk is not installed")
def test_wrk_asks() -> None:
    with _Stalling(ANSWER, every=10**9) as server:
        outcome = wrk.run(server.port, ASK, 4, 1.0)
    assert outcome.answered > 100 and not outcome.failed


def test_a_peer_that_does_not_exist_is_refused() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "serving.py"), "--peers", "mlserver,nobody"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no nobody; there are mlserver, bentoml" in done.stderr


@pytest.mark.slow
def test_a_short_run_measures_every_way(tmp_path: Path) -> None:
    options = [
        "--quick",
        "--seconds",
        "1",
        "--rounds",
        "1",
        "--sections",
        "servers",
        "--json",
        "--cache",
        str(tmp_path),
    ]
    command = [sys.executable, str(ROOT / "benchmarks" / "serving.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode in (0, 1), done.stderr  # 1: a promise does not hold, on a machine that does other things too
    found = json.loads(done.stdout)
    assert not found["skipped"]
    assert {cell["way"] for cell in found["cells"]} == {"v2 binary", "v2 JSON", "TF Serving JSON", "gRPC Predict"}
    assert all(cell["rate"] > 50 and not cell["failed"] for cell in found["cells"])


class _Stalling:
    """A server of one thread that gives the same answer, and stands still for a while at every `every`-th request."""

    def __init__(self, answer: bytes, *, every: int, seconds: float = 0.0) -> None:
        self._answer, self._every, self._seconds = answer, every, seconds
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._wait = threading.Event()
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> _Stalling:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait.set()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        count = 0
        with client, client.makefile("rb") as lines, contextlib.suppress(OSError):
            while lines.readline():
                headers = http.client.parse_headers(lines)
                lines.read(int(headers["Content-Length"]))
                count += 1
                if not count % self._every:
                    self._wait.wait(self._seconds)
                client.sendall(self._answer)
