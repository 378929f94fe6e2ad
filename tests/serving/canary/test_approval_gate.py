"""Where the stack asks for approval, nothing is served that nobody agreed to."""

from __future__ import annotations

import msgspec
import pytest

from skylift.artifacts import consent, endpoints, layout
from skylift.artifacts.records import Deployment, encode
from tests.serving.canary.conftest import Canaries
from tests.serving.conftest import ENDPOINT, Server
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS, answers


def gated(bench: Canaries, name: str = "a") -> Server:
    return bench.replica(name, "--approval")


def approve(bench: Canaries, made: Deployment) -> None:
    consent.approve(bench.keep, made, by="somebody else")


def wait_waiting(bench: Canaries, number: int, name: str = "a") -> None:
    def is_waiting() -> bool:
        report = bench.reports().get(name)
        return report is not None and (report.wanted, report.waiting) == (number, "approval")

    wait_for(is_waiting, what="waiting for approval")


class TestGate:
    def test_a_deployment_waits_and_what_answered_goes_on(self, bench: Canaries) -> None:
        first = bench.deploy(bench.publish_scale(2))
        approve(bench, first)
        server = gated(bench)
        assert answers(server, 2)
        second = bench.deploy(bench.publish_scale(3))
        wait_waiting(bench, 2)
        report = bench.reports()["a"]
        assert (report.state, report.serving, report.failure) == ("serving", 1, None)
        assert answers(server, 2)
        assert server.ask("GET", "/readyz").status == 200
        approve(bench, second)
        wait_for(lambda: answers(server, 3))
        wait_for(lambda: bench.reports()["a"].waiting == "")

    @pytest.mark.slow
    def test_the_environment_asks_too(self, bench: Canaries) -> None:
        bench.deploy(bench.publish_scale(2))
        server = bench.start("--replica", "a", env={"SKYLIFT_APPROVAL": "1"})
        wait_waiting(bench, 1)
        assert server.predict(ROWS).status == 503

    def test_a_first_deployment_is_as_none_until_it_is_approved(self, bench: Canaries) -> None:
        made = bench.deploy(bench.publish_scale(2))
        server = gated(bench)  # it gets ready: nothing may be served
        answer = server.predict(ROWS)
        assert (answer.status, answer.json()["code"]) == (503, "no_deployment")
        wait_waiting(bench, 1)
        approve(bench, made)
        wait_for(lambda: answers(server, 2))

    @pytest.mark.parametrize("change", ["model", "canary", "number", "endpoint", "garbage"])
    def test_an_approval_for_something_else_does_not_count(self, bench: Canaries, change: str) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        approve(bench, bench.deploy(one))
        made = bench.deploy_canary(one, two, 0.5)
        good = consent.approve(bench.keep, made, by="somebody else")
        key = layout.approval(ENDPOINT, 2)
        wrong = {"model": two.digest, "canary": None, "number": 1, "endpoint": "other"}
        bench.keep.delete([key])
        if change == "garbage":
            bench.keep.put(key, b"{}")
        else:
            bench.keep.put(key, encode(msgspec.structs.replace(good, **{change: wrong[change]})))
        if change == "garbage":
            with pytest.raises(Exception, match="schema"):
                consent.is_approved(bench.keep, made)
        else:
            assert not consent.is_approved(bench.keep, made)
        assert list(consent.approved_before(bench.keep, ENDPOINT, 3)) == [
            endpoints.read_deployment(bench.keep, ENDPOINT, 1)
        ]

    def test_to_end_a_canary_needs_nobody_and_to_promote_it_does(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        approve(bench, bench.deploy(one))
        with_canary = bench.deploy_canary(one, two, 0.5)
        assert not consent.is_approved(bench.keep, with_canary)
        approve(bench, with_canary)
        assert consent.is_approved(bench.keep, bench.deploy(one))
        assert not consent.is_approved(bench.keep, bench.deploy(two))
        assert not consent.is_approved(bench.keep, bench.deploy_canary(one, two, 0.9))

    def test_an_earlier_version_needs_a_new_consent(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        for ref in (one, two):
            approve(bench, bench.deploy(ref))
        assert not consent.is_approved(bench.keep, bench.deploy(one))


class TestRestart:
    def test_it_serves_what_was_approved_last(self, bench: Canaries) -> None:
        for factor in (2, 3):
            approve(bench, bench.deploy(bench.publish_scale(factor)))
        made = bench.deploy(bench.publish_scale(4))
        server = gated(bench)
        assert answers(server, 3)
        wait_waiting(bench, 3)
        assert bench.reports()["a"].serving == 2
        approve(bench, made)
        wait_for(lambda: answers(server, 4))

    @pytest.mark.slow
    def test_what_was_approved_and_cannot_be_served_is_passed_over(self, bench: Canaries) -> None:
        approve(bench, bench.deploy(bench.publish_scale(2)))
        broken = bench.publish_scale(3)
        approve(bench, bench.deploy(broken))
        (bench.keep_folder / layout.model("scale", broken.digest) / "model.onnx").write_bytes(b"!")
        bench.deploy(bench.publish_scale(4))
        server = gated(bench)
        assert answers(server, 2)
        assert server.events("earlier_not_served")

    @pytest.mark.slow
    def test_with_a_canary_that_waits(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        approve(bench, bench.deploy(one))
        made = bench.deploy_canary(one, two, 0.5)
        server = gated(bench)
        wait_waiting(bench, 2)
        assert {server.predict(ROWS).headers["X-Skylift-Model-Version"] for _ in range(10)} == {"1"}
        approve(bench, made)
        bench.wait_canary("a", "serving", 2)
        assert {server.predict(ROWS).headers["X-Skylift-Model-Version"] for _ in range(10)} == {"1", "2"}

    @pytest.mark.slow
    def test_without_the_bucket_it_serves_its_copy(self, bench: Canaries) -> None:
        approve(bench, bench.deploy(bench.publish_scale(2)))
        assert gated(bench).stop() == 0
        away = bench.keep_folder.rename(bench.folder / "away")
        server = gated(bench)
        assert answers(server, 2)
        away.rename(bench.keep_folder)
        approve(bench, bench.deploy(bench.publish_scale(3)))
        wait_for(lambda: answers(server, 3))

    @pytest.mark.slow
    def test_what_it_served_before_approval_was_asked_for_is_not_served_from_its_copy(self, bench: Canaries) -> None:
        bench.deploy(bench.publish_scale(2))
        first = bench.replica("a")
        assert answers(first, 2) and first.stop() == 0
        server = gated(bench)
        wait_waiting(bench, 1)
        assert server.predict(ROWS).status == 503
