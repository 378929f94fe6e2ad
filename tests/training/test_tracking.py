"""Runs in MLflow and Weights & Biases, read again by what these packages themselves read with."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import layout, runs
from skylift.artifacts.records import PublishedModel, RunResult, now
from skylift.errors import CredentialsError, InputError, MachineError, NotFoundError, SkyliftError, UnreachableError
from training.loop.events import EventLog
from training.trackers import reading
from training.trackers.to_mlflow import Mlflow

pytestmark = pytest.mark.filterwarnings("default")  # the trackers' own

MODEL = PublishedModel(name="points", digest="d" * 64, version=3)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the exporters put into the environment goes with the test; nobody's key is in it."""
    for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


class Learned:
    """A run with events in its bucket, that ends when asked to."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.id = bench.ask(hp={"epochs": 2}, seed=7, commit="c0ffee", dataset="clouds@" + "a" * 64)
        self.events = EventLog(bench.work, self.id)
        self.epoch(1, 3.0)

    def epoch(self, number: int, loss: float) -> None:
        self.events.write("step", step=10 * number - 5, epoch=number, metrics={"loss": loss + 0.5})
        self.events.write("epoch", step=10 * number, epoch=number, metrics={"loss": loss, "val_loss": loss + 0.25})
        self.events.close()

    def end(self) -> None:
        self.epoch(2, 2.0)
        self.events.write("test", step=20, metrics={"accuracy": 0.75})
        self.events.close()
        self.bench.keep.create(layout.run_report(self.id), b"<p>how it went</p>")
        result = RunResult(
            id=self.id,
            state="succeeded",
            started=now(),
            ended=now(),
            metrics={"accuracy": 0.75},
            hyperparameters={"epochs": 2, "learning_rate": 0.01},
            model=MODEL,
        )
        runs.write_result(self.bench.keep, result)

    @property
    def tracked(self) -> reading.Tracked:
        return reading.track(self.bench.keep, self.bench.work, self.id)


@pytest.fixture
def learned(bench: Any) -> Learned:
    return Learned(bench)


def track(learned: Learned, *options: str, **environment: str) -> tuple[int, Any]:
    """The program that commands start: its exit code, and what it answers."""
    places = ("--keep", learned.bench.keep.url, "--work", learned.bench.work.url)
    command = [sys.executable, "-P", "-m", "training", "track", learned.id, *places, *options, "--json"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


class TestReading:
    def test_of_steps_that_a_resumed_run_took_again_the_last_counts(self, learned: Learned) -> None:
        learned.epoch(1, 2.5)
        points = learned.tracked.points
        assert [(point.step, point.metrics) for point in points] == [
            (5, {"step/loss": 3.0}),
            (10, {"loss": 2.5, "val_loss": 2.75}),
        ]

    def test_no_such_run(self, bench: Any) -> None:
        with pytest.raises(NotFoundError):
            reading.track(bench.keep, bench.work, "20200101t000000-abcdef")

    def test_what_is_not_installed_is_named_with_its_extra(self) -> None:
        with pytest.raises(MachineError, match="mlflow_of_nobody is not installed") as caught:
            reading.needed("mlflow_of_nobody.entities")
        assert caught.value.hint == "pip install 'skylift[trackers]'" and caught.value.exit_code == 6


@pytest.mark.slow
class TestMlflow:
    """Of the slow ones for the extra that it needs, not for its seconds."""

    @pytest.fixture(autouse=True)
    def package(self) -> None:
        pytest.importorskip("mlflow")

    def test_a_run_at_work_is_brought_up_to_date_and_nothing_doubles(self, learned: Learned, tmp_path: Path) -> None:
        from mlflow import MlflowClient

        tracker = Mlflow(None, tmp_path / "sent")
        tracker.send(learned.tracked, "points")
        client = MlflowClient((tmp_path / "sent").as_uri())
        experiment = client.get_experiment_by_name("points").experiment_id
        (going,) = client.search_runs([experiment])
        assert going.info.status == "RUNNING" and going.data.params == {"epochs": "2"}
        learned.end()
        for _ in range(2):
            where = tracker.send(learned.tracked, "points")
        (sent,) = client.search_runs([experiment])
        assert where.endswith(f"/{sent.info.run_id}") and sent.info.status == "FINISHED"
        assert sent.data.params == {"epochs": "2", "learning_rate": "0.01"}
        curves = {
            name: [(each.step, each.value) for each in client.get_metric_history(sent.info.run_id, name)]
            for name in sent.data.metrics
        }
        assert curves == {
            "loss": [(10, 3.0), (20, 2.0)],
            "val_loss": [(10, 3.25), (20, 2.25)],
            "step/loss": [(5, 3.5), (15, 2.5)],
            "test/accuracy": [(20, 0.75)],
        }
        tags = sent.data.tags
        assert (tags["skylift.run"], tags["skylift.model"], tags["skylift.seed"]) == (learned.id, "points:3", "7")
        assert tags["skylift.dataset"] == "clouds@" + "a" * 64 and tags["mlflow.source.git.commit"] == "c0ffee"
        report = client.download_artifacts(sent.info.run_id, "report.html", str(tmp_path))
        assert Path(report).read_bytes() == b"<p>how it went</p>"

    def test_a_deleted_experiment_is_named(self, learned: Learned, tmp_path: Path) -> None:
        from mlflow import MlflowClient

        tracker = Mlflow(None, tmp_path)
        client = MlflowClient(tmp_path.as_uri())
        client.delete_experiment(client.create_experiment("old"))
        with pytest.raises(InputError, match="'old' was deleted") as caught:
            tracker.send(learned.tracked, "old")
        assert "--project" in caught.value.hint

    def test_a_server_must_be_named(self) -> None:
        with pytest.raises(InputError, match="no MLflow server") as caught:
            Mlflow(None, None)
        assert "MLFLOW_TRACKING_URI" in caught.value.hint

    @pytest.mark.parametrize(
        ("status", "kind", "word"),
        [
            (401, CredentialsError, "MLFLOW_TRACKING_TOKEN"),
            (403, CredentialsError, "MLFLOW_TRACKING_TOKEN"),
            (404, NotFoundError, "tracking server"),
            (500, UnreachableError, "send it again"),
        ],
    )
    def test_what_a_server_answers_has_a_kind_and_a_fix(
        self, learned: Learned, status: int, kind: type[SkyliftError], word: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with simulated_server(status) as server:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@127.0.0.1:{server.server_port}")
            with pytest.raises(kind) as caught:
                Mlflow(None, None).send(learned.tracked, "points")
        assert word in caught.value.hint
        assert "127.0.0.1" in caught.value.message and "hunter2" not in caught.value.message

    def test_nobody_there(self, learned: Learned) -> None:
        with pytest.raises(UnreachableError):
            Mlflow("http://127.0.0.1:9", None).send(learned.tracked, "points")


@pytest.mark.slow
class TestWandb:
    """As above."""

    @pytest.fixture(autouse=True)
    def package(self) -> None:
        pytest.importorskip("wandb")

    def test_offline_a_run_is_one_file_however_often_it_is_sent(self, learned: Learned, tmp_path: Path) -> None:
        track(learned, "--to=wandb", f"--offline={tmp_path / 'sent'}")
        learned.end()
        code, answer = track(learned, "--to=wandb", f"--offline={tmp_path / 'sent'}", "--project=team/clouds")
        assert code == 0 and answer["runs"][0]["state"] == "succeeded"
        (path,) = (tmp_path / "sent").rglob("*.wandb")
        assert path.parent.samefile(answer["runs"][0]["where"])
        records = wandb_records(path)
        (run,) = (each.run for each in records if each.WhichOneof("record_type") == "run")
        assert (run.run_id, run.entity, run.project, run.run_group) == (learned.id, "team", "clouds", "points")
        config = {each.key: json.loads(each.value_json) for each in run.config.update}
        assert config["learning_rate"] == 0.01 and config["skylift"]["dataset"] == "clouds@" + "a" * 64
        assert {"model:points:3", "seed:7", "commit:c0ffee"} <= set(run.tags)
        rows = [
            {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in each.history.item}
            for each in records
            if each.WhichOneof("record_type") == "history"
        ]
        steps = {row.pop("_step"): {k: v for k, v in row.items() if not k.startswith("_")} for row in rows}
        assert steps == {
            5: {"step/loss": 3.5},
            10: {"loss": 3.0, "val_loss": 3.25},
            15: {"step/loss": 2.5},
            20: {"loss": 2.0, "val_loss": 2.25, "test/accuracy": 0.75},
        }
        artifacts = [each.request.log_artifact.artifact for each in records if each.HasField("request")]
        artifacts += [each.artifact for each in records if each.HasField("artifact")]
        (report,) = (each for each in artifacts if each.type == "report")
        (copied,) = report.manifest.contents
        assert copied.path == "report.html" and Path(copied.local_path).read_bytes() == b"<p>how it went</p>"

    @pytest.mark.parametrize(
        ("options", "key", "code", "said"),
        [
            ((), "", 7, "WANDB_API_KEY is not set"),
            ((), "short", 7, "API key must have"),
            (("--project=a b",), "k" * 40, 3, "takes no project 'a b'"),
            (("--uri=https://me:hunter2@wandb.example",), "k" * 40, 3, "holds a name or password"),
        ],
    )
    def test_what_is_wrong_is_said_before_anything_is_sent(
        self, learned: Learned, options: tuple[str, ...], key: str, code: int, said: str
    ) -> None:
        ended, answer = track(learned, "--to=wandb", *options, WANDB_API_KEY=key)
        assert ended == code and said in answer["error"]["message"] and answer["error"]["hint"]
        assert "hunter2" not in str(answer)


class simulated_server:  # noqa: N801  reads as the function that it is
    """A server that answers every request with one status."""

    def __init__(self, status: int) -> None:
        class Answer(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = b"simulated"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815  the names that the server looks for

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Answer)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> HTTPServer:
        self.thread.start()
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def wandb_records(path: Path) -> list[Any]:
    """The file's records by wandb's own messages. It lies in blocks of 32 KiB as LevelDB's log does, behind 7 bytes of its own."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for whole in _chunks(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(whole)
        found.append(record)
    return found


def _chunks(data: bytes) -> Iterator[bytes]:
    """https://github.com/google/leveldb/blob/main/doc/log_format.md: CRC, length, kind (1 whole, 2 first, 3 middle, 4 last)."""
    assert data[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""
