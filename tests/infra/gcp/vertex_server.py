"""A small Vertex AI on this machine. It refuses what Google's own description of the interface does not have. Simulated."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parent / "aiplatform_v1.json").read_text())["schemas"]
TOKEN = "simulated-token"


def wrong(body: Any, schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """What of a body the description does not allow."""
    if "ref" in schema:
        known: dict[str, Any] = SCHEMAS.get(schema["ref"], {})
        for key, value in body.items() if known else ():
            if key not in known:
                yield f"{at}.{key}: no such field of {schema['ref']}"
            elif known[key].get("readOnly"):
                yield f"{at}.{key}: only read"
            else:
                yield from wrong(value, known[key], f"{at}.{key}")
        return
    kinds: dict[str, Any] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if not isinstance(body, kinds[schema["type"]]):
        yield f"{at}: {body!r} is no {schema['type']}"
    elif "enum" in schema and body not in schema["enum"]:
        yield f"{at}: {body!r} is none of {schema['enum']}"
    elif schema["type"] == "array":
        for number, one in enumerate(body):
            yield from wrong(one, schema["items"], f"{at}[{number}]")
    elif schema["type"] == "object" and "values" in schema:
        for key, one in body.items():
            yield from wrong(one, schema["values"], f"{at}.{key}")


class Vertex:
    """What is uploaded and deployed, and every request.

    Attributes:
        failing: method (`deployModel`) -> the error that its operation ends with.
        refusing: statuses that the next requests get, in order.
    """

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.failing: dict[str, dict[str, Any]] = {}
        self.refusing: list[int] = []
        self.url = ""

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        self.asked.append((method, path))
        if self.refusing:
            return self.refusing.pop(0), {"error": {"message": "simulated refusal"}}
        name, _, query = path.removeprefix("/v1/").partition("?")
        name, _, verb = name.partition(":")
        if method == "GET":
            found = self.operations.get(name) or self.endpoints.get(name) or self.models.get(name)
            return (200, found) if found is not None else (404, {"error": {"message": f"{name} not found"}})
        if method == "PATCH":
            return self._patch(name, query, body or {})
        if method == "DELETE":
            if self.models.pop(name, None) is None:
                return 404, {"error": {"message": f"{name} not found"}}
            return 200, self._operation({})
        return self._post(name, verb, body or {})

    def _patch(self, name: str, query: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        kind = "Endpoint" if "/endpoints/" in name else "Model"
        thing = (self.endpoints if kind == "Endpoint" else self.models)[name]
        problems = list(wrong(body, {"ref": kind}))
        if problems or set(query.removeprefix("updateMask=").split(",")) != set(body):
            return 400, {"error": {"message": f"{problems} {query}"}}
        thing.update(body)
        return 200, thing

    def _post(self, name: str, verb: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        request = {"upload": "UploadModelRequest"}.get(verb, f"{verb[:1].upper()}{verb[1:]}Request")
        problems = list(wrong(body, {"ref": request}))
        if problems:
            return 400, {"error": {"message": "; ".join(problems)}}
        if verb in self.failing:
            return 200, self._operation(error=self.failing[verb])
        status, told = getattr(self, f"_{verb}")(name, body)
        return status, self._operation(told) if status == 200 else told

    def _operation(self, response: dict[str, Any] | None = None, error: dict[str, Any] | None = None) -> dict[str, Any]:
        """Not done when it is handed out, done at the first look."""
        name = f"operations/{len(self.operations)}"
        self.operations[name] = {"name": name, "done": True} | ({"error": error} if error else {"response": response})
        return {"name": name}

    def _upload(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        model = f"{name.removesuffix('/models')}/models/{body['modelId']}"
        if model in self.models:
            return 409, {"error": {"message": "already exists"}}
        self.models[model] = body["model"]
        return 200, {"model": model}

    def _deployModel(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        endpoint, deployed = self.endpoints[name], body["deployedModel"]
        if sum(body["trafficSplit"].values()) != 100:
            return 400, {"error": {"message": "traffic must add up to 100"}}
        endpoint["deployedModels"].append(deployed)
        endpoint["trafficSplit"] = {
            deployed["id"] if key == "0" else key: share for key, share in body["trafficSplit"].items()
        }
        return 200, {"deployedModel": deployed}

    def _undeployModel(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        endpoint, identifier = self.endpoints[name], body["deployedModelId"]
        split = body.get("trafficSplit", endpoint["trafficSplit"])
        rest = [one for one in endpoint["deployedModels"] if one["id"] != identifier]
        if rest and split.get(identifier):
            return 400, {"error": {"message": "it has traffic"}}
        endpoint["deployedModels"], endpoint["trafficSplit"] = rest, split if rest else {}
        return 200, {}

    def _mutateDeployedModel(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        wanted = body["deployedModel"]
        deployed = next(one for one in self.endpoints[name]["deployedModels"] if one["id"] == wanted["id"])
        for path in body["updateMask"].split(","):
            _, field = path.split(".")
            deployed["dedicatedResources"][field] = wanted["dedicatedResources"][field]
        return 200, {"deployedModel": deployed}


@contextmanager
def serving() -> Iterator[Vertex]:
    """The server; its metadata route hands out TOKEN, and every other asks for it."""
    vertex = Vertex()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            if self.path.startswith("/computeMetadata/"):
                status, told = 200, {"access_token": TOKEN, "expires_in": 3600}
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, told = 401, {"error": {"message": "who are you"}}
            else:
                status, told = vertex.answer(self.command, self.path, body)
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815  # names of the standard library

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    vertex.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vertex
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
