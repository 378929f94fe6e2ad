"""Canaries, promotion, vetoes and approvals as people use them, against a real server."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from skylift.artifacts import consent, endpoints
from skylift.artifacts.comparing import CanaryLimits
from skylift.artifacts.records import Deployment
from skylift.client import approving, canaries, looking, releases
from skylift.errors import CredentialsError, DeployError, InputError, NotFoundError
from tests.client.conftest import GARBAGE, ROW, StackBench
from tests.serving.canary import canary_models
from tests.serving.canary.conftest import crowd
from tests.serving.conftest import ENDPOINT, Server
from tests.serving.waiting import wait_for

ROWS = [[1, 2, 3]]


def factors(server: Server, count: int = 20) -> set[float]:
    return {server.predict(ROWS).json()["predictions"][0][0] for _ in range(count)}


@pytest.fixture
def served(bench: StackBench) -> Server:
    """A replica that answers with scale:1; scale:2 is there too."""
    server = bench.serve()
    bench.publish_scale(2)
    bench.stack.deploy("scale:1")
    bench.publish_scale(3)
    return server


def asks_approval(bench: StackBench, server: Server) -> None:
    bench.promise(f"http://127.0.0.1:{server.port}")
    outputs = bench.stack.__dict__["outputs"]
    asking = msgspec.structs.replace(outputs.endpoints[ENDPOINT], approval=True)
    bench.stack.__dict__["outputs"] = msgspec.structs.replace(outputs, endpoints={ENDPOINT: asking})


def number_now(bench: StackBench) -> int:
    now = releases.serving_now(bench.stack, ENDPOINT)
    assert now is not None
    return now.number


class TestShare:
    def test_from_a_share_to_all(self, bench: StackBench, served: Server) -> None:
        made = bench.stack.deploy("scale:2", canary=0.5)
        assert made.canary is not None and (made.canary.model.version, made.canary.weight) == (2, 0.5)
        assert factors(served) == {2.0, 3.0}  # when it returns, replicas split already
        assert bench.stack.deploy("scale:2", canary=0.5) == made
        more = canaries.reweigh(bench.stack, 0.9)
        assert more.canary is not None and more.canary.weight == 0.9
        whole = bench.stack.promote()
        assert (whole.model.version, whole.canary, whole.why) == (2, None, "promotes the canary of deployment 3")
        assert factors(served) == {3.0}

    def test_a_rollback_takes_it_away_and_a_second_goes_further(self, bench: StackBench, served: Server) -> None:
        bench.stack.deploy("scale:2")
        bench.publish_scale(4)
        bench.stack.deploy("scale:3", canary=0.5)
        back = bench.stack.rollback()
        assert (back.model.version, back.canary) == (2, None)
        assert factors(served) == {3.0}
        assert bench.stack.rollback().model.version == 1

    def test_it_is_shown_by_the_sum_of_its_replicas(self, bench: StackBench, served: Server) -> None:
        bench.stack.deploy("scale:2", canary=0.5)
        assert bench.stack.canary() is not None
        factors(served, 50)

        def seen() -> canaries.Progress | None:
            found = bench.stack.canary()
            return found if found is not None and found.canary.requests + found.stable.requests >= 50 else None

        found = wait_for(seen)
        assert (found.model, found.beside, found.weight, found.serving, found.vetoed) == (
            "scale:2",
            "scale:1",
            0.5,
            1,
            "",
        )
        assert found.canary.errors == 0 and found.canary.p99_ms is not None
        assert looking.look(bench.stack).endpoints[0].canary == bench.stack.canary()


class TestRefused:
    def check(self, bench: StackBench, kind: type[Exception], part: str, model: str, weight: float = 0.1) -> None:
        before = len(endpoints.list_deployments(bench.keep, ENDPOINT))
        with pytest.raises(kind, match=part) as told:
            bench.stack.deploy(model, canary=weight)
        assert getattr(told.value, "hint", "")
        assert len(endpoints.list_deployments(bench.keep, ENDPOINT)) == before

    def test_where_nothing_answers_yet(self, bench: StackBench) -> None:
        bench.publish_scale(2)
        self.check(bench, NotFoundError, "serves nothing yet", "scale:1")
        for act in (bench.stack.promote, lambda: bench.stack.veto("no"), lambda: canaries.reweigh(bench.stack, 0.5)):
            with pytest.raises(NotFoundError, match="has no canary"):
                act()

    @pytest.mark.parametrize("weight", [-0.1, 1.0, 10.0])
    def test_a_share_that_is_none(self, bench: StackBench, served: Server, weight: float) -> None:
        self.check(bench, InputError, "share is 0 to below 1", "scale:2", weight)

    def test_what_answers_already_and_what_is_another_model(self, bench: StackBench, served: Server) -> None:
        self.check(bench, InputError, "answers already", "scale:1")
        bench.publish_scale(3, name="other")
        self.check(bench, InputError, "no version of scale", "other:1")

    def test_one_that_requests_do_not_fit(self, bench: StackBench, served: Server) -> None:
        wide = [msgspec.structs.replace(ROW[0], shape=[None, 4])]
        bench.publish(GARBAGE, inputs=wide, outputs=[msgspec.structs.replace(ROW[0], name="z")])
        self.check(bench, DeployError, r"input 'x' has shape .*output 'y' is not there", "scale:3")

    def test_a_damaged_one(self, bench: StackBench, served: Server) -> None:
        path = bench.file_of(bench.keep_ref("scale", 2))
        path.write_bytes(path.read_bytes()[:-7])
        self.check(bench, DeployError, "scale:2 is refused", "scale:2")


class TestVeto:
    def test_one_that_no_server_can_load(self, bench: StackBench, served: Server) -> None:
        y = [msgspec.structs.replace(ROW[0], name="y")]
        bench.publish(GARBAGE, inputs=ROW, outputs=y)
        with pytest.raises(releases.VetoedError, match=r"scale:3 was vetoed: .*; scale:1 answers alone") as told:
            bench.stack.deploy("scale:3", canary=0.5)
        assert told.value.exit_code == 10 and told.value.details["deployment"] == 2
        assert factors(served) == {2.0}
        with pytest.raises(DeployError, match="was vetoed by replica"):
            bench.stack.promote()
        with pytest.raises(DeployError, match="was vetoed by replica"):
            canaries.reweigh(bench.stack, 0.9)

    def test_a_person_ends_it_and_force_promotes_it_all_the_same(self, bench: StackBench, served: Server) -> None:
        bench.stack.deploy("scale:2", canary=0.5)
        made = bench.stack.veto("it is rude")
        assert made.why == "it is rude"
        assert factors(served) == {2.0}
        assert bench.stack.veto("again") == made
        with pytest.raises(DeployError, match="it is rude"):
            bench.stack.promote()
        assert bench.stack.promote(force=True).model.version == 2
        assert factors(served) == {3.0}

    def test_it_can_be_begun_anew(self, bench: StackBench, served: Server) -> None:
        bench.stack.deploy("scale:2", canary=0.5)
        bench.stack.veto("no")
        assert bench.stack.deploy("scale:2", canary=0.5).number == 3
        assert factors(served) == {2.0, 3.0}

    def test_who_watches_sees_it_happen(self, bench: StackBench, served: Server) -> None:
        canary_models.publish(bench, canary_models.breaks_above(100))
        canaries.begin(bench.stack, "scale:3", 0.5, limits=CanaryLimits(requests=20))
        with crowd(served, [[1, 2, 300]]):
            seen = list(canaries.watch(bench.stack, seconds=30))
        assert seen[0].vetoed == "" and "end in an error" in seen[-1].vetoed
        assert seen[-1].canary.errors > 0 == seen[-1].stable.errors

    def test_who_watches_is_let_go_when_time_is_over_or_the_canary_is_gone(
        self, bench: StackBench, served: Server
    ) -> None:
        bench.stack.deploy("scale:2", canary=0.5)
        assert [one.vetoed for one in canaries.watch(bench.stack, seconds=0)] == [""]
        seen: list[canaries.Progress] = []
        watching = threading.Thread(target=lambda: seen.extend(canaries.watch(bench.stack)))
        watching.start()
        wait_for(lambda: seen)
        bench.stack.promote()
        watching.join(10)
        assert not watching.is_alive()


class TestApproval:
    @pytest.fixture
    def gate(self, bench: StackBench) -> Server:
        bench.publish_scale(2)
        server = bench.serve("--approval")
        asks_approval(bench, server)
        return server

    def approve(
        self, bench: StackBench, monkeypatch: pytest.MonkeyPatch, number: int | None = None
    ) -> consent.Approval:
        with monkeypatch.context() as other:
            other.setattr("skylift.client.stack.who", lambda: "boss@elsewhere")
            return bench.stack.approve(number)

    def test_a_release_needs_somebody_else(
        self, bench: StackBench, gate: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = bench.stack.deploy("scale:1")  # returns at once: it waits
        assert gate.predict(ROWS).status == 503
        bench.wait_report(lambda report: report.waiting == "approval")
        assert looking.look(bench.stack).endpoints[0].waiting == "approval"
        with pytest.raises(CredentialsError, match="is your own") as told:
            bench.stack.approve()
        assert told.value.exit_code == 7
        approval = self.approve(bench, monkeypatch)
        assert (approval.number, approval.model, approval.by) == (1, made.model.digest, "boss@elsewhere")
        assert factors(gate) == {2.0}  # when it returns, replicas serve it
        assert self.approve(bench, monkeypatch) == approval

    def test_a_canary_and_its_promotion_each_need_one_and_its_end_none(
        self, bench: StackBench, gate: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.stack.deploy("scale:1")
        self.approve(bench, monkeypatch)
        bench.publish_scale(3)
        bench.stack.deploy("scale:2", canary=0.5)
        assert factors(gate) == {2.0}
        self.approve(bench, monkeypatch)
        assert factors(gate) == {2.0, 3.0}
        bench.stack.rollback()
        assert factors(gate) == {2.0}
        bench.stack.deploy("scale:2", canary=0.5)
        self.approve(bench, monkeypatch)
        promoted = bench.stack.promote()
        assert factors(gate) == {2.0, 3.0}
        listed = {one.deployment.number: one for one in approving.history(bench.stack)}
        assert listed[promoted.number].is_current and listed[promoted.number].approval is None
        assert [number for number, one in listed.items() if one.approval is not None] == [4, 2, 1]
        self.approve(bench, monkeypatch, promoted.number)
        assert factors(gate) == {3.0}

    def test_what_waits_is_not_what_a_canary_stands_beside_and_to_leave_it_needs_nobody(
        self, bench: StackBench, gate: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.stack.deploy("scale:1")
        self.approve(bench, monkeypatch)
        bench.publish_scale(3)
        bench.publish_scale(4)
        bench.stack.deploy("scale:2")
        bench.wait_report(lambda report: report.waiting == "approval")
        made = bench.stack.deploy("scale:3", canary=0.5)
        assert made.model.version == 1
        bench.stack.rollback()
        bench.wait_report(lambda report: report.waiting == "" and report.serving == report.wanted == 4)
        assert factors(gate) == {2.0}

    def test_what_is_not_there_cannot_be_approved(self, bench: StackBench, gate: Server) -> None:
        with pytest.raises(NotFoundError, match="nothing to approve"):
            bench.stack.approve()
        bench.stack.deploy("scale:1")
        with pytest.raises(NotFoundError, match="'9'"):
            bench.stack.approve(9)


def test_history_tells_who_objected(bench: StackBench, served: Server) -> None:
    bench.stack.deploy("scale:2", canary=0.5)
    bench.stack.veto("it is rude")
    newest = approving.history(bench.stack)[0]
    assert newest.is_current and newest.veto is not None and newest.veto.why == "it is rude"


def test_records_of_the_release_before_are_read(bench: StackBench, tmp_path: Path) -> None:
    """A canary without limits, a report without a canary: fields that came later have a default."""
    ref = bench.publish_scale(2)
    bench.deploy(ref)
    path = bench.keep_folder / "endpoints" / ENDPOINT / "deployments" / "1.json"
    plain = msgspec.json.decode(path.read_bytes())
    plain["canary"] = {"model": plain["model"], "weight": 0.1}
    path.write_bytes(msgspec.json.encode(plain))
    read: Deployment = endpoints.read_deployment(bench.keep, ENDPOINT, 1)
    assert read.canary is not None and read.canary.judge is None
