"""deploy --canary, promote, veto, approve, deployments, status: from the command line, against a real server."""

from __future__ import annotations

import msgspec
import pytest

from tests.client.conftest import StackBench
from tests.serving.canary import canary_models
from tests.serving.canary.conftest import crowd
from tests.serving.conftest import ENDPOINT


@pytest.fixture
def bench(tmp_path, monkeypatch):
    made = StackBench(tmp_path)
    monkeypatch.setattr("skylift.client.Stack", lambda *_, **__: made.stack)
    yield made
    for server in made.servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


@pytest.fixture
def served(bench):
    server = bench.serve()
    bench.publish_scale(2)
    bench.stack.deploy("scale:1")
    bench.publish_scale(3)
    return server


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deploy"], "name a MODEL, or with --weight"),
        (["deploy", "m", "--canary", "10"], "'10' is not from 0 to below 1; write 10% or 0.1"),
        (["deploy", "m", "--canary", "100%"], "'100%' is not from 0 to below 1"),
        (["deploy", "m", "--canary", "-1%"], "'-1%' is not from 0 to below 1"),
        (["deploy", "m", "--canary", "nan"], "'nan' is not from 0 to below 1"),
        (["deploy", "m", "--canary", "some"], "'some' is no share"),
        (["deploy", "m", "--weight", "10%"], "with a MODEL say --canary"),
        (["deploy", "m", "--watch"], "add --canary 10%"),
        (["deploy", "m", "--limit", "errors=1"], "add --canary 10%"),
        (["deploy", "m", "--canary", "1%", "--limit", "speed=1"], "'speed' is no limit; there is requests, errors"),
        (["deploy", "m", "--canary", "1%", "--limit", "p99"], "p99='' is no number"),
        (["deploy", "m", "--canary", "1%", "--limit", "requests=1.5"], "requests=1.5 is out of range"),
        (["deploy", "m", "--canary", "1%", "--for", "long"], "'long' is no time; write 90s, 10m or 2h"),
        (["veto"], "Missing option '--why'"),
        (["approve", "default", "x"], "'x' is no deployment's number"),
        (["promote", "one", "-e", "other"], "two endpoints are named: one and other"),
        (["promote"], "pass --yes"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(skylift, bench, arguments, said):
    ended = skylift(*arguments)
    if arguments != ["promote"]:
        assert ended.code == 2
        assert said in " ".join(ended.err.replace("│", " ").split())
    else:
        assert ended.code == 4 and "has no canary" in ended.err


def test_from_a_share_to_all(skylift, bench, served):
    begun = skylift("deploy", "scale:2", "--canary", "10%", "--limit", "errors=2%", "--limit", "requests=30")
    assert begun.code == 0
    assert "scale:2 answers 10% of the requests" in begun.out and "skylift promote" in begun.out
    more = skylift("deploy", "--weight", "50%", "--json")
    assert more.document["canary"]["weight"] == 0.5
    assert more.document["canary"]["judge"]["errors"] == 0.02 and more.document["canary"]["judge"]["requests"] == 30
    shown = skylift("status")
    assert "Canary of default (on 1 of 1 replicas)" in shown.out and "50% canary" in shown.out
    assert skylift("status", "--json").document["endpoints"][0]["canary"]["model"] == "scale:2"
    asked = skylift("promote")
    assert asked.code == 2 and "--yes" in asked.err
    done = skylift("promote", "--yes", "--why", "it is good")
    assert done.code == 0 and "scale:2 answers at" in done.out
    listed = skylift("deployments", "--json").document
    assert listed["current"] == 4
    assert [one["why"] for one in listed["deployments"]] == ["it is good", "", "", ""]
    assert "2 with 50%" in skylift("deployments").out


def test_a_veto_ends_it_and_everybody_is_told(skylift, bench, served):
    assert skylift("deploy", "scale:2", "--canary", "0.5").code == 0
    ended = skylift("veto", ENDPOINT, "--why", "it is rude")
    assert ended.code == 0 and "scale:2 is vetoed" in ended.out
    assert "vetoed: it is rude" in skylift("status").out
    assert "it is rude" in skylift("deployments").out
    refused = skylift("promote", "--yes", "--json")
    assert refused.code == 10 and refused.document["error"]["details"]["why"] == "it is rude"
    back = skylift("rollback", "--yes")
    assert back.code == 0 and "scale:1 answers" in back.out
    assert skylift("veto", "--why", "x").code == 4


def test_who_watches_is_told_of_the_veto_by_the_exit_code(skylift, bench, served):
    canary_models.publish(bench, canary_models.breaks_above(100))
    with crowd(served, [[1, 2, 300]]):
        ended = skylift("deploy", "scale:3", "--canary", "50%", "--limit", "requests=20", "--watch")
    assert ended.code == 10
    assert "scale:3 was vetoed" in ended.err and "end in an error" in ended.err
    assert "50% canary" in ended.out


def test_who_watches_for_a_while_gets_a_report(skylift, bench, served):
    ended = skylift("deploy", "scale:2", "--canary", "50%", "--for", "1s", "--json")
    assert ended.code == 0
    assert ended.document["deployment"]["canary"]["weight"] == 0.5
    assert ended.document["canary"]["vetoed"] == "" and ended.document["canary"]["serving"] == 1
    again = skylift("deploy", "scale:2", "--canary", "50%", "--for", "0")
    assert again.code == 0 and "scale:1" in again.out and "p99 ms" not in again.err


def test_an_approval_is_asked_for_and_given(skylift, bench, monkeypatch):
    bench.publish_scale(2)
    server = bench.serve("--approval")
    outputs = bench.stack.__dict__["outputs"]
    asking = msgspec.structs.replace(outputs.endpoints[ENDPOINT], approval=True)
    bench.stack.__dict__["outputs"] = msgspec.structs.replace(outputs, endpoints={ENDPOINT: asking})
    waiting = skylift("deploy", "scale:1")
    assert waiting.code == 0
    assert "scale:1 will answer at" in waiting.out and "skylift approve default 1" in waiting.out
    bench.wait_report(lambda report: report.waiting == "approval")
    assert "deployment 1 waits for approval" in skylift("status").out
    assert "none" in skylift("deployments").out
    own = skylift("approve", "1", "--json")
    assert own.code == 7 and own.document["error"]["kind"] == "credentials"
    monkeypatch.setattr("skylift.client.stack.who", lambda: "boss@elsewhere")
    given = skylift("approve", ENDPOINT, "1", "--why", "tested")
    assert given.code == 0 and "deployment 1 of endpoint default is approved" in given.out
    assert server.predict([[1, 2, 3]]).status == 200
    assert "boss@elsewhere" in skylift("deployments").out


def test_an_approval_that_nobody_asked_for_says_so(skylift, bench, served):
    ended = skylift("approve")
    assert ended.code == 0 and "does not ask for approval" in ended.out


def test_endpoints_are_completed(bench, served):
    import click

    from skylift.cli import cli
    from skylift.cli._group import App
    from skylift.cli._options import complete_endpoints

    context = click.Context(cli, obj=App())
    assert [one.value for one in complete_endpoints(context, click.Argument(["named"]), "de")] == [ENDPOINT]
