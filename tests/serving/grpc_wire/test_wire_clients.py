"""Who else speaks gRPC and HTTP/2, over TLS, through the worker's listener, and with a guard in front."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from cryptography import x509

from serving.guard import tls
from serving.guard.guard import Guard
from serving.guard.sources import FileSource
from serving.http.listener import Listener
from serving.http.messages import Exchange, Response
from serving.options import Limits
from skylift.artifacts import access, records
from skylift.artifacts.access import CertificateEntry
from tests.serving.grpc.line_models import refused
from tests.serving.grpc_wire.http2 import HELLO, Client, asking, call, frame, message, read
from tests.serving.grpc_wire.real_models import PREDICT, Served, request, served
from tests.serving.guard.certificates_made import Authority
from tests.serving.waiting import wait_for

SENT = request([[1, 2]]).SerializeToString()


def works(channel: Any, **more: Any) -> bool:
    return bool(channel.unary_unary(PREDICT)(SENT, timeout=20, **more))


def guard_of(path: Path, **entries: Any) -> tuple[Guard, str]:
    document = access.empty()
    token, entry = access.new_key(document, "app", models=("m",))
    document = msgspec.structs.replace(document, keys=(entry,), **entries)
    path.write_bytes(records.encode(document))
    made = Guard(FileSource(path))
    asyncio.run(made.look())
    return made, token


def test_who_may_not_ask_is_told_so(tmp_path: Path) -> None:
    guard, token = guard_of(tmp_path / "access.json")
    with served(guard=guard) as server:
        bearer = [("authorization", f"Bearer {token}")]
        assert works(server.channel, metadata=bearer) and works(server.channel, metadata=[("x-api-key", token)])
        wait_for(lambda: len(server.watching.calls) == 2)
        assert [one.principal for one in server.watching.calls] == ["app", "app"]
        assert refused(lambda: works(server.channel))[0] == "UNAUTHENTICATED"
        assert refused(lambda: works(server.channel, metadata=[("x-api-key", token + "x")]))[0] == "UNAUTHENTICATED"
        other = request([[1]])
        other.model_spec.name = "other"
        assert refused(lambda: server.predict(other, metadata=bearer))[0] == "PERMISSION_DENIED"
        assert server.wire.front.in_flight == 0 and len(server.watching.calls) == 5
        assert token not in repr(server.watching.calls)


def context_of(folder: Path, authority: Authority, *, client: bool = True) -> ssl.SSLContext:
    cert, key = authority.server().write(folder, "server")
    (folder / "ca.pem").write_bytes(authority.pem)
    made = tls.of_files(cert, key, folder / "ca.pem" if client else None).context
    made.set_alpn_protocols(["http/1.1", "h2"])  # whoever takes both gets HTTP/1.1; clients of gRPC take h2 alone
    return made


def credentials(authority: Authority, client: Any = None) -> Any:
    pair = (client.key, client.cert) if client else (None, None)
    return grpc.ssl_channel_credentials(authority.pem, *pair)


def test_a_client_certificate_says_who_asks(tmp_path: Path) -> None:
    authority = Authority()
    client = authority.sign("shop", x509.DNSName("shop.example.org"))
    known = CertificateEntry(name="shop", match=("DNS:shop.example.org",), models=("m",))
    guard, _ = guard_of(tmp_path / "access.json", certificates=(known,))
    with served(guard=guard, tls=context_of(tmp_path, authority)) as server:
        with grpc.secure_channel(f"localhost:{server.port}", credentials(authority, client)) as channel:
            assert works(channel)
        wait_for(lambda: server.watching.calls)
        assert server.watching.calls[0].principal == "shop"
        with grpc.secure_channel(f"localhost:{server.port}", credentials(authority)) as channel:
            assert refused(lambda: works(channel))[0] == "UNAVAILABLE"


async def _listen(server: Served, context: ssl.SSLContext | None) -> tuple[int, Listener]:
    """As a worker does: HTTP and gRPC on one socket, which was opened by somebody else."""

    class Tls:
        def __init__(self) -> None:
            self.context = context

    def handle(exchange: Exchange) -> None:
        exchange.respond(Response(200, b"http"))

    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listener = Listener(Limits(), handle, loop, tls=Tls() if context is not None else None)  # type: ignore[arg-type]
    listener.http2 = server.wire.take
    listener.accept_from(listening)
    return listening.getsockname()[1], listener


@pytest.mark.parametrize("loop_of", [None, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_it_shares_a_socket_with_http(loop_of: Any) -> None:
    with served(loop_of=loop_of) as server:
        port, listener = server.do(_listen(server, None))
        asking_http = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for _ in range(3):
                asking_http.request("GET", "/")
                assert asking_http.getresponse().read() == b"http"
                assert works(channel)
        asking_http.close()
        wait_for(lambda: server.wire.connections == 0)
        assert server.do(listener.drain(1))


@pytest.mark.parametrize("loop_of", [None, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_over_tls_who_takes_h2_alone_speaks_grpc(tmp_path: Path, loop_of: Any) -> None:
    authority = Authority()
    with served(loop_of=loop_of) as server:
        port, listener = server.do(_listen(server, context_of(tmp_path, authority, client=False)))
        trusting = ssl.create_default_context(cadata=authority.pem.decode())
        trusting.set_alpn_protocols(["h2", "http/1.1"])
        asking_http = http.client.HTTPSConnection("localhost", port, timeout=10, context=trusting)
        asking_http.request("GET", "/")
        assert asking_http.getresponse().read() == b"http"
        asking_http.close()
        with grpc.secure_channel(f"localhost:{port}", credentials(authority)) as channel:
            assert works(channel)
            long = request([[1.0] * 500_000]).SerializeToString()
            assert channel.unary_unary(PREDICT)(long, timeout=20)
        wait_for(lambda: server.wire.connections == 0)
        assert server.do(listener.drain(1))


def test_connections_beyond_the_limit_are_sent_elsewhere() -> None:
    with served(limits=Limits(connections=2)) as server:
        clients = [Client(server.port) for _ in range(3)]
        assert any(one.kind == 7 for one in clients[2].until(7))  # GOAWAY
        for client in clients[:2]:
            client.say(call(1))
            assert client.until(1, 1, flags=1)
        for client in clients:
            client.close()


def test_a_client_that_shuts_its_side_down_or_vanishes_leaves_nothing() -> None:
    with served() as server:
        server.backend.gate.clear()
        clients = [Client(server.port) for _ in range(4)]
        for client in clients:
            client.say(call(1, asking(PREDICT.encode()), message(SENT)))
        wait_for(lambda: server.wire.front.in_flight == 4)
        clients[0].socket.shutdown(socket.SHUT_WR)
        clients[1].close()
        clients[2].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        clients[2].close()
        clients[3].say(b"\0\0\1\7\0\0\0\0\1x")
        wait_for(lambda: server.wire.front.in_flight == 0 and server.wire.connections <= 1)
        server.backend.gate.set()
        clients[0].close()
        clients[3].close()
        assert works(server.channel)


def test_another_librarys_client_is_served() -> None:
    h2 = pytest.importorskip("h2.connection")
    events = pytest.importorskip("h2.events")
    with served() as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        client = h2.H2Connection()
        client.initiate_connection()
        fields = [
            (":method", "POST"), (":scheme", "http"), (":path", PREDICT), (":authority", "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc"), ("grpc-timeout", "20S"),
        ]  # fmt: skip
        for number in range(1, 41, 2):
            client.send_headers(number, [*fields, ("x-number", str(number))])
            client.send_data(number, message(SENT), end_stream=True)
        connection.sendall(client.data_to_send())
        ended: dict[int, dict[bytes, bytes]] = {}
        while len(ended) < 20:
            for event in client.receive_data(connection.recv(65536)):
                if isinstance(event, events.TrailersReceived):
                    ended[event.stream_id] = {bytes(name): bytes(value) for name, value in event.headers}
                elif isinstance(event, events.DataReceived):
                    client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            connection.sendall(client.data_to_send())
        assert all(one == {b"grpc-status": b"0"} for one in ended.values())
        client.close_connection()
        connection.sendall(client.data_to_send())


def test_curl_is_served_and_told_what_it_does_wrong(tmp_path: Path) -> None:
    curl = shutil.which("curl")
    features = subprocess.run([curl, "-V"], capture_output=True, text=True).stdout if curl else ""
    if curl is None or "HTTP2" not in features:
        pytest.skip("no curl with HTTP/2")
    (tmp_path / "sent").write_bytes(message(SENT))

    def ask(*options: str) -> str:
        url = f"http://127.0.0.1:{server.port}{PREDICT}"
        command = [curl, "-sS", "--http2-prior-knowledge", "-o", str(tmp_path / "got"), "-w", "%{http_code}", "-D", "-"]
        return subprocess.run([*command, *options, url], capture_output=True, text=True, timeout=30).stdout

    with served() as server:
        said = ask(
            "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", f"@{tmp_path / 'sent'}"
        )
        assert said.endswith("200") and "grpc-status: 0" in said
        assert (tmp_path / "got").read_bytes()[:1] == b"\0"
        for _ in range(5):
            assert ask("--data-binary", "{}").endswith("415") and ask().endswith("405")


def test_bytes_that_come_one_by_one_are_a_call() -> None:
    with served() as server:
        client = Client(server.port, b"")
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in HELLO + call(1, asking(PREDICT.encode()), message(SENT)) + frame(6, 0, 0, b"12345678"):
            client.say(bytes([byte]))
        found = client.until(1, 1, flags=1)
        assert [one.kind for one in found if one.stream == 1] == [1, 0, 1] and not read(b"")[1]
        client.close()
