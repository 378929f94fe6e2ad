"""Keys, certificates and encryption at a whole server, over HTTP and gRPC."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

import grpc
import msgspec
import numpy as np
import pytest
import tritonclient.grpc as triton

from skylift.artifacts import access, records
from skylift.artifacts.access import CertificateEntry
from tests.serving.conftest import Bench, Server
from tests.serving.guard.certificates_made import Authority
from tests.serving.waiting import wait_for
from tests.serving.whole import ROWS


class Keys:
    """The document that says who may ask."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document = access.empty()
        self.write()

    def write(self) -> None:
        self.path.write_bytes(records.encode(self.document))

    def add(self, name: str, **given: Any) -> str:
        token, entry = access.new_key(self.document, name, **given)
        self.document = msgspec.structs.replace(self.document, keys=(*self.document.keys, entry))
        self.write()
        return token


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "access.json")


def _deployed(bench: Bench, *options: str) -> Server:
    bench.deploy(bench.publish_scale(2))
    return bench.start("--grpc-port", "0", *options)


def _infer(channel: grpc.Channel | None, server: Server, headers: dict[str, str], **ssl_options: Any) -> Any:
    port = server.events("listening")[0]["grpc_port"]
    client = triton.InferenceServerClient(f"localhost:{port}", **ssl_options)
    tensor = triton.InferInput("x", [1, 3], "FP32")
    tensor.set_data_from_numpy(np.float32(ROWS[:1]))
    try:
        return client.infer("scale", [tensor], headers=headers, client_timeout=10).as_numpy("y").tolist()
    finally:
        client.close()


class TestKeys:
    def test_who_has_none_is_kept_out_and_health_is_open(self, bench: Bench, keys: Keys) -> None:
        token = keys.add("app", models=["scale"])
        server = _deployed(bench, "--access", str(keys.path))
        server.wait_ready()
        assert server.predict(ROWS).status == 401
        assert server.predict(ROWS).headers["WWW-Authenticate"].startswith("Bearer")
        assert server.ask("GET", "/v1/models/scale").status == 401
        assert server.ask("GET", "/metrics").status == 401
        assert server.ask("GET", "/v2/health/ready").status == 200
        bearer = {"Authorization": f"Bearer {token}"}
        assert server.predict(ROWS, **bearer).status == 200
        assert server.predict(ROWS, **{"X-API-Key": token}).status == 200
        assert server.ask("GET", "/metrics", **bearer).status == 200
        assert server.predict(ROWS, model="other", **bearer).status == 403
        assert server.ask("POST", "/v2/repository/models/scale/unload", {}, **bearer).status == 403
        assert token not in server.log.read_text()

    def test_grpc_asks_for_the_same(self, bench: Bench, keys: Keys) -> None:
        token = keys.add("app")
        server = _deployed(bench, "--access", str(keys.path))
        server.wait_ready()
        with pytest.raises(triton.InferenceServerException, match="UNAUTHENTICATED"):
            _infer(None, server, {})
        assert _infer(None, server, {"authorization": f"Bearer {token}"}) == [[2.0, 4.0, 6.0]]

    def test_a_key_is_added_and_revoked_while_it_serves(self, bench: Bench, keys: Keys) -> None:
        server = _deployed(bench, "--access", str(keys.path))
        server.wait_ready()
        token = keys.add("late")
        bearer = {"Authorization": f"Bearer {token}"}
        wait_for(lambda: server.predict(ROWS, **bearer).status == 200, 15)
        keys.document = access.empty()
        keys.write()
        wait_for(lambda: server.predict(ROWS, **bearer).status == 401, 15)

    def test_a_log_names_who_asked(self, bench: Bench, keys: Keys) -> None:
        token = keys.add("app")
        server = _deployed(bench, "--access", str(keys.path), "--access-log", "stderr")
        server.wait_ready()
        assert (
            server.predict(ROWS, **{"X-API-Key": token, "X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
        )
        assert server.stop() == 0
        (line,) = [json.loads(one) for one in server.log.read_text().splitlines() if '"request_id"' in one]
        assert (line["request_id"], line["principal"], line["model"], line["status"]) == ("mine-1", "app", "scale", 200)

    def test_a_wrong_place_is_told_at_once(self, bench: Bench) -> None:
        with pytest.raises(pytest.fail.Exception, match="access"):
            bench.start("--access", str(bench.folder / "no-such-file.json"))


class TestTls:
    def ask(self, server: Server, context: ssl.SSLContext) -> int:
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=context)
        try:
            connection.request("POST", "/v1/models/scale:predict", json.dumps({"instances": ROWS}))
            return connection.getresponse().status
        finally:
            connection.close()

    def test_both_protocols_are_encrypted(self, bench: Bench, tmp_path: Path) -> None:
        authority = Authority()
        cert, key = authority.server().write(tmp_path, "server")
        server = _deployed(bench, "--tls-cert", str(cert), "--tls-key", str(key))
        context = ssl.create_default_context(cadata=authority.pem.decode())
        wait_for(lambda: self.ask(server, context) == 200, 20)
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        wait_for(
            lambda: _infer(None, server, {}, ssl=True, root_certificates=str(tmp_path / "ca.pem")) == [[2.0, 4.0, 6.0]],
            20,
        )
        https = f"localhost:{server.port}"
        client = triton.InferenceServerClient(https, ssl=True, root_certificates=str(tmp_path / "ca.pem"))
        assert client.is_model_ready("scale")  # gRPC on HTTP's port
        client.close()
        with pytest.raises(ssl.SSLError):
            self.ask(server, ssl.create_default_context())
        assert server.try_ask("GET", "/healthz") is None  # plain HTTP gets no answer, and no worker falls over it
        assert self.ask(server, context) == 200
        assert server.stop() == 0

    def test_a_client_certificate_says_who_asks(self, bench: Bench, keys: Keys, tmp_path: Path) -> None:
        authority = Authority()
        cert, key = authority.server().write(tmp_path, "server")
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        keys.document = msgspec.structs.replace(
            keys.document, certificates=(CertificateEntry(name="robot", match=("CN=robot",)),)
        )
        keys.write()
        options = ("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(tmp_path / "ca.pem"))
        server = _deployed(bench, *options, "--access", str(keys.path))
        known = ssl.create_default_context(cadata=authority.pem.decode())
        known.load_cert_chain(*authority.sign("robot").write(tmp_path, "robot"))
        stranger = ssl.create_default_context(cadata=authority.pem.decode())
        stranger.load_cert_chain(*authority.sign("stranger").write(tmp_path, "stranger"))
        wait_for(lambda: self.ask(server, known) == 200, 20)
        assert self.ask(server, stranger) == 401
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            self.ask(server, ssl.create_default_context(cadata=authority.pem.decode()))

    def test_a_key_that_is_not_the_certificates_is_told_at_once(self, bench: Bench, tmp_path: Path) -> None:
        cert, _ = Authority().server().write(tmp_path, "one")
        _, key = Authority().server().write(tmp_path, "two")
        with pytest.raises(pytest.fail.Exception, match=r"serving: .*two\.key"):
            bench.start("--tls-cert", str(cert), "--tls-key", str(key))
