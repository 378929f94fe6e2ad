"""A simulated Vertex AI: the few REST calls that a stack makes itself, upon the endpoints of a simulated cloud.

Enough of the service to hold a stack to its rules: an endpoint with deployed models cannot be deleted, a model that is deployed cannot,
a deployed model with traffic cannot be undeployed, and identifiers are given once. Also gives out tokens, as the metadata server does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.clouds.cloud import SimulatedCloud
from tests.clouds.relations import Stored

ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"


class RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Vertex:
    """Models of a project, and what is deployed on its endpoints."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.cloud = cloud
        self.models: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        """Methods and paths of everything that changes something, in order."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        path = path.partition("?")[0].strip("/").removeprefix("v1/")
        if path.startswith("computeMetadata"):
            return {"access_token": "simulated", "expires_in": 3600}
        with self.cloud.lock:
            if method != "GET":
                self.calls.append(f"{method} {path}")
            name, _, action = path.partition(":")
            if "/models" in name:
                return self._model(method, name, action, body)
            return self._on_endpoint(method, name, action, body)

    def _model(self, method: str, name: str, action: str, body: dict[str, Any]) -> dict[str, Any]:
        if action == "upload":
            path = f"{name}/{body['modelId']}"
            if path in self.models:
                raise RefusedError(409, f"Model {path} already exists")
            self.models[path] = body["model"]
            return _done({"model": path, "modelVersionId": "1"})
        if name not in self.models:
            raise RefusedError(404, f"Model {name} is not found")
        if method == "PATCH":
            return {**self.models[name], **body}
        if method == "DELETE":
            if any(one["model"] == name for endpoint in self._endpoints() for one in deployed(endpoint)):
                raise RefusedError(400, f"Model {name} is deployed and cannot be deleted")
            del self.models[name]
            return _done({})
        return self.models[name]

    def _on_endpoint(self, method: str, name: str, action: str, body: dict[str, Any]) -> dict[str, Any]:
        endpoint = next((one for one in self._endpoints() if one.id == name), None)
        if endpoint is None:
            raise RefusedError(404, f"Endpoint {name} is not found")
        match action:
            case "deployModel":
                return self._deploy(endpoint, body)
            case "undeployModel":
                return self._undeploy(endpoint, body)
            case "mutateDeployedModel":
                found = _found(endpoint, body["deployedModel"]["id"])
                found["dedicatedResources"] = {
                    **found["dedicatedResources"],
                    **body["deployedModel"]["dedicatedResources"],
                }
                return _done({"deployedModel": found})
            case _:
                if method == "PATCH":
                    endpoint.extra |= body
                return {"name": name, **endpoint.extra, "deployedModels": deployed(endpoint)}

    def _deploy(self, endpoint: Stored, body: dict[str, Any]) -> dict[str, Any]:
        wanted = body["deployedModel"]
        if wanted["model"] not in self.models:
            raise RefusedError(404, f"Model {wanted['model']} is not found")
        if any(one["id"] == wanted["id"] for one in deployed(endpoint)):
            raise RefusedError(409, f"DeployedModel {wanted['id']} already exists")
        endpoint.extra["deployedModels"] = [*deployed(endpoint), dict(wanted)]
        split = body.get("trafficSplit") or {}
        endpoint.extra["trafficSplit"] = {wanted["id"] if one == "0" else one: share for one, share in split.items()}
        endpoint.is_filled = True
        return _done({"deployedModel": wanted})

    def _undeploy(self, endpoint: Stored, body: dict[str, Any]) -> dict[str, Any]:
        found = _found(endpoint, body["deployedModelId"])
        rest = [one for one in deployed(endpoint) if one is not found]
        split = body.get("trafficSplit", endpoint.extra.get("trafficSplit") or {})
        if rest and (split.get(found["id"]) or sum(split.values()) != 100):
            raise RefusedError(400, f"the traffic split must add up to 100 without {found['id']}: {split}")
        endpoint.extra |= {"deployedModels": rest, "trafficSplit": split if rest else {}}
        endpoint.is_filled = bool(rest)
        return _done({})

    def _endpoints(self) -> list[Stored]:
        return self.cloud.of(ENDPOINT)


def deployed(endpoint: Stored) -> list[dict[str, Any]]:
    return list(endpoint.extra.get("deployedModels") or [])


def _found(endpoint: Stored, identifier: str) -> dict[str, Any]:
    found = next((one for one in deployed(endpoint) if one["id"] == identifier), None)
    if found is None:
        raise RefusedError(404, f"DeployedModel {identifier} is not found")
    return found


def _done(response: dict[str, Any]) -> dict[str, Any]:
    """A long operation that is over at once: nothing here waits on the clock."""
    return {"name": "operations/simulated", "done": True, "response": response}


@contextmanager
def serve(cloud: SimulatedCloud) -> Iterator[tuple[Vertex, dict[str, str]]]:
    """Run it on a port of this machine; gives it and the variables that lead a stack to it."""
    vertex = Vertex(cloud)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}") if length else {}
            try:
                status, told = 200, vertex.answer(self.command, self.path, body)
            except RefusedError as error:
                status, told = error.status, {"error": {"code": error.status, "message": f"simulated: {error}"}}
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: Any) -> None:
            """Nothing to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"127.0.0.1:{server.server_address[1]}"
    try:
        yield (
            vertex,
            {"SKYLIFT_VERTEX_URL": f"http://{address}", "GCE_METADATA_HOST": address, "CLOUDSDK_CONFIG": "/nowhere"},
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
