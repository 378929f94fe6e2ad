"""Calls by grpcio's own client, through real batchers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from serving.grpc.protos import health_pb2
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.interface import Code
from tests.serving.grpc.line_models import refused
from tests.serving.grpc_wire.real_models import PREDICT, Served, request, served
from tests.serving.waiting import wait_for

BIG = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as run:
        run.channel.close()
        run.channel = grpc.insecure_channel(f"127.0.0.1:{run.port}", BIG)
        yield run


def content(answer: Any) -> list[float]:
    found: list[float] = np.frombuffer(answer.outputs["y"].tensor_content, np.float32).tolist()
    return found


def test_a_prediction_is_computed_and_told_of(server: Served) -> None:
    asked = [("x-request-id", "7"), ("x-skylift-key", "k"), ("traceparent", "00-1"), ("blob-bin", b"\0\xff")]
    assert content(server.ask([[1, 2]], metadata=asked)) == [2, 4]
    wait_for(lambda: server.watching.calls)
    call = server.watching.calls[0]
    assert (call.protocol, call.api, call.model, call.version, call.rows) == ("tfs-grpc", "predict", "m", 1, 1)
    assert (call.status, call.client, call.key, call.traceparent) == (0, "127.0.0.1", b"k", "00-1")
    assert server.watching.ids == [b"7"]
    assert call.request_bytes == request([[1, 2]]).ByteSize() and call.response_bytes > 8
    assert 0 < call.arrived <= call.parsed <= call.started <= call.gathered <= call.computed <= call.answered
    assert server.wire.front.in_flight == 0


def test_many_calls_of_one_connection_and_of_many(server: Served) -> None:
    channels = [
        grpc.insecure_channel(f"127.0.0.1:{server.port}", [("grpc.use_local_subchannel_pool", 1)]) for _ in "abcd"
    ]
    calls = [one.unary_unary(PREDICT, None, tfs.PredictResponse.FromString) for one in channels]

    def ask(number: int) -> bool:
        sent = request([[number, -number]]).SerializeToString()
        return content(calls[number % 4](sent, timeout=30)) == [2 * number, -2 * number]

    with ThreadPoolExecutor(64) as threads:
        assert all(threads.map(ask, range(2000)))
    for one in channels:
        one.close()


@pytest.mark.parametrize("mib", [1, 100])
def test_long_messages_flow_both_ways(mib: int) -> None:
    with served() as server, grpc.insecure_channel(f"127.0.0.1:{server.port}", BIG) as channel:
        call = channel.unary_unary(PREDICT, None, None)
        x = np.arange(mib << 18, dtype=np.float32).reshape(mib, -1)
        raw = call(request(x).SerializeToString(), timeout=60)
        y = np.frombuffer(tfs.PredictResponse.FromString(raw).outputs["y"].tensor_content, np.float32)
        assert np.array_equal(y, x.ravel() * 2)
        assert next(iter(server.wire._connections)).held == 0


def test_a_small_call_passes_a_long_one_of_its_connection() -> None:
    with served() as server, grpc.insecure_channel(f"127.0.0.1:{server.port}", BIG) as channel:
        call = channel.unary_unary(PREDICT, None, tfs.PredictResponse.FromString)
        long = [call.future(request(np.ones((20, 1 << 18))).SerializeToString(), timeout=60) for _ in range(3)]
        assert all(content(call(request([[one]]).SerializeToString(), timeout=60)) == [2 * one] for one in range(50))
        assert all(len(content(one.result())) == 20 << 18 for one in long)


def test_a_deadline_ends_a_call_that_waits(server: Served) -> None:
    server.backend.gate.clear()
    first = server.channel.unary_unary(PREDICT).future(request([[1]]).SerializeToString(), timeout=30)
    assert server.backend.is_inside.wait(10)
    assert refused(lambda: server.ask([[2]], timeout=0.2))[0] == "DEADLINE_EXCEEDED"
    server.backend.gate.set()
    assert first.result()
    assert content(server.ask([[3]])) == [6]
    assert server.backend.rows == [1, 3], "what nobody waits for was computed"


def test_a_server_has_a_deadline_of_its_own() -> None:
    with served(seconds=0.2) as server:
        server.backend.gate.clear()
        code, message = refused(lambda: server.ask([[1]], timeout=30))
        assert code == "DEADLINE_EXCEEDED" and "time is over" in message


def test_a_cancelled_call_is_not_computed(server: Served) -> None:
    server.backend.gate.clear()
    call = server.channel.unary_unary(PREDICT)
    first = call.future(request([[1]]).SerializeToString(), timeout=30)
    assert server.backend.is_inside.wait(10)
    waits = [call.future(request([[2]]).SerializeToString(), timeout=30) for _ in range(5)]
    wait_for(lambda: server.wire.front.in_flight == 6)
    for one in waits:
        one.cancel()
    wait_for(lambda: server.wire.front.in_flight == 1)
    server.backend.gate.set()
    assert first.result()
    assert content(server.ask([[3]])) == [6] and server.backend.rows == [1, 3]
    assert [one.status for one in server.watching.calls].count(int(Code.CANCELLED)) == 5


def test_a_connection_that_breaks_takes_only_its_own_calls_along(server: Served) -> None:
    server.backend.gate.clear()
    other = grpc.insecure_channel(f"127.0.0.1:{server.port}", [("grpc.use_local_subchannel_pool", 1)])
    first = server.channel.unary_unary(PREDICT).future(request([[1]]).SerializeToString(), timeout=30)
    assert server.backend.is_inside.wait(10)
    gone = other.unary_unary(PREDICT).future(request([[2]]).SerializeToString(), timeout=30)
    kept = server.channel.unary_unary(PREDICT).future(request([[3]]).SerializeToString(), timeout=30)
    wait_for(lambda: server.wire.front.in_flight == 3)
    other.close()
    wait_for(lambda: server.wire.front.in_flight == 2)
    server.backend.gate.set()
    assert first.result() and kept.result() and gone.code() is grpc.StatusCode.CANCELLED
    assert server.backend.rows == [1, 3]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_messages_are_compressed_both_ways(server: Served, compression: Any) -> None:
    for number, size in enumerate((1000, 200_000, 3_000_000, 3_000_001)):
        x = np.zeros((1, size), np.float32) if size % 2 == 0 else np.random.default_rng(0).random((1, size), np.float32)
        call = server.channel.unary_unary(PREDICT, None, tfs.PredictResponse.FromString)
        assert content(call(request(x).SerializeToString(), timeout=30, compression=compression)) == (x[0] * 2).tolist()
        wait_for(lambda number=number: len(server.watching.calls) > number)
        assert server.watching.calls[number].request_bytes > 4 * size


def test_what_is_inflated_is_limited() -> None:
    with served(most_message=100_000) as server:
        bomb = np.zeros((1, 10_000_000), np.float32)
        assert refused(lambda: server.ask(bomb, compression=grpc.Compression.Gzip))[0] == "RESOURCE_EXHAUSTED"
        assert content(server.ask([[1]], compression=grpc.Compression.Gzip)) == [2]


def test_a_message_over_the_limit_is_refused_before_it_is_read() -> None:
    with served(most_message=100_000) as server:
        for _ in range(5):
            code, message = refused(lambda: server.ask(np.zeros((1, 5_000_000), np.float32)))
            assert (code, message) == ("RESOURCE_EXHAUSTED", "the message is greater than 100000 bytes")
        assert content(server.ask([[1]])) == [2]


def test_a_client_that_pings_is_not_sent_away(server: Served) -> None:
    options = [
        ("grpc.keepalive_time_ms", 50), ("grpc.keepalive_timeout_ms", 5000), ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0), ("grpc.http2.min_time_between_pings_ms", 10),
    ]  # fmt: skip
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options) as channel:
        call = channel.unary_unary(PREDICT)
        server.backend.gate.clear()
        waits = call.future(request([[1]]).SerializeToString(), timeout=30)
        with pytest.raises(grpc.FutureTimeoutError):
            waits.result(0.5)
        server.backend.gate.set()
        assert waits.result()


def test_a_drain_fails_no_call() -> None:
    """A client that asks all the while is told to go elsewhere, and loses nothing on the way."""
    with served() as old, served() as new:
        stop, failed, done = threading.Event(), [], [0]

        def ask(channel: Any) -> None:
            call = channel.unary_unary(PREDICT, None, tfs.PredictResponse.FromString)
            sent = request([[1]]).SerializeToString()
            while not stop.is_set():
                try:
                    call(sent, timeout=20, wait_for_ready=True)
                    done[0] += 1
                except grpc.RpcError as error:
                    failed.append(error)

        both = f"ipv4:127.0.0.1:{old.port},127.0.0.1:{new.port}"
        channels = [grpc.insecure_channel(both, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(4)]
        threads = [threading.Thread(target=ask, args=(one,)) for one in channels for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: done[0] > 200)
            assert old.wire.connections == 4
            old.stop_listening()
            assert old.do(old.wire.drain(10)) is True
            reached = done[0]
            wait_for(lambda: done[0] > reached + 200)
        finally:
            stop.set()
            for thread in threads:
                thread.join(25)
        assert not failed and old.wire.connections == 0 and new.wire.connections == 4
        for one in channels:
            one.close()


def test_a_drain_waits_for_what_is_computed_and_cuts_off_what_lasts(server: Served) -> None:
    server.backend.gate.clear()
    call = server.channel.unary_unary(PREDICT)
    waits = call.future(request([[1]]).SerializeToString(), timeout=30)
    assert server.backend.is_inside.wait(10)
    threading.Timer(0.5, server.backend.gate.set).start()
    assert server.do(server.wire.drain(20)) is True
    assert waits.result()


def test_a_drain_ends_in_its_time(server: Served) -> None:
    server.backend.gate.clear()
    waits = server.channel.unary_unary(PREDICT).future(request([[1]]).SerializeToString(), timeout=30)
    assert server.backend.is_inside.wait(10)
    began = time.monotonic()
    assert server.do(server.wire.drain(0.5)) is False
    assert time.monotonic() - began < 5
    assert waits.exception().code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]


def test_a_watcher_is_told_that_the_server_ends(server: Served) -> None:
    watch = server.channel.unary_stream(
        "/grpc.health.v1.Health/Watch", response_deserializer=health_pb2.HealthCheckResponse.FromString
    )(b"", timeout=30)
    assert next(watch).status == 1
    assert server.do(server.wire.drain(20)) is True
    assert watch.code() is grpc.StatusCode.UNAVAILABLE


def test_errors_keep_texts_of_all_languages(server: Served) -> None:
    made = request([[1]])
    made.model_spec.name = "modèle %41\n模型"
    expected = "Servable not found for request: Latest(modèle %41\n模型)"
    assert refused(lambda: server.predict(made)) == ("NOT_FOUND", expected)


def test_unknown_methods_are_named(server: Served) -> None:
    for path in ("/tensorflow.serving.PredictionService/Guess", "/no.Such/Method"):
        code, message = refused(lambda path=path: server.channel.unary_unary(path)(b"", timeout=10))
        assert code == "UNIMPLEMENTED" and path in message


def test_too_many_headers_are_refused_and_the_connection_stays(server: Served) -> None:
    options = [("grpc.max_metadata_size", 1 << 20), ("grpc.absolute_max_metadata_size", 1 << 20)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options) as channel:
        call = channel.unary_unary(PREDICT)
        many = [(f"x-{number}", "v" * 900) for number in range(40)]
        code = refused(lambda: call(request([[1]]).SerializeToString(), metadata=many, timeout=10))[0]
        assert code == "RESOURCE_EXHAUSTED"
        assert call(request([[1]]).SerializeToString(), timeout=10)
