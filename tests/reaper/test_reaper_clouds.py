"""The three functions against simulated clouds, and the archives that are uploaded."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.boot.spec import Cloud
from infra.reaper import ACTIONS, ENTRY, ENVIRONMENT, files
from infra.reaper.function import aws, azure, gcp, rest
from infra.reaper.function.core import ReaperError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATE = {"skylift-stack": "prod", "skylift-run": "20261122t234501-3f9a0c", "skylift-end": "20261123t000000z"}
OTHERS = {**LATE, "skylift-stack": "dev"}
YOUNG = {**LATE, "skylift-end": "20261124t000000z"}


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the components tell the functions."""
    given = {
        "SKYLIFT_STACK": "prod",
        "SKYLIFT_PROJECT": "acct",
        "SKYLIFT_SUBSCRIPTION": "sub",
        "SKYLIFT_RESOURCE_GROUP": "runs",
    }
    for name, value in {**given, "AZURE_CLIENT_ID": "client", "IDENTITY_HEADER": "secret"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rest, "PAUSE", 0.0)


# AWS


class AutoScaling:
    """Simulated client of `autoscaling`. Takes the parameters of API_DescribeAutoScalingGroups and API_DeleteAutoScalingGroup only."""

    def __init__(self, groups: dict[str, dict[str, str]], denied: tuple[str, ...] = ()) -> None:
        self.groups, self.denied = groups, denied
        self.gone: list[str] = []

    def get_paginator(self, name: str) -> AutoScaling:
        assert name == "describe_auto_scaling_groups"
        return self

    def paginate(self, *, Filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:  # noqa: N803
        for name, tags in self.groups.items():
            if all(tags.get(one["Name"].removeprefix("tag:")) in one["Values"] for one in Filters):
                told = [
                    {"Key": key, "Value": value, "ResourceId": name, "PropagateAtLaunch": True}
                    for key, value in tags.items()
                ]
                born = NOW - timedelta(hours=30)
                yield {
                    "AutoScalingGroups": [{"AutoScalingGroupName": name, "Tags": told, "CreatedTime": born}]
                }  # a page each

    def delete_auto_scaling_group(self, *, AutoScalingGroupName: str, ForceDelete: bool) -> None:  # noqa: N803
        assert ForceDelete  # else a group with machines in it is refused
        if AutoScalingGroupName in self.denied:
            raise PermissionError("AccessDenied")
        self.gone.append(AutoScalingGroupName)


def test_aws_removes_what_is_late_over_all_pages() -> None:
    client = AutoScaling({"a": LATE, "b": OTHERS, "c": YOUNG, "d": LATE, "serve": {"skylift-stack": "prod"}})
    assert aws.run(client, NOW) == {"removed": ["a", "d"]}
    assert client.gone == ["a", "d"]


def test_aws_goes_on_past_a_refusal_and_fails_at_the_end() -> None:
    client = AutoScaling({"a": LATE, "b": LATE}, denied=("a",))
    with pytest.raises(ReaperError, match="a: PermissionError: AccessDenied"):
        aws.run(client, NOW)
    assert client.gone == ["b"]


def test_aws_leaves_a_group_that_is_going_already() -> None:
    client = AutoScaling({"a": LATE})
    pages = list(client.paginate(Filters=[]))
    pages[0]["AutoScalingGroups"][0]["Status"] = "Delete in progress"
    client.paginate = lambda **_: iter(pages)  # type: ignore[method-assign]
    assert aws.run(client, NOW) == {"removed": []}


def test_aws_tells_of_a_group_without_an_end() -> None:
    client = AutoScaling({"a": {key: value for key, value in LATE.items() if key != "skylift-end"}})
    with pytest.raises(ReaperError, match="a: it has no tag skylift-end"):
        aws.run(client, NOW)
    assert not client.gone


# Google and Azure

Answer = tuple[int, Any]


@pytest.fixture
def cloud() -> Iterator[
    tuple[str, dict[str, Callable[[dict[str, str]], Answer]], list[tuple[str, str, dict[str, str]]]]
]:
    """Address, answers by method and path (called with the query), and what was asked."""
    answers: dict[str, Callable[[dict[str, str]], Answer]] = {}
    asked: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            asked.append((self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            status, found = answers.get(f"{self.command} {parts.path}", lambda _: (404, {"error": "notFound"}))(query)
            body = json.dumps(found).encode() if found is not None else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = _answer  # noqa: N815  # names that http.server looks for

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", answers, asked
    server.shutdown()
    server.server_close()


def manager(name: str, labels: dict[str, str]) -> dict[str, Any]:
    instances = {"properties": {"labels": labels, "metadata": {"skylift-run": "x"}}}
    return {"name": name, "creationTimestamp": "2026-11-22T02:00:00.000-08:00", "allInstancesConfig": instances}


def removed(asked: list[tuple[str, str, dict[str, str]]]) -> list[str]:
    return [urlsplit(path).path for method, path, _ in asked if method == "DELETE"]


def google(answers: dict[str, Callable[[dict[str, str]], Answer]], last: dict[str, Any] | None = None) -> None:
    """Two pages, a zone's and a region's groups."""
    first = {
        "regions/us-central1": {"instanceGroupManagers": [manager("a", LATE), manager("b", OTHERS), {"name": "bare"}]}
    }
    second = {
        "zones/us-central1-a": {"instanceGroupManagers": [manager("c", LATE), manager("d", YOUNG)]},
        "regions/x": {"warning": {}},
    }
    pages = {"": {"items": first, "nextPageToken": "two+"}, "two+": {"items": second, **(last or {})}}
    answers["GET /instance/service-accounts/default/token"] = lambda _: (200, {"access_token": "TOKEN"})
    answers["GET /projects/acct/aggregated/instanceGroupManagers"] = lambda query: (
        200,
        pages[query.get("pageToken", "")],
    )
    for name in ("regions/us-central1/instanceGroupManagers/a", "zones/us-central1-a/instanceGroupManagers/c"):
        answers[f"DELETE /projects/acct/{name}"] = lambda _: (200, {"status": "PENDING"})


def test_google_removes_what_is_late_in_zones_and_regions(cloud: Any) -> None:
    url, answers, asked = cloud
    google(answers)
    expected = ["regions/us-central1/instanceGroupManagers/a", "zones/us-central1-a/instanceGroupManagers/c"]
    assert gcp.run(NOW, compute=url, metadata=url) == expected
    assert removed(asked) == [f"/projects/acct/{name}" for name in expected]
    assert all(headers.get("authorization") == "Bearer TOKEN" for _, _, headers in asked[1:])
    assert asked[0][2]["metadata-flavor"] == "Google"


@pytest.mark.parametrize(("status", "text"), [(404, "notFound"), (400, "resourceNotReady")])
def test_google_takes_what_is_gone_or_going_for_removed(cloud: Any, status: int, text: str) -> None:
    url, answers, _ = cloud
    google(answers)
    answers["DELETE /projects/acct/regions/us-central1/instanceGroupManagers/a"] = lambda _: (status, {"error": text})
    assert len(gcp.run(NOW, compute=url, metadata=url)) == 2


def test_google_goes_on_past_a_refusal_and_an_unreachable_zone(cloud: Any) -> None:
    url, answers, asked = cloud
    google(answers, {"unreachables": ["zones/us-central1-b"]})
    answers["DELETE /projects/acct/regions/us-central1/instanceGroupManagers/a"] = lambda _: (
        403,
        {"error": "forbidden"},
    )
    with pytest.raises(ReaperError, match=r"us-central1-b.*a: RestError: HTTP 403"):
        gcp.run(NOW, compute=url, metadata=url)
    assert removed(asked)[-1] == "/projects/acct/zones/us-central1-a/instanceGroupManagers/c"


def test_an_overloaded_cloud_is_asked_again_and_not_for_ever(cloud: Any) -> None:
    url, answers, asked = cloud
    google(answers)
    answered = iter([(503, {}), (429, {}), (200, {})])
    answers["DELETE /projects/acct/regions/us-central1/instanceGroupManagers/a"] = lambda _: next(answered)
    assert len(gcp.run(NOW, compute=url, metadata=url)) == 2
    answers["DELETE /projects/acct/regions/us-central1/instanceGroupManagers/a"] = lambda _: (503, {})
    before = len(removed(asked))
    with pytest.raises(ReaperError, match="HTTP 503"):
        gcp.run(NOW, compute=url, metadata=url)
    assert len(removed(asked)) - before == 3 + 1


SETS = "/subscriptions/sub/resourceGroups/runs/providers/Microsoft.Compute/virtualMachineScaleSets"


def scale_set(name: str, tags: dict[str, str] | None, state: str = "Succeeded") -> dict[str, Any]:
    return {
        "id": f"{SETS}/{name}",
        "tags": tags,
        "properties": {"provisioningState": state, "timeCreated": "2026-11-22T02:00:00.1234567+00:00"},
    }


def azures(url: str, answers: dict[str, Callable[[dict[str, str]], Answer]], elsewhere: str = "") -> None:
    pages = {
        "": {"value": [scale_set("a", LATE), scale_set("b", OTHERS), scale_set("going", LATE, "Deleting")]},
        "2": {"value": [scale_set("c", LATE), scale_set("d", YOUNG), scale_set("bare", None)]},
    }
    pages[""]["nextLink"] = (elsewhere or url) + f"{SETS}?api-version=2024-07-01&page=2"  # type: ignore[assignment]
    answers["GET /token"] = lambda query: (200, {"access_token": "TOKEN-" + query["client_id"] + query["resource"]})
    answers[f"GET {SETS}"] = lambda query: (200, pages[query.get("page", "")])
    for name in "ac":
        answers[f"DELETE {SETS}/{name}"] = lambda query: (202, None) if query["forceDeletion"] == "true" else (400, {})


def test_azure_removes_what_is_late_over_all_pages(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, answers, asked = cloud
    azures(url, answers)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/token")
    assert azure.run(NOW, arm=url) == [f"{SETS}/a", f"{SETS}/c"]
    assert removed(asked) == [f"{SETS}/a", f"{SETS}/c"]
    assert asked[0][2]["x-identity-header"] == "secret"
    assert asked[1][2]["authorization"] == "Bearer TOKEN-clienthttps://management.azure.com/"


def test_azure_gives_its_token_to_no_other_server(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, answers, asked = cloud
    azures(url, answers, elsewhere="http://127.0.0.2:1")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/token")
    with pytest.raises(ReaperError, match="another server"):
        azure.run(NOW, arm=url)
    assert removed(asked) == [f"{SETS}/a"]  # what was told before is done


def test_azure_goes_on_past_a_refusal(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, answers, asked = cloud
    azures(url, answers)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/token")
    answers[f"DELETE {SETS}/a"] = lambda _: (409, {"error": "locked"})
    with pytest.raises(ReaperError, match="HTTP 409"):
        azure.run(NOW, arm=url)
    assert removed(asked)[-1] == f"{SETS}/c"


# What is uploaded

STANDINS = {
    "aws": "import sys, types\nsys.modules['boto3'] = types.SimpleNamespace(client=lambda name: None)\n",
    "gcp": "",
    "azure": """
import sys, types
azure, functions = types.ModuleType('azure'), types.ModuleType('azure.functions')
class App:
    def timer_trigger(self, *, schedule, arg_name, run_on_startup):
        assert len(schedule.split()) == 6
        return lambda function: function
functions.FunctionApp, functions.TimerRequest, azure.functions = App, object, functions
sys.modules.update({'azure': azure, 'azure.functions': functions})
""",
}
ENTERED = {
    "aws": "import reaper.aws as m; m.handler",
    "gcp": "import main as m; m.handler",
    "azure": "import function_app as m; m.reap, m.app",
}


@pytest.mark.parametrize("name", ["aws", "gcp", "azure"])
def test_the_archive_imports_with_nothing_of_ours_beside_it(name: Cloud, tmp_path: Path) -> None:
    for path, content in files(name).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    program = f"{STANDINS[name]}\nimport sys\nsys.path.insert(0, {str(tmp_path)!r})\n{ENTERED[name]}\nassert 'skylift' not in sys.modules"
    done = subprocess.run([sys.executable, "-I", "-S", "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert files(name) == files(name)
    used = "".join(files(name).values())
    assert all(variable in used for variable in ENVIRONMENT[name])
    assert ENTRY[name].split(".")[-1] in {"handler", "py"}


def test_each_action_is_exact_and_says_where_it_is_documented() -> None:
    for grants in ACTIONS.values():
        assert grants
        for grant in grants:
            assert not [action for action in grant.actions if "*" in action]
            assert grant.source.startswith("https://") and grant.why
    (find, remove) = ACTIONS["aws"]
    assert find.actions == ("autoscaling:DescribeAutoScalingGroups",)
    assert remove.condition == {"StringEquals": {"aws:ResourceTag/skylift-stack": "{stack}"}}
