"""Deployments on a simulated Vertex AI that holds every body against Google's description of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.gcp import vertex_bodies as bodies
from infra.gcp import vertex_deployment
from infra.gcp.vertex_deployment import DeploymentProvider
from skylift.clouds import gcp, gcp_token
from skylift.errors import CredentialsError, ProvisionError, UnreachableError
from tests.infra.gcp.stacks import IMAGES, PROJECT, REGION
from tests.infra.gcp.vertex_server import Vertex, serving

ENDPOINT = f"projects/{PROJECT}/locations/{REGION}/endpoints/1234567890"
PROPS: dict[str, Any] = {
    "project": PROJECT,
    "region": REGION,
    "endpoint": ENDPOINT,
    "display_name": "skylift-dev-default",
    "image": IMAGES["serving"],
    "args": ["serve", "--port", "8080"],
    "env": {"SKYLIFT_STACK": "dev"},
    "port": 8080.0,
    "service_account": f"serving@{PROJECT}.iam.gserviceaccount.com",
    "machine": "g2-standard-4",
    "accelerator": "NVIDIA_L4",
    "accelerators": 1.0,
    "min_replicas": 1.0,
    "max_replicas": 3.0,
    "scale_at_cpu": 60.0,
    "request_seconds": 60.0,
    "dedicated": True,
    "labels": {"skylift-stack": "dev"},
    "key": "",
}
"""As they come through the engine, to which every number is a float."""

PROVIDER = DeploymentProvider()


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vertex]:
    with serving() as found:
        monkeypatch.setenv(vertex_deployment.URL, found.url)
        monkeypatch.setenv("GCE_METADATA_HOST", found.url.removeprefix("http://"))
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        monkeypatch.setattr(gcp.Client.__init__, "__kwdefaults__", {"pause": lambda seconds: None})
        gcp_token.forget()
        found.endpoints[ENDPOINT] = {"name": ENDPOINT, "deployedModels": [], "trafficSplit": {}}
        yield found
    gcp_token.forget()


def deployed(vertex: Vertex) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = vertex.endpoints[ENDPOINT]["deployedModels"]
    return found


def test_a_deployment_is_uploaded_deployed_and_has_all_traffic(vertex: Vertex) -> None:
    made = PROVIDER.create(PROPS)
    assert made.outs is not None
    assert made.id == f"{ENDPOINT}/deployedModels/{made.outs['deployed_id']}"
    (model,) = vertex.models.values()
    assert model["containerSpec"]["imageUri"] == IMAGES["serving"]
    assert model["containerSpec"]["healthRoute"] == "/readyz"
    (one,) = deployed(vertex)
    assert one["serviceAccount"] == PROPS["service_account"]
    resources = one["dedicatedResources"]
    assert resources["machineSpec"] == {
        "machineType": "g2-standard-4",
        "acceleratorType": "NVIDIA_L4",
        "acceleratorCount": 1,
    }
    assert (resources["minReplicaCount"], resources["maxReplicaCount"]) == (1, 3)
    assert vertex.endpoints[ENDPOINT]["trafficSplit"] == {one["id"]: 100}
    assert vertex.endpoints[ENDPOINT]["clientConnectionConfig"] == {"inferenceTimeout": "60s"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("image", "b"), ("machine", "n2-standard-4"), ("service_account", "x@y"), ("args", ["serve"]), ("env", {})],
)
def test_what_makes_another_deployment_is_deployed_new_before_old(vertex: Vertex, key: str, value: Any) -> None:
    old = PROVIDER.create(PROPS)
    changed = {**PROPS, key: value}
    found = PROVIDER.diff(str(old.id), dict(old.outs or {}), changed)
    assert found.changes and found.replaces == [key] and found.delete_before_replace is False
    new = PROVIDER.create(changed)
    assert len(deployed(vertex)) == 2
    assert vertex.endpoints[ENDPOINT]["trafficSplit"] == {(new.outs or {})["deployed_id"]: 100}
    PROVIDER.delete(str(old.id), dict(old.outs or {}))
    assert [one["id"] for one in deployed(vertex)] == [(new.outs or {})["deployed_id"]]
    assert list(vertex.models) == [(new.outs or {})["model"]]


def test_sizes_labels_and_time_change_in_place(vertex: Vertex) -> None:
    old = PROVIDER.create(PROPS)
    changed = {**PROPS, "max_replicas": 5.0, "labels": {"ttl": "7d"}, "request_seconds": 90.0}
    found = PROVIDER.diff(str(old.id), dict(old.outs or {}), changed)
    assert found.changes and not found.replaces
    PROVIDER.update(str(old.id), dict(old.outs or {}), changed)
    assert deployed(vertex)[0]["dedicatedResources"]["maxReplicaCount"] == 5
    assert next(iter(vertex.models.values()))["labels"] == {"ttl": "7d"}
    assert vertex.endpoints[ENDPOINT]["clientConnectionConfig"] == {"inferenceTimeout": "90s"}


def test_nothing_changed_is_no_change(vertex: Vertex) -> None:
    made = PROVIDER.create(PROPS)
    outputs = dict.fromkeys(vertex_deployment.OUTPUTS)
    assert not PROVIDER.diff(str(made.id), dict(made.outs or {}), {**PROPS, **outputs, "__provider": "x"}).changes


def test_delete_undeploys_before_it_removes_and_may_be_done_twice(vertex: Vertex) -> None:
    made = PROVIDER.create(PROPS)
    for _ in range(2):
        PROVIDER.delete(str(made.id), dict(made.outs or {}))
        assert not deployed(vertex) and not vertex.models
    del vertex.endpoints[ENDPOINT]
    PROVIDER.delete(str(made.id), dict(made.outs or {}))


def test_traffic_that_somebody_moved_does_not_hold_a_deployment(vertex: Vertex) -> None:
    old = PROVIDER.create(PROPS)
    new = PROVIDER.create({**PROPS, "image": "b"})
    first, second = (str((one.outs or {})["deployed_id"]) for one in (old, new))
    vertex.endpoints[ENDPOINT]["trafficSplit"] = {first: 100, second: 0}
    PROVIDER.delete(str(old.id), dict(old.outs or {}))
    assert vertex.endpoints[ENDPOINT]["trafficSplit"] == {second: 100}


def test_an_up_that_broke_off_is_picked_up(vertex: Vertex) -> None:
    first = PROVIDER.create(PROPS)
    second = PROVIDER.create(PROPS)
    assert first.id == second.id
    assert len(deployed(vertex)) == len(vertex.models) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": 8, "message": "The following quotas are exceeded: CustomModelServingL4GPUsPerProjectPerRegion"}, "accelerator: cpu"),
        ({"code": 8, "message": "The zone does not have enough resources available"}, "try later"),
        ({"code": 3, "message": "Model server never became ready"}, "log"),
    ],
)  # fmt: skip
def test_a_deployment_that_fails_leaves_no_model_behind(vertex: Vertex, error: dict[str, Any], said: str) -> None:
    vertex.failing["deployModel"] = error
    with pytest.raises(ProvisionError) as raised:
        PROVIDER.create(PROPS)
    assert said in str(raised.value)
    assert not vertex.models


def test_refresh_sees_what_others_did(vertex: Vertex) -> None:
    made = PROVIDER.create(PROPS)
    deployed(vertex)[0]["dedicatedResources"]["maxReplicaCount"] = 9
    seen = PROVIDER.read(str(made.id), dict(made.outs or {}))
    assert (seen.outs or {})["max_replicas"] == 9.0
    deployed(vertex).clear()
    assert PROVIDER.read(str(made.id), dict(made.outs or {})).id == ""


def test_a_private_endpoint_tells_its_address_and_takes_no_timeout(vertex: Vertex) -> None:
    vertex.endpoints[ENDPOINT]["privateServiceConnectConfig"] = {"pscAutomationConfigs": [{"ipAddress": "10.0.0.9"}]}
    made = PROVIDER.create({**PROPS, "dedicated": False})
    assert (made.outs or {})["address"] == "10.0.0.9"
    assert "clientConnectionConfig" not in vertex.endpoints[ENDPOINT]


def test_ids_are_what_google_takes() -> None:
    assert bodies.deployed_id(PROPS).isdigit() and len(bodies.deployed_id(PROPS)) == 10
    long = bodies.model_id({**PROPS, "display_name": "s" * 120})
    assert len(long) <= 63 and long[0].isalpha()


def test_bodies_that_google_would_refuse_are_seen(vertex: Vertex, monkeypatch: pytest.MonkeyPatch) -> None:
    good = bodies.deploy(PROPS, "m")
    good["deployedModel"]["dedicatedResources"]["machineSpec"]["acceleratorType"] = "NVIDIA_L5"
    monkeypatch.setattr(bodies, "deploy", lambda props, model: good)
    with pytest.raises(Exception, match="'NVIDIA_L5' is none of"):
        PROVIDER.create(PROPS)


# the client


def client(vertex: Vertex) -> gcp.Client:
    return gcp.Client(f"{vertex.url}/v1", PROJECT)


def test_what_may_pass_is_asked_again(vertex: Vertex) -> None:
    vertex.refusing = [503, 429, 500]
    assert client(vertex).get(ENDPOINT)["name"] == ENDPOINT
    assert len(vertex.asked) == 4


def test_a_server_that_stays_away_is_told_as_such(vertex: Vertex) -> None:
    vertex.refusing = [503] * 9
    with pytest.raises(UnreachableError, match="simulated refusal"):
        client(vertex).get(ENDPOINT)
    assert len(vertex.asked) == 5


def test_who_may_not_is_told_what_is_needed(vertex: Vertex) -> None:
    vertex.refusing = [403]
    with pytest.raises(CredentialsError) as raised:
        client(vertex).get(ENDPOINT)
    assert "skylift permissions" in raised.value.hint


def test_a_token_that_is_refused_is_asked_for_anew(vertex: Vertex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp_token, "_kept", {"None": ("an old one", 1e12)})
    assert client(vertex).get(ENDPOINT)["name"] == ENDPOINT


def test_an_operation_that_takes_too_long_says_that_it_goes_on(vertex: Vertex) -> None:
    with pytest.raises(UnreachableError, match="not done within") as raised:
        client(vertex).wait({"name": "operations/1", "done": False}, seconds=-1)
    assert "goes on at Google" in raised.value.hint


def test_keys_of_service_accounts_are_refused(vertex: Vertex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "private_key": "x"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    with pytest.raises(CredentialsError, match="holds the key of a service account"):
        gcp_token.token()


def test_a_token_of_ci_is_exchanged(vertex: Vertex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Federation: the simulated server answers its metadata route to the exchange as well."""
    subject, credentials = tmp_path / "oidc", tmp_path / "ci.json"
    subject.write_text("the token of CI")
    credentials.write_text(
        f'{{"type": "external_account", "audience": "a", "subject_token_type": "jwt", '
        f'"token_url": "{vertex.url}/computeMetadata/sts", "credential_source": {{"file": "{subject}"}}}}'
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
    asked: list[bytes] = []
    sent = gcp_token._request

    def watching(url: str, data: bytes | None = None, headers: Any = None) -> Any:
        asked.append(data or b"")
        # The simulated server reads JSON only; what is sent is looked at here.
        return sent(url, None, headers)

    monkeypatch.setattr(gcp_token, "_request", watching)
    assert gcp_token.token() == "simulated-token"
    assert b"subject_token=the+token+of+CI" in asked[0] and b"token-exchange" in asked[0]


def test_credentials_that_name_a_file_as_address_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    credentials = tmp_path / "odd.json"
    credentials.write_text(
        '{"type": "external_account", "audience": "a", "subject_token_type": "jwt", "token_url": "https://x", '
        '"credential_source": {"url": "file:///etc/passwd"}}'
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
    with pytest.raises(CredentialsError, match="no address to ask"):
        gcp_token.token()
