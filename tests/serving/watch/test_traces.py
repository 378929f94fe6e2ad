"""Traces, as a collector gets them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serving.watch.trace_context import Sampler, parent_of, sampler_of
from serving.watch.traces import Tracer, from_environment, is_wanted
from tests.serving.waiting import wait_for
from tests.serving.watch.collector import Collector, attributes
from tests.serving.watch.watched import call, refused

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    yield made
    made.close()


class Counts(dict[str, int]):
    def __call__(self, outcome: str, spans: int) -> None:
        self[outcome] = self.get(outcome, 0) + spans


def traced(*calls: Any) -> Counts:
    counts = Counts()
    tracer = from_environment(os.environ, "skylift", counts)
    assert tracer is not None
    for one in calls:
        tracer.observe(one)
    tracer.close()
    return counts


class TestSpans:
    def test_a_request_and_its_phases(self, collector: Collector) -> None:
        now = time.monotonic()
        before = time.time_ns()
        counts = traced(call(at=now, traceparent=SAMPLED, rows=2, batch_rows=16, client="10.0.0.7", request_bytes=99))
        server = next(span for span in collector.spans if span.kind == 2)
        phases = [span for span in collector.spans if span is not server]
        assert server.name == "POST /v1/models/{model}:predict"
        assert server.trace_id.hex() == TRACE
        assert server.parent_span_id.hex() == SPAN
        assert [span.name for span in phases] == ["parse", "queue", "batch", "run", "write"]
        assert {span.parent_span_id for span in phases} == {server.span_id}
        assert {span.trace_id for span in phases} == {server.trace_id}
        assert len({span.span_id for span in collector.spans}) == 6
        run = phases[3]
        assert (run.end_time_unix_nano - run.start_time_unix_nano) / 1e6 == pytest.approx(2.0, abs=0.01)
        assert abs(server.start_time_unix_nano - before) < 60e9
        assert attributes(server) == {
            "skylift.request_id": "id-1",
            "skylift.model.name": "m",
            "skylift.model.version": 3,
            "skylift.model.signature": "serving_default",
            "skylift.canary": False,
            "skylift.rows": 2,
            "skylift.batch.rows": 16,
            "client.address": "10.0.0.7",
            "http.request.method": "POST",
            "http.route": "/v1/models/{model}:predict",
            "http.response.status_code": 200,
            "http.request.body.size": 99,
            "http.response.body.size": 0,
        }
        assert counts == {"sent": 6}

    def test_names_are_those_of_the_conventions_installed(self, collector: Collector) -> None:
        from opentelemetry.semconv._incubating.attributes import http_attributes, rpc_attributes
        from opentelemetry.semconv.attributes import client_attributes, error_attributes

        traced(call(status=503, client="c"), call(protocol="v2-grpc", api="infer", status=13))
        known = {
            value
            for module in (http_attributes, rpc_attributes, client_attributes, error_attributes)
            for value in vars(module).values()
            if isinstance(value, str)
        }
        used = {name for span in collector.spans for name in attributes(span) if not name.startswith("skylift.")}
        assert used <= known
        assert "rpc.response.status_code" in used

    def test_grpc(self, collector: Collector) -> None:
        traced(call(protocol="tfs-grpc", api="classify", status=14))
        server = next(span for span in collector.spans if span.kind == 2)
        assert server.name == "tensorflow.serving.PredictionService/Classify"
        assert server.status.code == 2
        assert attributes(server)["rpc.response.status_code"] == "UNAVAILABLE"
        assert attributes(server)["error.type"] == "UNAVAILABLE"

    @pytest.mark.parametrize(("status", "is_error"), [(400, False), (429, False), (500, True), (504, True)])
    def test_a_clients_mistake_is_no_error_of_the_server(
        self, collector: Collector, status: int, is_error: bool
    ) -> None:
        traced(refused(status=status))
        (server,) = collector.spans
        assert (server.status.code == 2) is is_error

    def test_who_asked_and_what_is_in_no_span(self, collector: Collector) -> None:
        traced(call(principal="somebody", error='JSON Value: "secret"'))
        text = str(collector.spans)
        assert "somebody" not in text
        assert "secret" not in text


class TestSampling:
    @pytest.mark.parametrize(
        ("header", "parent"),
        [
            (SAMPLED, (int(TRACE, 16), int(SPAN, 16), True)),
            (UNSAMPLED, (int(TRACE, 16), int(SPAN, 16), False)),
            (f"01-{TRACE}-{SPAN}-01-more", (int(TRACE, 16), int(SPAN, 16), True)),
            ("", None),
            (f"00-{TRACE}-{SPAN}-01-more", None),
            (f"ff-{TRACE}-{SPAN}-01", None),
            (f"00-{'0' * 32}-{SPAN}-01", None),
            (f"00-{TRACE}-{'0' * 16}-01", None),
            (f"00-{TRACE.upper()}-{SPAN}-01", None),
            ("nonsense", None),
            ("\x00" * 55, None),
        ],
    )
    def test_the_header(self, header: str, parent: tuple[int, int, bool] | None) -> None:
        assert parent_of(header) == parent

    @pytest.mark.parametrize("name", ["always_on", "always_off", "traceidratio", "parentbased_always_off", ""])
    @pytest.mark.parametrize("header", [SAMPLED, UNSAMPLED, ""])
    def test_as_opentelemetry_decides(self, name: str, header: str, monkeypatch: pytest.MonkeyPatch) -> None:
        from opentelemetry.sdk.trace import sampling
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
        if name:
            monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
        theirs = sampling._get_from_env_or_default()
        ours = sampler_of(os.environ).takes(header)
        context = TraceContextTextMapPropagator().extract({"traceparent": header})
        trace_id = ours[0] if ours else int(TRACE, 16)
        wanted = theirs.should_sample(context, trace_id, "span").decision is sampling.Decision.RECORD_AND_SAMPLE
        if header or "ratio" not in name:
            assert (ours is not None) is wanted

    def test_a_ratio_of_the_traces_that_begin_here(self) -> None:
        sampler = Sampler(0.25)
        taken = sum(sampler.takes("") is not None for _ in range(4000))
        assert 800 < taken < 1200
        assert sampler.takes(SAMPLED) is not None
        assert sampler.takes(UNSAMPLED) is None

    @pytest.mark.parametrize(
        "environ",
        [
            {"OTEL_TRACES_SAMPLER": "sometimes"},
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "often"},
        ],
    )
    def test_what_is_wrong_is_named_and_left(self, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        assert sampler_of(environ).ratio == 1.0
        assert json.loads(capsys.readouterr().err)["event"] == "option_ignored"


class TestSwitch:
    @pytest.mark.parametrize(
        ("environ", "wanted"),
        [
            ({}, False),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
            ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
            ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
            ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
            ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ],
    )
    def test_by_the_standard_variables(self, environ: dict[str, str], wanted: bool) -> None:
        assert is_wanted(environ) is wanted

    @pytest.mark.parametrize(
        "environ",
        [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
    )
    def test_what_we_cannot_send_is_named(self, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        assert not is_wanted(environ)
        assert json.loads(capsys.readouterr().err)["event"] == "tracing_off"

    def test_nothing_is_imported_unless_asked_for(self) -> None:
        program = (
            "import sys\n"
            "from serving.watch.options import WatchOptions\n"
            "from serving.watch.watcher import Watcher\n"
            "Watcher(WatchOptions()).close()\n"
            "print([name for name in ('opentelemetry', 'obstore', 'google.protobuf') if name in sys.modules])\n"
        )
        environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == "[]"


class TestTrouble:
    def test_headers_and_the_services_name(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod")
        traced(call())
        monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
        traced(call())
        assert collector.headers[0]["authorization"] == "Bearer abc"
        assert [found["service.name"] for found in collector.resources] == ["skylift", "mine"]
        assert collector.resources[0]["deployment.environment"] == "prod"

    def test_a_collector_that_refuses_is_named_once(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "6")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret-key")
        collector.status = 401
        counts = traced(call(), call(), call())
        assert counts == {"not_sent": 18}
        lines = capfd.readouterr().err.splitlines()
        assert [json.loads(line)["event"] for line in lines] == ["spans_not_sent"]
        assert "secret-key" not in lines[0]

    def test_more_than_fits_is_dropped_and_counted(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
        counts = Counts()
        tracer = Tracer(os.environ, "skylift", counts)
        for _ in range(500):
            tracer.observe(call())
        tracer.close()
        assert counts["dropped"] >= 400
        assert counts["sent"] + 6 * counts["dropped"] == 3000

    def test_many_are_sent_long_before_the_pause_is_over(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
        counts = Counts()
        tracer = Tracer(os.environ, "skylift", counts)
        for _ in range(200):
            tracer.observe(call())
        wait_for(lambda: counts.get("sent", 0) >= 1000, what="the first spans")
        tracer.close()
        assert counts == {"sent": 1200}

    def test_a_collector_that_does_not_answer_holds_no_end_up(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
            counts = Counts()
            tracer = Tracer(os.environ, "skylift", counts)
            for _ in range(500):
                tracer.observe(call())
            tracer.close(seconds=0.2)
            assert counts["dropped"] > 100
            tracer._thread.join()
        assert len(capfd.readouterr().err.splitlines()) <= 1

    def test_odd_calls_do_not_end_it(self, collector: Collector) -> None:
        counts = traced(
            call(answered=float("nan")), call(status=0, protocol="v2-rest"), call(request_id="\udcff"), call()
        )
        assert counts["sent"] >= 6
