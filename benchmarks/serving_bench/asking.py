"""Requests as bytes, one for each way of asking, and how to read what comes back."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.serving_bench.model import INPUT, OUTPUT

LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Ask:
    """A POST request, the same every time.

    Args:
        way: for people: `v2 binary`, `TF Serving JSON`, …
        read: the output of the model from a body and its headers (lower case), one flat array of float.
    """

    way: str
    path: str
    body: bytes
    read: Callable[[bytes, dict[str, str]], Any]
    headers: dict[str, str] = field(default_factory=dict)

    def with_headers(self, more: dict[str, str]) -> Ask:
        return Ask(self.way, self.path, self.body, self.read, {**self.headers, **more})

    def raw(self, host: str = "127.0.0.1") -> bytes:
        """The whole request as it goes over the wire."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def tfs_json(model: str, rows: Any, path: str = "") -> Ask:
    """`{"instances": [...]}`, every number with all its digits: 18 KB for one row of 784."""
    return Ask(
        "TF Serving JSON",
        path or f"/v1/models/{model}:predict",
        instances(rows),
        lambda body, _: np.array(json.loads(body)["predictions"], np.float32).ravel(),
        {"Content-Type": "application/json"},
    )


def instances(rows: Any) -> bytes:
    plain = rows if rows.dtype.kind in "iu" else rows.astype(np.float64)
    return json.dumps({"instances": plain.tolist()}).encode()


def v2_json(model: str, rows: Any, output: str = OUTPUT) -> Ask:
    """Open Inference Protocol, data as flat JSON."""
    data = rows.astype(np.float64).ravel().tolist()
    one = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": data}
    return Ask(
        "v2 JSON",
        f"/v2/models/{model}/infer",
        json.dumps({"inputs": [one], "outputs": [{"name": output}]}).encode(),
        lambda body, _: np.array(json.loads(body)["outputs"][0]["data"], np.float32).ravel(),
        {"Content-Type": "application/json"},
    )


def v2_binary(model: str, rows: Any) -> Ask:
    """Open Inference Protocol with both tensors as bytes behind the JSON."""
    raw = np.ascontiguousarray(rows, "<f4").tobytes()
    one = {
        "name": INPUT,
        "datatype": "FP32",
        "shape": list(rows.shape),
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [one], "outputs": [{"name": OUTPUT, "parameters": {"binary_data": True}}]}).encode()
    headers = {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}
    return Ask("v2 binary", f"/v2/models/{model}/infer", head + raw, _read_binary, headers)


def _read_binary(body: bytes, headers: dict[str, str]) -> Any:
    length = headers.get(LENGTH.lower())
    if length is None:
        return np.array(json.loads(body)["outputs"][0]["data"], np.float32).ravel()
    return np.frombuffer(body[int(length) :], "<f4")


def plain_json(path: str, rows: Any, key: str, answer: str) -> Ask:
    """A body of a peer that has no protocol but what its example app takes: nested lists under a key."""

    def read(body: bytes, _: dict[str, str]) -> Any:
        found = json.loads(body)
        return np.array(found[answer] if answer else found, np.float32).ravel()

    body = json.dumps({key: rows.astype(np.float64).tolist()}).encode()
    return Ask("JSON", path, body, read, {"Content-Type": "application/json"})


def connect(port: int, *, timeout: float, is_secure: bool = False) -> http.client.HTTPConnection:
    """To this machine; by TLS without a look at the certificate, which is one of ours."""
    if not is_secure:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)


def once(port: int, ask: Ask, timeout: float = 60.0, *, is_secure: bool = False) -> tuple[int, bytes, dict[str, str]]:
    """Ask once over a connection of its own: status, body, headers with names in lower case."""
    connection = connect(port, timeout=timeout, is_secure=is_secure)
    try:
        connection.request("POST", ask.path, ask.body, ask.headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def problem(port: int, ask: Ask, expected: Any, *, is_secure: bool = False) -> str:
    """What is wrong with a server's answer; empty where it is the model's."""
    try:
        status, body, headers = once(port, ask, is_secure=is_secure)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}"
    if status in (404, 405, 501) or (status == 400 and b"Malformed request" in body):
        return "not served"
    if status != 200:
        return f"status {status}: {body[:120].decode('utf-8', 'replace')}"
    try:
        found = ask.read(body, headers)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return f"an answer that cannot be read ({type(error).__name__}): {body[:80]!r}"
    if found.shape != expected.ravel().shape or not np.allclose(found, expected.ravel(), atol=1e-4):
        return "another answer than the model's"
    return ""
