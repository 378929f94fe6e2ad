"""All of watching together, as a worker uses it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from serving.watch.options import DriftOptions, SampleOptions, WatchOptions
from serving.watch.render import render
from serving.watch.snapshots import Gauges, VersionGauge, decode, encode
from serving.watch.watcher import Watcher
from skylift.artifacts.profile_records import Profile
from skylift.artifacts.profiles import profile_of
from skylift.errors import InputError
from tests.serving.waiting import wait_for
from tests.serving.watch.watched import Samples, call, refused

X = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)


def everything(folder: Path) -> WatchOptions:
    work = folder / "work"
    work.mkdir()
    return WatchOptions(
        access_log=str(folder / "access.log"),
        samples=SampleOptions(work=work.as_uri(), endpoint="default", replica="r", rate=1.0),
        drift=DriftOptions(windows=(100,), per_second=1e6),
    )


def test_one_request_reaches_every_part(tmp_path: Path) -> None:
    gauges = Gauges(connections=2, is_ready=True, versions=[VersionGauge(model="m", version=3, platform="onnx_onnxv1")])
    watcher = Watcher(everything(tmp_path), gauges=lambda: gauges, worker=1)
    profile = Profile(rows=4, inputs=[profile_of("x", X, "features")])
    watcher.loaded("m", 3, "/models/m/3", 0.5, profile=profile)
    watcher.warmed("m", 3, "/models/m/3", 0.01)
    watcher.shed("queue_full")
    watcher.done(call(rows=4, inputs={"x": X}, outputs={"y": X}))
    watcher.done(refused(model="", version=0))
    drift = wait_for(lambda: watcher.snapshot().drift, what="the first rows in the window")
    watcher.close()
    assert drift[0].rows == 4
    found = Samples(render(decode(encode(watcher.snapshot())))[0])
    assert found("skylift_shed_total", reason="queue_full") == 1
    assert found("skylift_connections") == 2
    assert found("skylift_samples_total", outcome="stored") == 1
    assert found("skylift_drift_rows", model="m", version=3, tensor="x", window=100) == 4
    assert found(":tensorflow:cc:saved_model:load_latency", model_path="/models/m/3") == 500000
    assert found(":tensorflow:serving:runtime_latency_count", model_name="m", API="Predict", runtime="ONNX") == 1
    assert len((tmp_path / "access.log").read_text().splitlines()) == 2
    (stored,) = tmp_path.glob("work/samples/default/*/r-1-*.jsonl")
    assert json.loads(stored.read_text())["rows"] == 4


def test_a_fault_in_one_part_reaches_neither_the_request_nor_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watcher = Watcher(WatchOptions(access_log=str(tmp_path / "access.log")))
    watcher.done(call(client=b"no text"))
    watcher.done(call(client=b"no text", answered=float("nan")))
    watcher.done(call())
    watcher.close()
    found = Samples(render(watcher.snapshot())[0])
    assert found("skylift_watch_errors_total", part="access_log") >= 1
    assert found(":tensorflow:serving:request_count", model_name="m", status="OK") == 3
    events = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert events == ["watching_failed"]


def test_a_bucket_that_is_not_there_yet_holds_nothing_up(tmp_path: Path) -> None:
    options = SampleOptions(work=(tmp_path / "later").as_uri(), endpoint="default", replica="r", rate=1.0)
    watcher = Watcher(WatchOptions(samples=options))
    watcher.done(call(inputs={"x": X}, outputs={"y": X}))
    (tmp_path / "later").mkdir()
    watcher.close()
    assert watcher.snapshot().counters["skylift_samples_total"] == {"stored": 1}


def test_what_cannot_be_had_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rate 7"):
        Watcher(WatchOptions(samples=SampleOptions(work=tmp_path.as_uri(), endpoint="default", rate=7.0)))


def test_a_version_that_was_let_go_is_no_longer_compared() -> None:
    watcher = Watcher(WatchOptions(drift=DriftOptions(windows=(100,), per_second=1e6)))
    watcher.loaded("m", 3, "/m/3", 0.1, profile=Profile(rows=4, inputs=[profile_of("x", X, "features")]))
    watcher.done(call(rows=4, inputs={"x": X}, outputs={}))
    wait_for(lambda: watcher.snapshot().drift, what="the first rows in the window")
    watcher.unloaded("m", 3)
    assert not watcher.snapshot().drift
    watcher.close()
