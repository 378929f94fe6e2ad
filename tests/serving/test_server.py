"""The program as a whole: real processes, real models, and what happens when something breaks."""

from __future__ import annotations

import socket

import pytest

from skylift.artifacts import layout
from skylift.artifacts.records import Current, Deployment, encode, now
from skylift.artifacts.records import TensorSpec as Spec
from tests.serving import onnx_models
from tests.serving.conftest import ENDPOINT, Bench, Server
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS, answers, serve


class TestReadiness:
    def test_without_a_deployment_it_is_ready_and_predict_says_so(self, bench: Bench) -> None:
        server = bench.start()
        server.wait_ready()
        assert server.ask("GET", "/healthz").status == 200
        answer = server.predict(ROWS)
        assert (answer.status, answer.json()["code"]) == (503, "no_deployment")
        assert "no_deployment" in answer.json()["error"]
        assert server.ask("GET", "/v1/models/scale").status == 404
        bench.wait_report(lambda report: report.state == "empty" and report.ready_workers == 1)

    def test_the_first_deployment_is_followed_and_it_never_gets_unready(self, bench: Bench) -> None:
        server = bench.start()
        server.wait_ready()
        seen: list[int] = []
        ref = bench.publish_scale(2)
        bench.deploy(ref)

        def served() -> bool:
            seen.append(server.ask("GET", "/readyz").status)
            return answers(server, 2)

        wait_for(served)
        assert set(seen) == {200}
        answer = server.predict(ROWS)
        assert answer.headers["X-Skylift-Model-Version"] == "1"
        assert answer.headers["X-Skylift-Deployment"] == "1"
        assert server.ask("GET", "/v1/models/scale").json()["model_version_status"][0]["state"] == "AVAILABLE"

    def test_a_start_with_a_deployment_is_unready_until_it_is_warm(self, bench: Bench) -> None:
        bench.deploy(bench.publish_scale(2))
        server = bench.start()
        first = server.ask("GET", "/readyz")
        if first.status != 200:
            assert (first.status, first.json()["code"]) == (503, "starting")
            assert server.ask("GET", "/healthz").status == 200
        server.wait_ready()
        assert server.predict(ROWS).json() == {"predictions": [[2.0, 4.0, 6.0]]}

    @pytest.mark.slow
    def test_a_start_with_a_deployment_that_cannot_load_stays_unready(self, bench: Bench) -> None:
        ref = bench.publish_scale(2)
        bench.deploy(ref)
        (bench.keep_folder / layout.model("scale", ref.digest) / "model.onnx").unlink()
        server = bench.start()
        report = bench.wait_report(lambda report: report.state == "failed")
        assert report.failure is not None and report.failure.kind == "damaged"
        assert server.ask("GET", "/readyz").status == 503
        assert server.ask("GET", "/healthz").status == 200
        status = server.ask("GET", "/v1/models/scale").json()["model_version_status"][0]
        assert (status["state"], status["status"]["error_code"]) == ("END", "DATA_LOSS")


class TestReport:
    def test_it_says_what_answers(self, bench: Bench) -> None:
        server = serve(bench, 2, "--workers", "2", "--replica", "one")
        report = bench.wait_report(lambda report: report.ready_workers == 2)
        assert (report.replica, report.endpoint, report.pid) == ("one", ENDPOINT, server.process.pid)
        assert (report.state, report.serving, report.wanted, report.backend) == ("serving", 1, 1, "onnx")
        assert report.model is not None and report.model.version == 1
        assert report.url == f"http://127.0.0.1:{server.port}"

    def test_a_clean_end_takes_it_away(self, bench: Bench) -> None:
        server = serve(bench, 2)
        bench.wait_report(lambda report: report.serving == 1)
        assert server.stop() == 0
        assert bench.report() is None

    @pytest.mark.slow
    def test_a_work_bucket_that_cannot_be_written_does_not_disturb(self, bench: Bench) -> None:
        bench.work_folder.joinpath("replicas").write_text("in the way")
        server = serve(bench, 2)
        assert answers(server, 2)
        wait_for(lambda: server.events("report_not_written"))


class TestFaultyDeployments:
    """A bad version never replaces a good one, and the report says why."""

    def check(self, bench: Bench, server: Server, kind: str, part: str) -> None:
        report = bench.wait_report(lambda report: report.failure is not None)
        assert report.failure is not None
        assert (report.state, report.serving, report.failure.kind) == ("serving", 1, kind)
        assert part in report.failure.message
        assert answers(server, 2)
        assert server.ask("GET", "/readyz").status == 200

    def recover(self, bench: Bench, server: Server) -> None:
        bench.deploy(bench.publish_scale(5))
        bench.wait_report(lambda report: report.failure is None and report.state == "serving" and report.serving != 1)
        assert answers(server, 5)

    def test_a_truncated_file(self, bench: Bench) -> None:
        server = serve(bench, 2)
        ref = bench.publish_scale(3)
        file = bench.keep_folder / layout.model("scale", ref.digest) / "model.onnx"
        file.write_bytes(file.read_bytes()[:-5])
        bench.deploy(ref)
        self.check(bench, server, "damaged", "model.onnx")
        versions = server.ask("GET", "/v1/models/scale").json()["model_version_status"]
        assert [version["state"] for version in versions] == ["AVAILABLE", "END"]
        self.recover(bench, server)

    def test_a_file_with_a_wrong_digest(self, bench: Bench) -> None:
        server = serve(bench, 2)
        ref = bench.publish_scale(3)
        file = bench.keep_folder / layout.model("scale", ref.digest) / "model.onnx"
        file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
        bench.deploy(ref)
        self.check(bench, server, "damaged", "model.onnx")
        self.recover(bench, server)

    @pytest.mark.slow
    def test_a_manifest_with_a_wrong_digest(self, bench: Bench) -> None:
        server = serve(bench, 2)
        ref = bench.publish_scale(3)
        manifest = bench.keep_folder / layout.model_manifest("scale", ref.digest)
        good = manifest.read_bytes()
        bench.deploy_by_hand(ref, lambda: manifest.write_bytes(good + b" "))
        self.check(bench, server, "damaged", "manifest.json")
        self.recover(bench, server)

    def test_a_version_without_manifest(self, bench: Bench) -> None:
        server = serve(bench, 2)
        ref = bench.publish_scale(3)
        manifest = bench.keep_folder / layout.model_manifest("scale", ref.digest)
        bench.deploy_by_hand(ref, manifest.unlink)
        self.check(bench, server, "not_found", "manifest.json")
        self.recover(bench, server)

    @pytest.mark.slow
    def test_a_file_that_is_no_model(self, bench: Bench) -> None:
        server = serve(bench, 2)
        row = [Spec(name="x", dtype="float32", shape=[None, 3])]
        bench.deploy(bench.publish(b"no model at all", inputs=row, outputs=row))
        self.check(bench, server, "deploy", "ONNX Runtime cannot load model.onnx")
        self.recover(bench, server)

    @pytest.mark.slow
    def test_a_model_that_breaks_its_own_signature(self, bench: Bench) -> None:
        server = serve(bench, 2)
        row = [Spec(name="other", dtype="int64", shape=[None, 3])]
        bench.deploy(bench.publish(onnx_models.scale(3), inputs=row, outputs=row))
        self.check(bench, server, "deploy", "the manifest promises int64")

    @pytest.mark.slow
    def test_a_deployment_record_that_is_not_there(self, bench: Bench) -> None:
        server = serve(bench, 2)
        bench.point(Current(deployment=7, changed=now(), by="test"))
        self.check(bench, server, "not_found", "7")

    def test_a_pointer_of_a_newer_schema(self, bench: Bench) -> None:
        server = serve(bench, 2)
        newer = encode(Current(deployment=2, changed=now(), by="test")).replace(b'"schema": 1', b'"schema": 9')
        assert b'"schema": 9' in newer
        bench.keep.put(layout.current(ENDPOINT), newer)
        self.check(bench, server, "record", "schema 9")

    @pytest.mark.slow
    def test_a_deployment_of_a_newer_schema(self, bench: Bench) -> None:
        server = serve(bench, 2)
        ref = bench.publish_scale(3)
        record = Deployment(endpoint=ENDPOINT, number=2, model=ref, created=now(), by="test")
        bench.keep.create(layout.deployment(ENDPOINT, 2), encode(record).replace(b'"schema": 1', b'"schema": 9'))
        bench.point(Current(deployment=2, changed=now(), by="test"))
        self.check(bench, server, "record", "schema 9")


class TestUnreachable:
    def test_what_is_loaded_goes_on_and_follows_again_later(self, bench: Bench) -> None:
        server = serve(bench, 2)
        away = bench.keep_folder.rename(bench.folder / "away")
        wait_for(lambda: server.events("bucket_unreachable"))
        assert answers(server, 2)
        away.rename(bench.keep_folder)
        bench.deploy(bench.publish_scale(3))
        wait_for(lambda: answers(server, 3))

    def test_a_new_replica_begins_with_its_last_copy(self, bench: Bench) -> None:
        assert serve(bench, 2).stop() == 0
        away = bench.keep_folder.rename(bench.folder / "away")
        server = bench.start()
        server.wait_ready()
        assert answers(server, 2)
        away.rename(bench.keep_folder)
        bench.deploy(bench.publish_scale(3))
        wait_for(lambda: answers(server, 3))

    @pytest.mark.slow
    def test_a_new_replica_without_a_copy_waits_and_says_why(self, bench: Bench) -> None:
        bench.deploy(bench.publish_scale(2))
        away = bench.keep_folder.rename(bench.folder / "away")
        server = bench.start()
        report = bench.wait_report(lambda report: report.failure is not None)
        assert report.failure is not None and report.failure.kind == "unreachable"
        assert server.ask("GET", "/readyz").status == 503
        away.rename(bench.keep_folder)
        server.wait_ready()
        assert answers(server, 2)

    @pytest.mark.slow
    def test_a_damaged_copy_is_not_used(self, bench: Bench) -> None:
        assert serve(bench, 2).stop() == 0
        (copy,) = (bench.folder / "cache").glob("*/model.onnx")
        copy.write_bytes(b"damaged")
        server = bench.start()
        server.wait_ready()
        assert answers(server, 2)

    @pytest.mark.slow
    def test_a_bucket_that_never_answers_does_not_hold_the_start(self, bench: Bench) -> None:
        """The store's own retries take a minute; the copy is served long before."""
        assert serve(bench, 2).stop() == 0
        last = bench.folder / "cache" / f"last-{ENDPOINT}.json"
        assert last.exists()
        with socket.create_server(("127.0.0.1", 0)) as dead:
            env = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{dead.getsockname()[1]}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_REGION": "eu-west-1",
            }
            server = bench.start(endpoint=f"s3://bucket/endpoints/{ENDPOINT}", env=env)
            server.wait_ready(20)
            assert answers(server, 2)
            assert server.stop() == 0
