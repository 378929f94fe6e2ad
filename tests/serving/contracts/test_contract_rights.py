"""Who may ask by a service's routes, where the server keeps people out itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from skylift.artifacts import access, records
from tests.serving.conftest import Server
from tests.serving.contracts.services import Place

ROWS = {"instances": [[1, 2, 3]]}


@pytest.fixture(scope="module")
def tokens(shared_place: Place) -> dict[str, str]:
    document = access.empty()
    given = {}
    entries = []
    wanted: tuple[tuple[str, tuple[str, ...], tuple[access.Verb, ...]], ...] = (
        ("scale", ("scale",), ("predict", "metadata")),
        ("other", ("other",), ("predict", "metadata")),
        ("admin", (), ("admin",)),
    )
    for name, models, verbs in wanted:
        given[name], entry = access.new_key(document, name, models=models, verbs=verbs)
        entries.append(entry)
    raw = records.encode(msgspec.structs.replace(document, keys=tuple(entries)))
    (shared_place.folder / "access.json").write_bytes(raw)
    return given


@pytest.fixture(scope="module")
def server(shared_place: Place, tokens: dict[str, str]) -> Server:
    shared_place.publish("scale/1", "scale", 2)
    return shared_place.start(
        SKYLIFT_MOUNTED=str(shared_place.models / "scale"),
        SKYLIFT_MODELS_FOLDER=str(shared_place.models),
        SKYLIFT_API_KEYS=str(shared_place.folder / "access.json"),
        AIP_HTTP_PORT="8080",
        AIP_HEALTH_ROUTE="/own/health",
        AIP_PREDICT_ROUTE="/own/predict",
    )


@pytest.mark.parametrize("path", ["/ping", "/livez", "/own/health", "/v1/endpoints/1/deployedModels/2", "/readyz"])
def test_whoever_looks_after_a_replica_needs_no_key(server: Server, path: str) -> None:
    assert server.ask("GET", path).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/invocations",
        "/score",
        "/predict",
        "/own/predict",
        "/v1/endpoints/1/deployedModels/2:predict",
        "/models/scale/invoke",
    ],
)
def test_a_key_counts_for_the_model_that_is_meant(server: Server, tokens: dict[str, str], path: str) -> None:
    def ask(**headers: str) -> int:
        return server.ask("POST", path, ROWS, timeout=30.0, **headers).status

    assert ask() == 401
    assert ask(Authorization=f"Bearer {tokens['scale']}") == 200
    assert ask(Authorization=f"Bearer {tokens['other']}") == 403


def test_only_an_administrator_changes_models(server: Server, tokens: dict[str, str], tmp_path: Path) -> None:
    body = {"model_name": "scale", "url": "/nowhere"}
    for name, status in (("scale", 403), ("admin", 409)):
        key = f"Bearer {tokens[name]}"
        assert server.ask("POST", "/models", body, Authorization=key).status == status
    assert server.ask("DELETE", "/models/scale", Authorization=f"Bearer {tokens['scale']}").status == 403
    assert server.ask("GET", "/models/scale", Authorization=f"Bearer {tokens['scale']}").status == 200
