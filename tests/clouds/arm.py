"""A simulated resource manager of Azure: what a stack asks it by itself, upon a simulated cloud. Read-only; shapes as the REST reference
shows them, not checked against a cloud."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from skylift.catalog.tables import table
from tests.clouds.cloud import SimulatedCloud

TOKEN = "simulated-token"
ACCOUNT, CONTAINER = "azure-native:storage:StorageAccount", "azure-native:storage:BlobContainer"
REGISTRY = "azure-native:containerregistry:Registry"
LISTED = {
    "Microsoft.Storage/storageAccounts": ACCOUNT,
    "Microsoft.ContainerRegistry/registries": REGISTRY,
    "Microsoft.KeyVault/vaults": "azure-native:keyvault:Vault",
}


class Arm:
    """Attributes:
    status: of every answer, where a test wants another one than 200.
    pages: whether lists come in pages of one.
    asked: paths, in order.
    """

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.cloud = cloud
        self.status = 200
        self.pages = False
        self.asked: list[str] = []
        self.base = ""

    def answer(self, target: str, token: str) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        self.asked.append(parts.path)
        if token != f"Bearer {TOKEN}":
            return 401, _error("AuthenticationFailed", "Authentication failed.")
        if self.status != 200:
            return self.status, _error("AuthorizationFailed", "simulated: the client does not have authorization")
        if not query.get("api-version"):
            return 400, _error("MissingApiVersionParameter", "The api-version query parameter is required")
        with self.cloud.lock:
            found = self._found(parts.path)
        if found is None:
            return 404, _error("ResourceNotFound", f"simulated: {parts.path} was not found")
        return 200, self._paged(found, parts.path, query) if isinstance(found, list) else found

    def _found(self, path: str) -> list[dict[str, Any]] | dict[str, Any] | None:
        root = f"/subscriptions/{self.cloud.world.subscription}/providers/"
        if path.startswith(root) and path.endswith("/usages"):
            return self._usages("managed" if "MachineLearning" in path else "vm")
        if path.removeprefix(root) in LISTED:
            return [self._shown(one) for one in self.cloud.of(LISTED[path.removeprefix(root)])]
        return next((self._shown(one) for one in self.cloud.of(CONTAINER) if one.id == path), None)

    def _usages(self, service: str) -> list[dict[str, Any]]:
        rows = [row for row in table("quotas") if (row["cloud"], row["service"]) == ("azure", service)]
        return [
            {
                "unit": "Count",
                "currentValue": 0,
                "limit": int(self.cloud.quota.get(row["code"], 1000)),
                "name": {"value": row["code"], "localizedValue": row["name"]},
            }
            for row in rows
        ]

    def _shown(self, stored: Any) -> dict[str, Any]:
        name = stored.id.rpartition("/")[2]
        shown: dict[str, Any] = {"id": stored.id, "name": name, "location": stored.outputs.get("location", "eastus")}
        if stored.token == REGISTRY:
            shown["properties"] = {"loginServer": f"{name.lower()}.azurecr.io"}
        return shown

    def _paged(self, found: list[dict[str, Any]], path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        if not self.pages:
            return {"value": found}
        at = int(query.get("skip", ["0"])[0])
        more = {"nextLink": f"{self.base}{path}?api-version=1&skip={at + 1}"} if at + 1 < len(found) else {}
        return {"value": found[at : at + 1], **more}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


@contextmanager
def serve(cloud: SimulatedCloud) -> Iterator[tuple[Arm, dict[str, str]]]:
    """Run it on a port of this machine; gives it and the variables that lead a stack to it."""
    arm = Arm(cloud)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, told = arm.answer(self.path, self.headers.get("Authorization", ""))
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nothing to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    arm.base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield arm, {"SKYLIFT_ARM_URL": arm.base}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
