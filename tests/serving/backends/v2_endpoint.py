"""A small endpoint of Open Inference Protocol v2 for one ONNX model: the real codecs behind the standard library's server."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from serving.backends.base import Backend, RunError
from serving.http.json_in import BadRequestError
from serving.http.v2_request import Decoder
from serving.http.v2_response import Encoder
from serving.http.v2_types import datatype


class Endpoint:
    """What is seen of it from the other side, and what it is told to do.

    Args:
        before: called ahead of each inference; what it returns, (status, body), is the answer.
    """

    def __init__(self, backend: Backend, model: str, version: int) -> None:
        self.backend = backend
        self.model, self.version = model, version
        self.before: Callable[[], tuple[int, bytes] | None] = lambda: None
        self.connections = 0
        self.requests: list[dict[str, str]] = []
        self.url = ""
        self.server: http.server.ThreadingHTTPServer | None = None

    @property
    def path(self) -> str:
        return f"/v2/models/{self.model}/versions/{self.version}"

    def describe(self) -> bytes:
        signature = self.backend.signatures["serving_default"]
        sides = {"inputs": signature.inputs, "outputs": signature.outputs}
        listed = {
            side: [
                {
                    "name": one.name,
                    "datatype": datatype(one.dtype),
                    "shape": [-1 if size is None else size for size in one.shape or ()],
                }
                for one in tensors
            ]
            for side, tensors in sides.items()
        }
        return msgspec.json.encode({"name": self.model, "versions": [str(self.version)], "platform": "x", **listed})

    def infer(self, body: bytes, header_length: str | None) -> tuple[int, bytes, bytes]:
        told = self.before()
        if told is not None:
            return *told, b""
        try:
            decoder = Decoder(self.backend.signatures["serving_default"])
            request = decoder.decode(body, header_length.encode() if header_length else None)
            outputs = self.backend.run("serving_default", request.inputs, [one.name for one in request.outputs])
        except (BadRequestError, RunError) as error:
            return 400, msgspec.json.encode({"error": str(error)}), b""
        response = Encoder(self.model, self.version).encode(request, outputs)
        return 200, response.body, response.extra


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    endpoint: Endpoint

    def setup(self) -> None:
        super().setup()
        self.endpoint.connections += 1

    def do_GET(self) -> None:
        if self.path == self.endpoint.path:
            self._send(200, self.endpoint.describe())
        elif self.path == self.endpoint.path + "/ready":
            self._send(200, b"")
        else:
            self._send(404, b'{"error":"no such model"}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.endpoint.requests.append(dict(self.headers.items()))
        status, raw, more = self.endpoint.infer(body, self.headers.get("Inference-Header-Content-Length"))
        self._send(status, raw, more)

    def _send(self, status: int, body: bytes, more: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for line in more.decode().splitlines():
            name, _, value = line.partition(": ")
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: Any) -> None: ...


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None: ...


@contextlib.contextmanager
def serve(backend: Backend, model: str = "part", version: int = 1, port: int = 0) -> Iterator[Endpoint]:
    endpoint = Endpoint(backend, model, version)
    handler = type("Handler", (_Handler,), {"endpoint": endpoint})
    server = _Server(("127.0.0.1", port), handler)
    endpoint.server, endpoint.url = server, f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write(folder: Path, model: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model)
    return path
