"""What Prometheus is told of requests."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from serving.watch import monitoring_config
from serving.watch.exposition import wants_open
from serving.watch.merging import Ledger, merge
from serving.watch.meter import Meter
from serving.watch.process import process_of_ours
from serving.watch.render import render
from serving.watch.snapshots import Gauges, Snapshot, VersionGauge, decode, encode
from skylift.errors import InputError
from tests.serving.watch.watched import Samples, call, refused

OPEN = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"


def page(snapshot: Snapshot, accept: str = "") -> Samples:
    return Samples(render(snapshot, accept)[0])


def counted(*calls: object) -> Snapshot:
    meter = Meter()
    for one in calls:
        meter.observe(one)  # type: ignore[arg-type]
    return meter.snapshot()


class TestRequests:
    def test_each_is_counted_by_status_and_protocol(self) -> None:
        found = page(counted(call(), call(), refused(model="m"), call(protocol="v2-grpc", api="infer", status=0)))
        known = {"model": "m", "version": 3, "protocol": "tfs-rest", "api": "predict", "canary": "false"}
        assert found("skylift_requests_total", **known, status=200) == 2
        assert found("skylift_requests_total", **known, status=400) == 1
        assert found("skylift_requests_total", **{**known, "protocol": "v2-grpc", "api": "infer"}, status=0) == 1

    @pytest.mark.parametrize(
        ("phase", "below", "bound"),
        [
            ("parse", "", "5e-05"),
            ("queue", "5e-05", "0.0001"),
            ("batch", "5e-05", "0.00025"),
            ("run", "0.001", "0.0025"),
            ("write", "", "0.0001"),
        ],
    )
    def test_phases_lie_in_their_buckets(self, phase: str, below: str, bound: str) -> None:
        found = page(counted(call()))
        known = {"model": "m", "version": 3, "protocol": "tfs-rest", "phase": phase}
        assert found("skylift_request_seconds_bucket", **known, le=bound) == 1
        assert not below or found("skylift_request_seconds_bucket", **known, le=below) == 0
        assert found("skylift_request_seconds_bucket", **known, le="+Inf") == 1
        assert found("skylift_request_seconds_count", **known) == 1

    def test_a_request_that_came_not_far_has_no_later_phases(self) -> None:
        found = page(counted(refused()))
        assert (
            found("skylift_request_duration_seconds_count", model="m", version=3, protocol="tfs-rest", canary="false")
            == 1
        )
        assert not found.of("skylift_request_seconds_count")

    def test_a_batch_counts_once_however_many_requests_it_answers(self) -> None:
        calls = [call(gathered=1000.0002 + batch, batch_rows=8) for batch in range(5) for _ in range(8)]
        across = [calls[at] for at in (0, 8, 1, 9)]  # answers of two batches in turn
        found = page(counted(*across, *calls))
        assert found("skylift_batch_rows_count", model="m", version=3) == 5
        assert found("skylift_batch_rows_sum", model="m", version=3) == 40
        assert found(":tensorflow:serving:batching_session:wrapped_run_count") == 5

    def test_an_unknown_model_is_no_label(self) -> None:
        found = page(counted(*[refused(model="", version=0, status=404) for _ in range(3)]))
        known = {"model": "", "version": "", "protocol": "tfs-rest", "api": "predict", "canary": "false", "status": 404}
        assert found("skylift_requests_total", **known) == 3

    @pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0, 0.0])
    def test_odd_times_raise_nothing(self, odd: float) -> None:
        meter = Meter()
        for field in ("arrived", "parsed", "started", "gathered", "computed", "answered"):
            meter.observe(call(**{field: odd}))
        assert b"skylift_requests_total" in render(meter.snapshot())[0]

    def test_names_are_escaped(self) -> None:
        found = page(counted(call(model='a"b\\c\nd')))
        assert any(("model", 'a\\"b\\\\c\\nd') in labels for labels in found.of("skylift_requests_total"))


class TestTensorflowServing:
    """Names, labels and buckets as TensorFlow Serving's own exporter has them."""

    def test_requests_by_status_name(self) -> None:
        found = page(
            counted(
                call(),
                call(protocol="tfs-grpc", status=0),
                refused(),
                refused(protocol="tfs-grpc", status=14),
                refused(status=503),
                refused(status=429),
            )
        )
        count = ":tensorflow:serving:request_count"
        assert found(count, model_name="m", status="OK") == 2
        assert found(count, model_name="m", status="INVALID_ARGUMENT") == 1
        assert found(count, model_name="m", status="UNAVAILABLE") == 2
        assert found(count, model_name="m", status="RESOURCE_EXHAUSTED") == 1

    def test_latency_in_microseconds_by_its_33_buckets(self) -> None:
        found = page(counted(call(), refused()))
        known = {"model_name": "m", "API": "predict", "entrypoint": "REST"}
        buckets = found.of(":tensorflow:serving:request_latency_bucket")
        bounds = sorted(float(dict(labels)["le"]) for labels in buckets)
        assert len(bounds) == 34
        assert bounds[:3] == [10, 18, 32.4]
        assert bounds[-1] == math.inf
        assert found(":tensorflow:serving:request_latency_bucket", **known, le="708235") == 1
        assert found(":tensorflow:serving:request_latency_count", **known) == 1  # of those that went well
        assert found(":tensorflow:serving:request_latency_sum", **known) == pytest.approx(2250, rel=1e-3)

    def test_grpc_has_its_own_entrypoint_and_spelling(self) -> None:
        found = page(counted(call(protocol="tfs-grpc", api="multi_inference", status=0)))
        known = {"model_name": "m", "API": "MultiInference"}
        assert found(":tensorflow:serving:request_latency_count", **known, entrypoint="GRPC") == 1

    def test_runtime_names_what_computes(self) -> None:
        snapshot = counted(call())
        snapshot.gauges = Gauges(versions=[VersionGauge(model="m", version=3, platform="tensorflow_savedmodel")])
        found = page(snapshot)
        known = {"model_name": "m", "API": "Predict", "runtime": "TF1"}
        assert found(":tensorflow:serving:runtime_latency_sum", **known) == pytest.approx(2000, rel=1e-3)

    def test_examples_are_those_of_classify_and_regress(self) -> None:
        found = page(counted(call(rows=5), call(api="classify", rows=3), call(api="regress", rows=3)))
        assert found(":tensorflow:serving:request_example_count_total", model="m") == 6
        assert found(":tensorflow:serving:request_example_counts_bucket", model="m", le="2") == 0
        assert found(":tensorflow:serving:request_example_counts_bucket", model="m", le="4") == 2

    def test_queuing(self) -> None:
        found = page(counted(call(started=1000.1, gathered=1000.2)))
        known = {"thread_pool_name": "batch_threads"}
        name = ":tensorflow:serving:batching_session:queuing_latency"
        assert found(f"{name}_bucket", **known, le="100") == 0
        assert found(f"{name}_sum", **known) == pytest.approx(99960, rel=1e-3)

    def test_loads_and_warm_ups(self) -> None:
        meter = Meter()
        meter.loaded("m", 1, "/models/m/1", 0.25, is_loaded=True, at=1.0)
        meter.warmed("m", 1, "/models/m/1", 0.002, is_warm=True, at=1.0)
        meter.loaded("m", 2, "/models/m/2", 0.1, is_loaded=False, at=2.0)
        found = page(meter.snapshot())
        loads = ":tensorflow:cc:saved_model:"
        assert found(f"{loads}load_attempt_count", model_path="/models/m/1", status="success") == 1
        assert found(f"{loads}load_attempt_count", model_path="/models/m/2", status="fail") == 1
        assert found(f"{loads}load_latency", model_path="/models/m/1") == 250000
        warm = {"model_path": "/models/m/1", "status": "OK"}
        assert found(":tensorflow:serving:model_warmup_latency_sum", **warm) == 2000
        assert found("skylift_loads_total", model="m", result="failed") == 1


class TestBounds:
    def test_versions_not_asked_for_lately_are_summed_up(self) -> None:
        meter = Meter(versions=2)
        for version in range(1, 6):
            for _ in range(version):
                meter.observe(call(version=version, at=1000.0 + 100 * version))
        found = page(meter.snapshot())
        known = {"model": "m", "protocol": "tfs-rest", "api": "predict", "canary": "false", "status": 200}
        assert found("skylift_requests_total", version=4, **known) == 4
        assert found("skylift_requests_total", version=5, **known) == 5
        assert found("skylift_requests_total", version="other", **known) == 6
        assert found("skylift_batch_rows_count", model="m", version="other") == 3
        assert len(found.of("skylift_requests_total")) == 3

    def test_versions_in_use_keep_their_place(self) -> None:
        meter = Meter(versions=2)
        for turn in range(100):
            for version in range(1, 6):
                meter.observe(call(version=version, at=1000.0 + turn))
        found = page(meter.snapshot())
        known = {"model": "m", "protocol": "tfs-rest", "api": "predict", "canary": "false", "status": 200}
        assert found("skylift_requests_total", version=1, **known) == 100
        assert found("skylift_requests_total", version="other", **known) == 300

    def test_models_beyond_the_limit_have_no_name(self) -> None:
        meter = Meter(models=3)
        for number in range(10):
            meter.observe(call(model=f"m{number}", at=1000.0 + 100 * number))
        counts = page(meter.snapshot()).of("skylift_requests_total")
        assert len({dict(labels)["model"] for labels in counts}) <= 4
        assert sum(counts.values()) == 10

    def test_labels_of_a_counter(self) -> None:
        meter = Meter()
        for number in range(100):
            meter.count("skylift_shed_total", f"reason-{number}")
        counts = page(meter.snapshot()).of("skylift_shed_total")
        assert len(counts) <= 33
        assert sum(counts.values()) == 100


class TestSeveralWorkers:
    def test_they_are_added_up(self) -> None:
        one, two = counted(call(), call()), counted(call(), call(model="other"))
        one.gauges = Gauges(connections=3, versions=[VersionGauge(model="m", version=3, queue_rows=2)])
        two.gauges = Gauges(connections=4, versions=[VersionGauge(model="m", version=3, queue_rows=5)])
        one.process = process_of_ours()
        found = page(merge([decode(encode(one)), decode(encode(two))]))
        known = {"version": 3, "protocol": "tfs-rest", "api": "predict", "canary": "false", "status": 200}
        assert found("skylift_requests_total", model="m", **known) == 3
        assert found("skylift_connections") == 7
        assert found("skylift_queue_rows", model="m", version=3) == 7
        assert found("skylift_model_state", model="m", version=3, state="AVAILABLE", platform="", canary="false") == 2
        assert found("skylift_processes") == 2
        assert found("process_resident_memory_bytes") > 1e6
        assert found("process_start_time_seconds") > 1.6e9

    def test_one_that_died_takes_no_count_with_it(self) -> None:
        ledger = Ledger()
        for worker in ("1:100", "2:101"):
            snapshot = counted(call(), call())
            snapshot.gauges = Gauges(connections=1)
            ledger.update(worker, snapshot)
        before = ledger.total()
        ledger.ended("1:100")
        ledger.update("1:102", counted(call()))
        found = page(ledger.total())
        known = {"model": "m", "version": 3, "protocol": "tfs-rest", "api": "predict", "canary": "false", "status": 200}
        assert page(before)("skylift_requests_total", **known) == 4
        assert found("skylift_requests_total", **known) == 5
        assert found("skylift_connections") == 1
        assert found("skylift_processes") == 2

    def test_no_counter_ever_goes_back(self) -> None:
        ledger = Ledger(versions=2)
        seen: dict[object, float] = {}
        for turn in range(8):
            meter = Meter(versions=2)
            for version in (turn, turn + 1):
                meter.observe(call(version=version, at=1000.0 + turn))
            ledger.update(turn, meter.snapshot())
            if turn >= 2:
                ledger.ended(turn - 2)
            by_model = page(ledger.total()).of(":tensorflow:serving:request_count")
            for labels, value in by_model.items():
                assert value == 2 * (turn + 1)
                assert value >= seen.get(labels, 0.0)
                seen[labels] = value
        versions = {dict(labels)["version"] for labels in page(ledger.total()).of("skylift_requests_total")}
        assert len(versions) <= 6


class TestPage:
    def test_formats_by_accept(self) -> None:
        for accept, kind in [
            ("", "text/plain; version=0.0.4; charset=utf-8"),
            ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
            (OPEN, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ]:
            assert render(counted(call()), accept)[1] == kind
        assert not wants_open("application/openmetrics-text;q=0.1, text/plain;q=0.9")
        assert not wants_open("application/openmetrics-text;q=nonsense, ;;,")

    def test_openmetrics_has_an_end_and_counters_that_are_totals(self) -> None:
        raw, _ = render(counted(call()), OPEN)
        assert raw.endswith(b"# EOF\n")
        found = Samples(raw)
        assert found.types["skylift_requests"] == "counter"
        assert found.types[":tensorflow:serving:request_count"] == "unknown"
        assert found.types["skylift_request_seconds"] == "histogram"
        bounds = {dict(labels)["le"] for labels in found.of("skylift_request_seconds_bucket")}
        assert "1.0" in bounds

    def test_plain_text_has_the_types_of_the_original(self) -> None:
        found = page(counted(call()))
        assert found.types[":tensorflow:serving:request_count"] == "counter"
        assert found.types[":tensorflow:serving:request_latency"] == "histogram"

    def test_samples_of_a_metric_stand_together(self) -> None:
        found = page(counted(call(), call(model="n"), call(protocol="v2-rest", api="infer")))
        families = [name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in found.order]
        begun = [name for at, name in enumerate(families) if at == 0 or families[at - 1] != name]
        assert len(begun) == len(set(begun))


class TestMonitoringConfig:
    def test_as_tensorflow_serving_reads_it(self, tmp_path: Path) -> None:
        path = tmp_path / "monitoring.config"
        path.write_text('# metrics\nprometheus_config: {\n  enable: true,\n  path: "/my/metrics"\n}\n')
        assert monitoring_config.read(path) == monitoring_config.MonitoringConfig(is_enabled=True, path="/my/metrics")

    @pytest.mark.parametrize(("text", "is_enabled"), [("", False), ("prometheus_config { enable: true }", True)])
    def test_defaults(self, text: str, is_enabled: bool) -> None:
        config = monitoring_config.parse(text, "file")
        assert (config.is_enabled, config.path) == (is_enabled, "/monitoring/prometheus/metrics")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("prometheus_config { enabel: true }", "enabel"),
            ("prometheus_config { enable: maybe }", "maybe"),
            ("prometheus_config {", "file"),
            ('prometheus_config { path: "metrics" }', "'metrics'"),
        ],
    )
    def test_mistakes_are_named(self, text: str, says: str) -> None:
        with pytest.raises(InputError, match=says):
            monitoring_config.parse(text, "file")

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            monitoring_config.read(tmp_path / "none")
