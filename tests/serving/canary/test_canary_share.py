"""Who gets the canary: so many requests, the same users, and no request lost from one deployment to the next."""

from __future__ import annotations

import random
from collections import Counter

import psutil
import pytest

from serving.split import Split
from skylift.artifacts import consent, endpoints
from skylift.artifacts.records import Canary
from tests.serving.canary import canary_models
from tests.serving.canary.conftest import Canaries, crowd
from tests.serving.conftest import ENDPOINT, Bench, Server
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS


def version(server: Server, key: str = "", header: str = "X-Skylift-Key") -> str:
    answer = server.predict(ROWS, **({header: key} if key else {}))
    assert answer.status == 200
    return str(answer.headers["X-Skylift-Model-Version"])


class TestSplit:
    @pytest.mark.parametrize("weight", [0.0, 0.01, 0.1, 0.37, 0.5, 0.999, 1.0])
    def test_of_any_run_of_requests_the_canary_gets_its_share(self, weight: float) -> None:
        split = Split(weight, "salt")
        drawn = [split.takes_canary(None) for _ in range(20_000)]
        for length in (10, 1000, 20_000):
            for start in range(0, 20_000 - length + 1, length):
                assert abs(sum(drawn[start : start + length]) - weight * length) <= 2

    def test_clients_that_take_turns_are_drawn_alike(self) -> None:
        split = Split(0.5, "salt")
        light = [split.takes_canary(None) for _ in range(20_000)][::2]
        assert 0.45 < sum(light) / len(light) < 0.55

    def test_a_key_keeps_its_side_and_a_greater_share_takes_nobody_back(self) -> None:
        keys = [b"user-%d" % number for number in range(20_000)]
        small, great = Split(0.1, "one"), Split(0.4, "one")
        had = {key for key in keys if small.takes_canary(key)}
        assert had == {key for key in keys if small.takes_canary(key)}
        assert abs(len(had) / len(keys) - 0.1) < 0.01
        assert had < {key for key in keys if great.takes_canary(key)}

    def test_the_next_canary_meets_other_users(self) -> None:
        keys = [b"user-%d" % number for number in range(20_000)]
        one, other = Split(0.1, "one"), Split(0.1, "other")
        both = sum(one.takes_canary(key) and other.takes_canary(key) for key in keys)
        assert abs(both / len(keys) - 0.01) < 0.005


class TestShare:
    def test_from_a_first_canary_to_its_promotion(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        bench.deploy(one)
        server = bench.replica("a")
        worker = psutil.Process(server.workers[0])
        with crowd(server, [[1, 2, 3]]) as seen:
            bench.deploy_canary(one, two, 0.1)
            bench.wait_canary("a", "serving", 2)
            before = Counter(seen.answers)
            wait_for(lambda: seen.of("2") >= 100)
            during = seen.answers - before
            share = during[200, "2"] / during.total()
            keyed = {f"user-{number}": version(server, f"user-{number}") for number in range(100)}
            files = worker.num_fds()
            bench.deploy_canary(one, two, 0.5)
            bench.wait_canary("a", "serving", 3)
            grown = {key: version(server, key) for key in keyed}
            bench.deploy(two)
            wait_for(lambda: server.predict(ROWS).headers["X-Skylift-Deployment"] == "4")
        assert 0.08 < share < 0.12
        assert seen.broken == [] and {status for status, _ in seen.answers} == {200}
        assert 2 <= list(keyed.values()).count("2") <= 25
        assert all(grown[key] == "2" for key, had in keyed.items() if had == "2")
        assert list(grown.values()).count("2") > list(keyed.values()).count("2")
        assert worker.num_fds() <= files  # nothing was opened again for a version that was there already
        assert len(server.workers) == 1
        assert {version(server) for _ in range(20)} == {"2"}

    def test_a_key_comes_through_sagemaker_too_and_labels_name_the_sides(self, bench: Canaries) -> None:
        one, two = bench.publish_scale(2), bench.publish_scale(3)
        bench.deploy_canary(one, two, 0.5)
        server = bench.replica("a")
        bench.wait_canary("a", "serving", 1)
        for number in range(20):
            own = version(server, f"user-{number}")
            attributes = f"a=b,skylift-key=user-{number}"
            assert version(server, attributes, "X-Amzn-SageMaker-Custom-Attributes") == own
        for label, factor in (("stable", 2.0), ("canary", 3.0)):
            answer = server.ask("POST", f"/v1/models/scale/labels/{label}:predict", {"instances": [[1, 2, 3]]})
            assert answer.json()["predictions"][0][0] == factor
        states = server.ask("GET", "/v1/models/scale").json()["model_version_status"]
        assert [(one["version"], one["state"]) for one in states] == [("1", "AVAILABLE"), ("2", "AVAILABLE")]


@pytest.mark.slow
def test_a_version_that_both_deployments_name_is_in_memory_once(bench: Canaries) -> None:
    mib = 64
    one = canary_models.publish(bench, canary_models.heavy(mib, 2.0))
    two = canary_models.publish(bench, canary_models.heavy(mib, 3.0))
    bench.deploy_canary(one, two, 0.1)
    server = bench.replica("a")
    bench.wait_canary("a", "serving", 1)
    worker = psutil.Process(server.workers[0])
    before = worker.memory_info().rss
    for number, weight in enumerate((0.2, 0.3, 0.4, 0.5, 0.6), start=2):
        bench.deploy_canary(one, two, weight)
        bench.wait_canary("a", "serving", number)
    assert worker.memory_info().rss - before < mib * 2**20 / 2
    bench.deploy(two)
    wait_for(lambda: {version(server) for _ in range(3)} == {"2"})
    wait_for(lambda: worker.memory_info().rss < before - mib * 2**20 / 2, what="the memory of the version that is gone")


@pytest.mark.slow
def test_releases_in_every_order_at_any_moment_lose_no_request(bench: Canaries) -> None:
    """Canaries that come, grow, are vetoed, promoted or left while they are loaded still."""
    draw = random.Random(7)
    refs = [bench.publish_scale(2), canary_models.publish(bench, canary_models.heavy(64, 3)), bench.publish_scale(4)]
    made = bench.deploy(refs[0])
    server = bench.replica("a", "--workers", "2")
    with crowd(server, [[1, 2, 3]]) as seen:
        for _ in range(40):
            stable, canary = draw.sample(refs, 2)
            act = draw.choice(["plain", "canary", "grow", "veto"])
            if act == "plain":
                made = bench.deploy(stable)
            elif act == "grow" and made.canary is not None:
                made = bench.deploy_canary(made.model, made.canary.model, draw.random())
            elif act == "veto" and made.canary is not None:
                consent.veto(bench.keep, made, by="test", why="no")
            else:
                made = bench.deploy_canary(stable, canary, draw.random())
            enough = seen.answers.total() + draw.randint(100, 1500)
            wait_for(lambda enough=enough: seen.answers.total() > enough)
        last = bench.deploy_canary(refs[2], refs[0], 0.5)
        bench.wait_canary("a", "serving", last.number)
    assert seen.broken == [] and {status for status, _ in seen.answers} == {200}
    assert {version(server) for _ in range(40)} == {"1", "3"}
    assert server.events("internal_error") == [] and len(server.workers) == 2
    states = server.ask("GET", "/v1/models/scale").json()["model_version_status"]
    assert [one["version"] for one in states] == ["1", "3"]


def test_a_look_at_the_model_draws_no_lot(bench: Bench) -> None:
    """Descriptions are those of the version that is released, and take nothing from the canary's share."""
    stable, new = bench.publish_scale(2), bench.publish_scale(3)
    bench.deploy(stable)
    server = bench.start()
    server.wait_ready()
    endpoints.deploy(bench.keep, ENDPOINT, stable, by="test", canary=Canary(model=new, weight=0.5))
    wait_for(lambda: {server.predict(ROWS).headers["X-Skylift-Model-Version"] for _ in range(4)} == {"1", "2"})
    for _ in range(6):
        metadata = server.ask("GET", "/v1/models/scale/metadata").json()
        assert metadata["model_spec"]["version"] == "1"
        assert server.ask("GET", "/v2/models/scale").status == 200
    seen = [server.predict(ROWS).headers["X-Skylift-Model-Version"] for _ in range(20)]
    assert 9 <= seen.count("2") <= 11
