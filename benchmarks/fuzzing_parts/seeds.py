"""Requests that are right, of every route and media type, and what they are answered with."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CHECKS_NOTHING = b"?"
MODEL = "/v1/models/"


@dataclass
class Message:
    """A request in its parts, to be mutated and written."""

    method: bytes = b"GET"
    target: bytes = b"/"
    version: bytes = b"HTTP/1.1"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    chunks: list[bytes] | None = None
    """The body as it goes over the wire where it is chunked."""
    line_end: bytes = b"\r\n"

    def copy(self) -> Message:
        return Message(self.method, self.target, self.version, list(self.headers), self.body, self.chunks)

    def raw(self) -> bytes:
        lines = [b"%b %b %b" % (self.method, self.target, self.version)]
        lines += [name + b": " + value for name, value in self.headers]
        wire = b"".join(self.chunks) if self.chunks is not None else self.body
        return self.line_end.join([*lines, b"", b""]) + wire

    def set(self, name: bytes, value: bytes | None) -> None:
        """Replace a header; None takes it away."""
        self.headers = [one for one in self.headers if one[0].lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def get(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True)
class Seed:
    """A request and its answer. `body` CHECKS_NOTHING where it varies."""

    message: Message
    status: int = 200
    body: bytes | None = None


def _ask(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Message:
    made = [(b"Host", b"localhost")]
    if body or method == "POST":
        made.append((b"Content-Length", b"%d" % len(body)))
    made += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Message(method.encode(), target.encode(), headers=made, body=body)


def _json(target: str, plain: Any, **headers: str) -> Message:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _ask("POST", target, json.dumps(plain).encode(), named)


def _tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def binary(name: str, datatype: str, array: np.ndarray[Any, Any], **more: Any) -> Message:
    raw = array.tobytes()
    model = name
    given: dict[str, Any] = {"name": "x", "datatype": datatype, "shape": list(array.shape)}
    given["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [given], **more}).encode()
    return _ask("POST", f"/v2/models/{model}/infer", head + raw, {"Inference-Header-Content-Length": str(len(head))})


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def picture(kind: str = "PNG") -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(out, kind)
    return out.getvalue()


def form() -> bytes:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + picture() + b"\r\n"
        for _ in range(2)
    ]
    return b"".join(parts) + b"--b--\r\n"


def _predictions() -> list[Seed]:
    rows = {"instances": [[1.5, 2, 3], [4, 5, 6e3]]}
    return [
        Seed(
            _json(f"{MODEL}rows:predict", rows),
            body=b'{"predictions":[[3.0,4.0,6.0],[8.0,10.0,12000.0]]}',
        ),
        Seed(_json(f"{MODEL}rows/versions/3:predict", {"inputs": [[1, 2, 3]]})),
        Seed(_json(f"{MODEL}rows/labels/stable:predict", {"inputs": {"x": [[1, 2, 3]]}, "output_filter": ["y"]})),
        Seed(_json(f"{MODEL}doubles:predict", {"instances": [{"x": [1e300, -0.0]}]})),
        Seed(_json(f"{MODEL}whole:predict", {"instances": [[2**53 + 1, -(2**63)]]})),
        Seed(_json(f"{MODEL}small:predict", {"instances": [1, -2, 3]})),
        Seed(_json(f"{MODEL}bytes:predict", {"instances": [[1, 2], [3, 4]]})),
        Seed(_json(f"{MODEL}texts:predict", {"instances": ["ä", {"b64": "aGk="}, ""]})),
        Seed(_json(f"{MODEL}flags:predict", {"instances": [[True, False]]})),
        Seed(_json(f"{MODEL}wide:predict", {"instances": [2**64 - 1, 0]})),
        Seed(_json(f"{MODEL}pair:predict", {"instances": [{"int_tensor": 1, "str_tensor": "a"}]})),
        Seed(_json(f"{MODEL}pair:predict", {"inputs": {"int_tensor": [[1]], "str_tensor": "a"}})),
        Seed(_json(f"{MODEL}any:predict", {"signature_name": "serving_default", "inputs": [[[1.0], [2.0]]]})),
        Seed(_json(f"{MODEL}two:predict", {"instances": [1, 2]}, Accept_Encoding="gzip")),
        Seed(_json(f"{MODEL}log:predict", {"instances": [1.0, 0.0]})),
        Seed(_json(f"{MODEL}sum:predict", {"instances": [{"a": [1, 2], "b": [3, 4]}]})),
        Seed(_json(f"{MODEL}table:predict", {"instances": [0, 3, 1]})),
        Seed(_json(f"{MODEL}uneven:predict", {"inputs": [1, 2]})),
        Seed(_json(f"{MODEL}classes:classify", {"examples": [{"x": [0.5, 2.0]}, {"x": [1.0, 3.0]}]})),
        Seed(_json(f"{MODEL}values:regress", {"context": {"x": 1.0}, "examples": [{"x": [0.5]}, {}]})),
        Seed(_json(f"{MODEL}rows:explain", rows), 400),
        Seed(_json(f"{MODEL}none:predict", rows), 404),
    ]


def _bodies() -> list[Seed]:
    def ask(model: str, kind: str, body: bytes, **headers: str) -> Seed:
        return Seed(_ask("POST", f"{MODEL}{model}:predict", body, {"Content-Type": kind, **headers}))

    array = np.array([[1, 2, 3]], np.float32)
    return [
        ask("rows", "application/x-npy", npy(array)),
        ask("rows", "application/x-npy", npy(np.asfortranarray(np.ones((2, 3), ">f8"))), Accept="application/json"),
        ask("sum", "application/x-npz", npz(a=np.ones((1, 2), np.float32), b=np.ones((1, 2), np.float32))),
        ask("rows", "text/csv", b"1,2,3\n4,5,6\n", Accept="text/csv;header=present, */*;q=0.1"),
        ask("small", "text/csv; header=present", b"x\r\n1\r\n2\r\n"),
        ask("pixels", "image/png", picture()),
        ask("pixels", "image/jpeg", picture("JPEG"), Accept="application/x-npy"),
        ask("pixels", "multipart/form-data; boundary=b", form()),
    ]


def _v2() -> list[Seed]:
    infer = "/v2/models/rows/infer"
    x = _tensor("x", "FP32", [1, 3], [1, 2, 3])
    given = [_tensor("int_tensor", "INT32", [1], [5]), _tensor("str_tensor", "BYTES", [2], ["a", "b"])]
    texts = b"".join(struct.pack("<I", len(one)) + one for one in (b"a", b"bc"))
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(texts)}}]}
    ).encode()
    lengths = {"Inference-Header-Content-Length": str(len(head))}
    return [
        Seed(_json(infer, {"inputs": [x], "id": "one"})),
        Seed(
            _json(
                "/v2/models/rows/versions/3/infer", {"inputs": [{**x, "data": [[1, 2, 3]]}], "outputs": [{"name": "y"}]}
            )
        ),
        Seed(_json("/v2/models/pair/infer", {"inputs": given, "parameters": {"timeout": 9_000_000}})),
        Seed(_json("/v2/models/whole/infer", {"inputs": [_tensor("x", "INT64", [1, 2], [2**53 + 1, -1])]})),
        Seed(_json("/v2/models/flags/infer", {"inputs": [_tensor("x", "BOOL", [1, 2], [True, False])]})),
        Seed(_json("/v2/models/pixels/infer", {"inputs": [_tensor("x", "UINT8", [1, 4, 4, 3], [7] * 48)]})),
        Seed(binary("rows", "FP32", np.ones((2, 3), np.float32), parameters={"binary_data_output": True})),
        Seed(binary("halves", "FP16", np.ones((1, 2), np.float16), parameters={"binary_data_output": True})),
        Seed(binary("whole", "INT64", np.ones((1, 2), np.int64), outputs=[{"name": "y"}])),
        Seed(_ask("POST", "/v2/models/texts/infer", head + texts, lengths)),
        Seed(_ask("POST", infer, np.ones(6, np.float32).tobytes(), {"Inference-Header-Content-Length": "0"})),
        Seed(_json("/v2/repository/index", {"ready": True})),
        Seed(_json("/v2/repository/models/rows/load", {})),
        Seed(_json("/v2/repository/models/none/unload", {}), 404),
    ]


def _looks() -> list[Seed]:
    steady = ["/v1/models/rows", "/v1/models/rows/versions/3", "/v1/models/rows/metadata", "/v1/models/pair/metadata"]
    steady += ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/pair", "/v2/models/rows/versions/7/ready"]
    steady += ["/healthz", "/readyz"]
    varying = ["/v2/models/rows/stats", "/v2/models/stats", "/metrics", "/monitoring/prometheus/metrics"]
    return [
        *(Seed(_ask("GET", path)) for path in steady),
        *(Seed(_ask("GET", path), body=CHECKS_NOTHING) for path in varying),
        Seed(_ask("HEAD", "/v1/models/rows")),
        Seed(_ask("OPTIONS", "/v1/models/rows", headers={"Origin": "http://a"})),
        Seed(_ask("GET", "/none"), 404),
    ]


def all_seeds() -> list[Seed]:
    return [*_predictions(), *_bodies(), *_v2(), *_looks()]
