"""deploy and rollback against a real server."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import endpoints, layout
from skylift.artifacts.records import ModelRef, digest_of
from skylift.client import looking, releases
from skylift.errors import ConflictError, DeployError, NotFoundError, RecordError, SkyliftError, UnreachableError
from tests.client.conftest import StackBench
from tests.serving.conftest import ENDPOINT, Server
from tests.serving.waiting import wait_for

ROWS = [[1, 2, 3]]


def answer(server: Server) -> float:
    return float(server.predict(ROWS).json()["predictions"][0][0])


def newer_schema(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"schema": 99}))


class TestDeploy:
    def test_the_newest_version_answers_when_it_returns(self, bench: StackBench) -> None:
        server = bench.serve()
        told: list[str] = []
        for factor in (2.0, 3.0):
            ref = bench.publish_scale(factor)
            made = releases.deploy(bench.stack, "scale", why="because", notice=told.append)
            assert (made.model, made.why) == (ref, "because")
            assert answer(server) == factor
        assert "deployment 2 recorded" in told

    def test_what_answers_already_is_not_deployed_again(self, bench: StackBench) -> None:
        bench.serve()
        bench.publish_scale(2)
        first = bench.stack.deploy("scale:1")
        assert bench.stack.deploy("scale:1") == first
        assert len(endpoints.list_deployments(bench.keep, ENDPOINT)) == 1

    @pytest.mark.parametrize("name", ["scael", "scale:7", "scale@ffff"])
    def test_an_unknown_model_or_version(self, bench: StackBench, name: str) -> None:
        bench.publish_scale(2)
        with pytest.raises(NotFoundError) as told:
            bench.stack.deploy(name)
        assert told.value.exit_code == 4 and told.value.hint
        assert bench.keep.stat(layout.current(ENDPOINT)) is None

    def test_an_unknown_endpoint(self, bench: StackBench) -> None:
        bench.publish_scale(2)
        with pytest.raises(NotFoundError, match="did you mean 'default'"):
            bench.stack.deploy("scale", endpoint="defualt")


def truncate(bench: StackBench, ref: ModelRef) -> None:
    path = bench.file_of(ref)
    path.write_bytes(path.read_bytes()[:-7])


def change(bench: StackBench, ref: ModelRef) -> None:
    path = bench.file_of(ref)
    path.write_bytes(b"!" + path.read_bytes()[1:])


def lose_a_file(bench: StackBench, ref: ModelRef) -> None:
    bench.file_of(ref).unlink()


def lose_the_manifest(bench: StackBench, ref: ModelRef) -> None:
    bench.file_of(ref, "manifest.json").unlink()


def change_the_manifest(bench: StackBench, ref: ModelRef) -> None:
    path = bench.file_of(ref, "manifest.json")
    path.write_bytes(path.read_bytes().replace(b'"by": "test"', b'"by": "else"'))


class TestRefused:
    @pytest.mark.parametrize(
        ("damage", "named"),
        [
            (truncate, "model.onnx"),
            (change, "model.onnx"),
            (lose_a_file, "model.onnx"),
            (lose_the_manifest, "manifest.json"),
            (change_the_manifest, "manifest.json"),
        ],
    )
    def test_a_damaged_version_is_refused_and_the_old_one_goes_on(
        self, bench: StackBench, damage: Any, named: str
    ) -> None:
        bench.publish_scale(2)
        server = bench.serve()
        bench.stack.deploy("scale:1")
        damage(bench, bench.publish_scale(3))
        with pytest.raises(DeployError) as told:
            bench.stack.deploy("scale:2")
        assert told.value.exit_code == 10
        assert "scale:2" in told.value.message and named in told.value.message
        assert answer(server) == 2
        assert len(endpoints.list_deployments(bench.keep, ENDPOINT)) == 1

    def test_a_manifest_of_a_newer_release_says_to_upgrade(self, bench: StackBench) -> None:
        ref = bench.publish_scale(2)
        path = bench.file_of(ref, "manifest.json")
        newer_schema(path)
        digest = digest_of(path.read_bytes())
        folder = bench.file_of(ref, "").parent
        folder.joinpath(ref.digest).rename(folder / digest)
        with pytest.raises(DeployError, match="schema 99") as told:
            releases.deploy(bench.stack, ModelRef(name="scale", version=1, digest=digest))
        assert "upgrade" in told.value.hint

    def test_a_pointer_of_a_newer_release_is_left_alone(self, bench: StackBench) -> None:
        bench.publish_scale(2)
        bench.deploy(bench.keep_ref("scale", 1))
        path = bench.keep_folder / layout.current(ENDPOINT)
        newer_schema(path)
        before = path.read_bytes()
        for act in (lambda: bench.stack.deploy("scale"), bench.stack.rollback, lambda: bench.stack.predict(ROWS)):
            with pytest.raises(RecordError, match="schema 99") as told:
                act()
            assert "upgrade" in told.value.hint
        assert path.read_bytes() == before
        assert "schema 99" in looking.look(bench.stack).endpoints[0].failure


class TestTakenBack:
    def test_a_version_that_no_server_can_load(self, bench: StackBench) -> None:
        bench.publish_scale(2)
        server = bench.serve()
        bench.stack.deploy("scale:1")
        bench.publish_garbage()
        with pytest.raises(DeployError) as told:
            bench.stack.deploy("scale:2")
        assert told.value.exit_code == 10
        assert "scale:2 was taken back" in told.value.message and "scale:1 answers" in told.value.message
        assert "onnx" in told.value.message.lower()
        assert told.value.details == {"deployment": 2, "restored": 3}
        restored = releases.serving_now(bench.stack, ENDPOINT)
        assert restored is not None and (restored.number, restored.model.version, restored.takes_back) == (3, 1, 2)
        bench.wait_report(lambda report: report.serving == 3 and report.failure is None)
        assert answer(server) == 2

    def test_a_first_one_that_cannot_be_loaded_restores_nothing_and_says_so(self, bench: StackBench) -> None:
        server = bench.serve()
        bench.publish_garbage()
        with pytest.raises(DeployError, match="nothing could be restored") as told:
            bench.stack.deploy("scale:1")
        assert told.value.details == {"deployment": 1, "restored": None}
        with pytest.raises(DeployError, match="cannot serve deployment 1"):  # asked again for what is there already
            bench.stack.deploy("scale:1")
        bench.publish_garbage("other")
        with pytest.raises(DeployError, match="nothing could be restored"):  # and not: scale:1 answers
            bench.stack.deploy("other:1")
        bench.publish_scale(2)
        bench.stack.deploy("scale:2")
        assert answer(server) == 2

    def test_what_replicas_serve_is_restored_not_what_they_could_not(self, bench: StackBench) -> None:
        bench.publish_scale(2)
        server = bench.serve()
        bench.stack.deploy("scale:1")
        bench.deploy(bench.publish_garbage())  # somebody points at it and does not wait
        bench.wait_report(lambda report: report.wanted == 2 and report.failure is not None)
        bench.publish_garbage("other")
        with pytest.raises(DeployError, match="scale:1 answers"):
            bench.stack.deploy("other:1")
        assert answer(server) == 2

    def test_nobody_elses_deployment_is_overwritten(self, bench: StackBench) -> None:
        bench.publish_scale(2)
        bench.serve()
        first = bench.stack.deploy("scale:1")
        made = bench.deploy(bench.publish_garbage())
        theirs = bench.deploy(bench.keep_ref("scale", 1))
        error = releases._taken_back(bench.stack, ENDPOINT, made, first, DeployError("no"))
        assert "somebody else" in error.message
        now = releases.serving_now(bench.stack, ENDPOINT)
        assert now == theirs


class TestNobody:
    def test_without_any_replica_it_is_told_within_seconds(
        self, bench: StackBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(releases, "SILENCE", 1.0)
        bench.publish_scale(2)
        begun = time.monotonic()
        with pytest.raises(UnreachableError, match="nobody serves") as told:
            bench.stack.deploy("scale")
        assert time.monotonic() - begun < 10
        assert "skylift up local" in told.value.hint
        assert releases.serving_now(bench.stack, ENDPOINT) is not None

    def test_the_report_of_a_killed_supervisor_counts_for_nobody(
        self, bench: StackBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(releases, "SILENCE", 1.0)
        bench.publish_scale(2)
        server = bench.serve()
        bench.stack.deploy("scale:1")
        server.stop(signal.SIGKILL)
        assert bench.report() is not None
        bench.publish_scale(3)
        begun = time.monotonic()
        with pytest.raises(UnreachableError, match="nobody serves"):
            bench.stack.deploy("scale:2")
        assert time.monotonic() - begun < 10
        seen = looking.look(bench.stack)
        assert (seen.endpoints[0].health, seen.endpoints[0].replicas) == ("down", 0)
        assert seen.drift and "does not answer" in seen.drift[0]

    def test_a_replica_that_takes_too_long_is_not_waited_for(self, bench: StackBench) -> None:
        bench.publish_scale(2)
        server = bench.serve()
        bench.stack.deploy("scale:1")
        bench.publish_scale(3)
        server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(DeployError, match=r"0 of 1 replicas serve deployment 2 after 0\.5 s"):
                releases.deploy(bench.stack, "scale:2", timeout=0.5)
        finally:
            server.process.send_signal(signal.SIGCONT)
        bench.wait_report(lambda report: report.serving == 3)
        assert answer(server) == 2


class TestTwoAtOnce:
    def test_both_end_well_defined_and_the_newer_number_answers(self, bench: StackBench) -> None:
        server = bench.serve()
        for factor in (2.0, 3.0):
            bench.publish_scale(factor)
        ended: dict[int, Any] = {}
        barrier = threading.Barrier(2)

        def act(version: int) -> None:
            barrier.wait()
            try:
                ended[version] = releases.deploy(bench.stack, f"scale:{version}")
            except SkyliftError as error:
                ended[version] = error

        threads = [threading.Thread(target=act, args=(version,)) for version in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        known = endpoints.list_deployments(bench.keep, ENDPOINT)
        assert sorted(one.number for one in known) == [1, 2]
        winner = releases.serving_now(bench.stack, ENDPOINT)
        assert winner is not None and winner.number == 2
        assert answer(server) == {1: 2.0, 2: 3.0}[winner.model.version]
        assert ended[winner.model.version] == winner
        other = ended[3 - winner.model.version]
        assert isinstance(other, ConflictError) or other.number == 1  # overtaken, or it answered for a moment


class TestRollback:
    def test_back_to_what_answered_before_and_forth_again(self, bench: StackBench) -> None:
        server = bench.serve()
        for factor in (2.0, 3.0):
            bench.publish_scale(factor)
            bench.stack.deploy("scale")
        back = bench.stack.rollback()
        assert (back.number, back.model.version, back.why) == (3, 1, "rollback of deployment 2")
        assert answer(server) == 2
        assert bench.stack.rollback().model.version == 2
        assert answer(server) == 3

    def test_to_a_deployment(self, bench: StackBench) -> None:
        server = bench.serve()
        for factor in (2.0, 3.0, 4.0):
            bench.publish_scale(factor)
            bench.stack.deploy("scale")
        assert bench.stack.rollback(to=1).model.version == 1
        assert answer(server) == 2
        with pytest.raises(NotFoundError, match="'9'"):
            bench.stack.rollback(to=9)

    def test_what_was_taken_back_is_passed_over(self, bench: StackBench) -> None:
        server = bench.serve()
        for factor in (2.0, 3.0):
            bench.publish_scale(factor)
            bench.stack.deploy("scale")
        bench.publish_garbage()
        with pytest.raises(DeployError):
            bench.stack.deploy("scale:3")
        assert bench.stack.rollback().model.version == 1
        assert answer(server) == 2

    def test_where_there_is_nothing_to_go_back_to(self, bench: StackBench) -> None:
        with pytest.raises(NotFoundError, match="serves nothing yet"):
            bench.stack.rollback()
        bench.serve()
        bench.publish_scale(2)
        bench.stack.deploy("scale")
        with pytest.raises(NotFoundError, match="has served nothing before scale:1"):
            bench.stack.rollback()

    def test_a_version_that_was_removed_meanwhile(self, bench: StackBench) -> None:
        server = bench.serve()
        for factor in (2.0, 3.0):
            bench.publish_scale(factor)
            bench.stack.deploy("scale")
        lose_the_manifest(bench, bench.keep_ref("scale", 1))
        with pytest.raises(DeployError, match="scale:1 is refused"):
            bench.stack.rollback()
        assert answer(server) == 3


class TestLook:
    def test_it_says_what_answers(self, bench: StackBench) -> None:
        server = bench.serve()
        server.wait_ready()
        assert looking.look(bench.stack).endpoints[0].model == "nothing yet"
        bench.publish_scale(2)
        bench.stack.deploy("scale")
        bench.wait_report(lambda report: report.ready_workers == 1)
        seen = looking.look(bench.stack).endpoints[0]
        assert (seen.health, seen.model, seen.deployment, seen.serving, seen.replicas) == ("ready", "scale:1", 1, 1, 1)

    def test_a_bucket_that_is_gone_is_drift(self, bench: StackBench) -> None:
        _ = bench.stack.keep, bench.stack.work
        bench.work_folder.rename(bench.folder / "elsewhere")
        seen = looking.look(bench.stack)
        assert any("bucket work is gone" in sentence for sentence in seen.drift)
        wait_for(lambda: seen.runs == ())
