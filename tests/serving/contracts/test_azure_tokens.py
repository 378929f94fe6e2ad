"""Storage of Azure asked as an Azure ML container: a simulated identity endpoint and a simulated blob store.

The endpoint follows https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication and the version
2017-09-01 of App Service's; neither was held against Azure.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from serving.contracts.credentials import use_service_credentials
from skylift import store
from skylift.clouds import azure_storage
from skylift.errors import CredentialsError, SkyliftError
from skylift.store import open_store
from tests.serving.contracts.services import Place

SECRET = "0123-secret"


class SimulatedAzure:
    """Gives out tokens that last `seconds`, and blobs to whoever shows the newest."""

    def __init__(self) -> None:
        self.given: list[dict[str, list[str]]] = []
        self.shown: list[str] = []
        self.seconds = 3600
        self.is_refusing = False
        self.is_empty = False
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        if parts.path == "/msi/token":
            query = parse_qs(parts.query)
            if handler.headers["secret"] != SECRET or query["api-version"] != ["2017-09-01"] or self.is_refusing:
                self._send(handler, 401, b"{}")
                return
            self.given.append(query)
            until = str(int(time.time()) + self.seconds)
            token = {"access_token": f"token-{len(self.given)}", "expires_on": until, "token_type": "Bearer"}
            self._send(handler, 200, json.dumps(token).encode())
            return
        self.shown.append(handler.headers["Authorization"] or "")
        is_known = self.shown[-1] == f"Bearer token-{len(self.given)}"
        if is_known and self.is_empty:
            self._send(handler, 404, b"")
            return
        self._send(handler, 200 if is_known else 403, b"a blob" if is_known else b"")

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        handler.send_response(status)
        lines = {"Content-Length": str(len(body)), "ETag": '"1"', "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}
        for name, value in lines.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedAzure]:
    made = SimulatedAzure()
    for name in (*azure_storage._OTHER_WAYS, "IDENTITY_ENDPOINT", "DEFAULT_IDENTITY_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"{made.url}/account")
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    monkeypatch.setenv("MSI_ENDPOINT", f"{made.url}/msi/token")
    monkeypatch.setenv("MSI_SECRET", SECRET)
    monkeypatch.setenv("AZURE_CLIENT_ID", "the-identity")
    monkeypatch.setattr(store, "azure_credentials", store.azure_credentials)
    use_service_credentials()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_container_reads_as_its_identity(azure: SimulatedAzure) -> None:
    opened = open_store("az://account/keep")
    assert [opened.get(key).data for key in ("a", "b")] == [b"a blob"] * 2
    (asked,) = azure.given
    assert (asked["resource"], asked["clientid"]) == (["https://storage.azure.com/"], ["the-identity"])


def test_a_token_that_ends_is_replaced_by_the_next(azure: SimulatedAzure) -> None:
    azure.seconds = 60  # less than the time before the end at which another is asked for
    opened = open_store("az://account/keep")
    ends = time.monotonic() + 10
    while len(set(azure.shown)) < 2 and time.monotonic() < ends:  # asked for at most every 0.1 s
        assert opened.get("a").data == b"a blob"
    assert azure.shown[-1] == "Bearer token-2"


def test_without_an_identity_the_error_says_so_and_holds_no_secret(azure: SimulatedAzure) -> None:
    azure.is_refusing = True
    with pytest.raises(SkyliftError) as refused:
        open_store("az://account/keep").get("a")
    assert SECRET not in f"{refused.value} {refused.value.hint} {refused.value.details}"
    assert isinstance(refused.value, CredentialsError)


def test_other_ways_that_somebody_set_stay(azure: SimulatedAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"MSI_ENDPOINT": "http://127.0.0.1/x"}
    assert azure_storage.provider(environment) is not None
    assert azure_storage.provider({}) is None
    assert azure_storage.provider({**environment, "AZURE_STORAGE_SAS_KEY": "x"}) is None


def test_a_server_at_azure_ml_follows_its_endpoint_as_its_identity(azure: SimulatedAzure, place: Place) -> None:
    azure.is_empty = True
    given: Any = {
        "AZUREML_MODEL_DIR": str(place.models),
        "SKYLIFT_ENDPOINT": "az://account/keep/endpoints/default",
        "AZURE_STORAGE_ENDPOINT": f"{azure.url}/account",
        "AZURE_ALLOW_HTTP": "true",
        "MSI_ENDPOINT": f"{azure.url}/msi/token",
        "MSI_SECRET": SECRET,
    }
    server = place.start(**given)  # ready: it was told that nothing is deployed
    assert set(azure.shown) == {"Bearer token-1"}
    assert server.ask("POST", "/score", {"instances": [[1]]}).json()["code"] == "no_deployment"
    assert SECRET not in server.log.read_text()
