"""A canary that is worse is seen by one replica, obeyed by all, and costs the version beside it nothing."""

from __future__ import annotations

import pytest

from skylift.artifacts import consent, layout
from skylift.artifacts.comparing import CanaryLimits
from tests.serving.canary import canary_models
from tests.serving.canary.conftest import Canaries, crowd
from tests.serving.conftest import ENDPOINT, Server
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS

MIXED = [[1, 2, 3]] * 9 + [[1, 2, 300]]
"""Every tenth row is one that the broken model fails at."""


def versions(server: Server, count: int = 20) -> set[str]:
    return {str(server.predict(ROWS).headers["X-Skylift-Model-Version"]) for _ in range(count)}


def assert_ready(*servers: Server) -> None:
    assert [server.ask("GET", "/readyz").status for server in servers] == [200] * len(servers)


class TestWorse:
    def test_one_that_fails_at_some_rows_is_vetoed_and_all_replicas_obey(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), canary_models.publish(bench, canary_models.breaks_above(100))
        bench.deploy(one)
        first, second = bench.replica("a"), bench.replica("b")
        with crowd(first, MIXED) as busy, crowd(second, [[1, 2, 3]], clients=1) as calm:
            bench.deploy_canary(one, two, 0.3)
            seen = bench.wait_canary("a", "vetoed", 2)
            other = bench.wait_canary("b", "vetoed", 2)
            after = busy.of("1")
            wait_for(lambda: busy.of("1") > after + 50)
        assert busy.broken == calm.broken == []
        assert busy.failed("1") == 0 and calm.failed("1") == calm.failed("2") == 0
        assert busy.failed("2") > 0
        veto = consent.read_veto(bench.keep, ENDPOINT, 2)
        assert veto is not None and veto.by == "replica a" and veto.canary == two
        assert "of the canary's requests end in an error, 0.0% of the stable version's" in veto.why
        assert veto.figures is not None and veto.figures.canary.errors > 0 == veto.figures.stable.errors
        assert (seen.why, other.why) == (veto.why, veto.why)
        assert seen.figures == veto.figures
        assert versions(first) == versions(second) == {"1"}
        assert_ready(first, second)
        report = bench.reports()["a"]
        assert (report.state, report.serving, report.failure) == ("serving", 2, None)

    @pytest.mark.slow
    def test_one_that_is_slow_is_vetoed(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), canary_models.publish(bench, canary_models.slow_scale(15))
        bench.deploy_canary(one, two, 0.5, CanaryLimits(requests=30))
        server = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        with crowd(server, [[1, 2, 3]], clients=1) as seen:
            vetoed = bench.wait_canary("a", "vetoed", 1)
        assert "the canary's median latency" in vetoed.why and "1.5 times is the limit" in vetoed.why
        assert seen.broken == [] and {status for status, _ in seen.answers} == {200}
        assert versions(server) == {"1"}

    def test_one_that_is_as_good_is_left_alone(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        bench.deploy_canary(one, two, 0.5, CanaryLimits(requests=10))
        server = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        with crowd(server, [[1, 2, 3], "no row"]) as seen:  # what clients do wrong both versions refuse
            wait_for(lambda: seen.of("2") >= 400)
        wait_for(lambda: (found := bench.canary("a")) is not None and found.figures.canary.requests >= 300)
        found = bench.canary("a")
        assert found is not None and found.state == "serving"
        assert found.figures.canary.errors == 0 < found.figures.canary.refusals
        assert bench.keep.stat(layout.veto(ENDPOINT, 1)) is None


class TestNotToBeHad:
    def test_one_that_cannot_be_loaded_is_vetoed_and_nobody_notices(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), canary_models.publish(bench, b"no model at all")
        bench.deploy(one)
        server = bench.replica("a")
        with crowd(server, [[1, 2, 3]]) as seen:
            bench.deploy_canary(one, two, 0.5)
            vetoed = bench.wait_canary("a", "vetoed", 2)
        assert "scale:2 cannot be served" in vetoed.why and "ONNX Runtime" in vetoed.why
        assert seen.broken == [] and seen.failed("1") == 0 and seen.of("2") == 0
        assert consent.read_veto(bench.keep, ENDPOINT, 2) is not None
        assert_ready(server)
        states = server.ask("GET", "/v1/models/scale").json()["model_version_status"]
        assert [(one["version"], one["state"]) for one in states] == [("1", "AVAILABLE"), ("2", "END")]
        assert "cannot be served" in states[1]["status"]["error_message"]

    @pytest.mark.slow
    def test_one_whose_files_are_damaged_is_vetoed(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        (bench.keep_folder / layout.model("scale", two.digest) / "model.onnx").write_bytes(b"!")
        bench.deploy_canary(one, two, 0.5)
        server = bench.replica("a")
        assert "model.onnx" in bench.wait_canary("a", "vetoed", 1).why
        assert versions(server) == {"1"}

    @pytest.mark.slow
    def test_a_version_of_another_model_is_vetoed(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3, name="other")
        bench.deploy_canary(one, two, 0.5)
        server = bench.replica("a")
        assert "requests name scale" in bench.wait_canary("a", "vetoed", 1).why
        assert versions(server) == {"1"}


class TestVetoOfOthers:
    def test_it_is_obeyed_also_by_who_starts_later(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        made = bench.deploy_canary(one, two, 0.5)
        server = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        assert versions(server) == {"1", "2"}
        consent.veto(bench.keep, made, by="somebody", why="it is rude")
        assert bench.wait_canary("a", "vetoed", 1).why == "it is rude"
        assert versions(server) == {"1"}
        later = bench.replica("b")
        assert bench.wait_canary("b", "vetoed", 1).why == "it is rude"
        assert versions(later) == {"1"} and not [one for one in later.events("loading") if one.get("canary")]

    @pytest.mark.slow
    def test_the_next_canary_begins_anew(self, bench: Canaries) -> None:
        one, two, three = (bench.publish_scale(factor) for factor in (2, 3, 4))
        consent.veto(bench.keep, bench.deploy_canary(one, two, 0.5), by="somebody", why="no")
        server = bench.replica("a")
        bench.wait_canary("a", "vetoed", 1)
        bench.deploy_canary(one, three, 0.5)
        fresh = bench.wait_canary("a", "serving", 2)
        assert fresh.why == "" and fresh.figures.canary.requests == 0
        assert versions(server) == {"1", "3"}


class TestRestarts:
    @pytest.mark.slow
    def test_in_the_middle_of_a_canary(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        bench.deploy_canary(one, two, 0.5)
        assert bench.replica("a").stop() == 0
        server = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        assert versions(server) == {"1", "2"}

    @pytest.mark.slow
    def test_a_killed_worker_comes_back_with_both(self, bench: Canaries) -> None:
        import os
        import signal

        one, two = bench.publish_scale(2), bench.publish_scale(3)
        bench.deploy_canary(one, two, 0.5)
        server = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        os.kill(server.workers[0], signal.SIGKILL)
        wait_for(lambda: len(server.workers) == 2)
        wait_for(lambda: server.try_ask("GET", "/readyz") is not None)
        assert versions(server) == {"1", "2"}

    @pytest.mark.slow
    def test_without_the_bucket_the_stable_version_answers_alone_until_vetoes_can_be_seen(
        self, bench: Canaries
    ) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        bench.deploy_canary(one, two, 0.5)
        first = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        assert first.stop() == 0
        away = bench.keep_folder.rename(bench.folder / "away")
        server = bench.replica("a")
        bench.wait_canary("a", "failed", 1)
        assert versions(server) == {"1"}
        assert_ready(server)
        away.rename(bench.keep_folder)
        bench.wait_canary("a", "serving", 1)
        assert versions(server) == {"1", "2"}

    @pytest.mark.slow
    def test_a_bucket_that_goes_away_leaves_both_answering_and_the_judge_awake(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), canary_models.publish(bench, canary_models.breaks_above(100))
        bench.deploy_canary(one, two, 0.3)
        server = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        away = bench.keep_folder.rename(bench.folder / "away")
        wait_for(lambda: server.events("bucket_unreachable"))
        assert versions(server) == {"1", "2"}
        with crowd(server, MIXED):
            bench.wait_canary("a", "vetoed", 1)
        assert versions(server) == {"1"}
        assert server.events("veto_not_written")
        away.rename(bench.keep_folder)
        wait_for(lambda: consent.read_veto(bench.keep, ENDPOINT, 1), what="the veto, written late")


@pytest.mark.slow
class TestWorkers:
    def test_two_workers_count_together(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), canary_models.publish(bench, canary_models.breaks_above(100))
        bench.deploy_canary(one, two, 0.3)
        server = bench.replica("a", "--workers", "2")
        bench.wait_canary("a", "serving", 1)
        with crowd(server, MIXED, clients=4) as seen:
            bench.wait_canary("a", "vetoed", 1)
        assert seen.broken == [] and seen.failed("1") == 0
        assert versions(server) == {"1"}
