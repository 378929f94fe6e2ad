"""TLS with real certificates and real connections: what is offered, what is refused, what changes under way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from datetime import timedelta

import pytest
from cryptography import x509

from serving.guard import ssl_config, tls
from serving.guard.certificates import Peer, of_tls
from serving.guard.refusals import AccessError
from skylift.artifacts.access import CertificateEntry
from skylift.errors import InputError
from tests.serving.guard.certificates_made import Authority

AUTHORITY = Authority()
REFUSED = (OSError, asyncio.IncompleteReadError)
CLIENT = AUTHORITY.sign(
    "shop",
    x509.DNSName("shop.example.org"),
    x509.UniformResourceIdentifier("spiffe://example.org/ns/web/sa/shop"),
    x509.RFC822Name("shop@example.org"),
)


def client(folder, signed=None, authority=AUTHORITY):
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(["http/1.1", "h2"])
    if signed is not None:
        cert, key = signed.write(folder, "client")
        context.load_cert_chain(cert, key)
    return context


class Seen:
    """What a connection was like, from both sides."""

    def __init__(self, writer, peer):
        inside = writer.get_extra_info("ssl_object")
        self.version, self.protocol = inside.version(), inside.selected_alpn_protocol()
        self.serial = x509.load_der_x509_certificate(inside.getpeercert(binary_form=True)).serial_number
        self.resumed = inside.session_reused
        self.peer = peer


@contextlib.asynccontextmanager
async def listening(settings):
    """A server as a listener makes one: the context is taken anew for each connection."""
    loop, peers, connections = asyncio.get_running_loop(), [], []

    class Answering(asyncio.Protocol):
        def connection_made(self, transport):
            peers.append(of_tls(transport.get_extra_info("peercert")))
            transport.write(b"ready")
            self.transport = transport

        def data_received(self, data):
            self.transport.close()

    async def serve(listener):
        while True:
            connection, _ = await loop.sock_accept(listener)
            connections.append(connection)
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(Answering, connection, ssl=settings.context)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        serving = asyncio.create_task(serve(listener))

        async def connect(context):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", listener.getsockname()[1], ssl=context, server_hostname="localhost"
            )
            try:
                assert await reader.readexactly(5) == b"ready"
                seen = Seen(writer, peers[-1])
                writer.write(b"x")
                await reader.read()
                return seen
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

        try:
            yield connect
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            for connection in connections:
                connection.close()


def connect_once(settings, context):
    async def run():
        async with listening(settings) as connect:
            return await connect(context)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_connection_is_the_newest_tls_and_http_1_1(tmp_path, kind):
    made = AUTHORITY.server(kind=kind)
    seen = connect_once(tls.of_files(*made.write(tmp_path, "server")), client(tmp_path))
    assert (seen.version, seen.protocol, seen.serial) == ("TLSv1.3", "http/1.1", made.serial)
    assert seen.peer is None


def test_one_file_may_hold_chain_and_key_in_any_order(tmp_path):
    made = AUTHORITY.server()
    for number, text in enumerate((made.cert + AUTHORITY.pem + made.key, b"# key\n" + made.key + made.cert)):
        path = tmp_path / f"tls-{number}.pem"
        path.write_bytes(text)
        assert connect_once(tls.of_files(path), client(tmp_path)).serial == made.serial


def test_tls_1_2_is_offered_with_forward_secrecy_alone_and_1_1_is_not(tmp_path):
    context = tls.of_files(*AUTHORITY.server().write(tmp_path, "server")).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    ciphers = [one for one in context.get_ciphers() if one["protocol"] == "TLSv1.2"]
    assert ciphers and all(one["aead"] and "ECDHE" in one["name"] for one in ciphers)


def test_new_connections_get_the_new_certificate(tmp_path, events):
    async def run():
        first, second = AUTHORITY.server(kind="rsa"), AUTHORITY.server()
        settings = tls.of_files(*first.write(tmp_path, "server"))
        async with listening(settings) as connect:
            assert (await connect(client(tmp_path))).serial == first.serial
            assert not settings.look()
            (tmp_path / "server.pem").write_bytes(second.cert)
            assert not settings.look()  # the key is still the old one
            assert (await connect(client(tmp_path))).serial == first.serial
            (tmp_path / "server.key").write_bytes(second.key)
            assert settings.look()
            assert (await connect(client(tmp_path))).serial == second.serial
            (tmp_path / "server.pem").unlink()
            assert not settings.look()
            assert (await connect(client(tmp_path))).serial == second.serial

    asyncio.run(run())
    told = [event["event"] for event in events()]
    assert told == ["certificate_not_read", "certificate_read", "certificate_not_read"]


def test_an_authority_that_is_exchanged_counts_for_the_next_client(tmp_path):
    other = Authority("another")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(AUTHORITY.pem)
    settings = tls.of_files(*AUTHORITY.server().write(tmp_path, "server"), ca)
    assert connect_once(settings, client(tmp_path, CLIENT)).peer
    ca.write_bytes(other.pem)
    assert settings.look()
    with pytest.raises(REFUSED):
        connect_once(settings, client(tmp_path, CLIENT))
    assert connect_once(settings, client(tmp_path, other.sign("x"))).peer == Peer(("CN=x",))


def test_a_client_must_show_a_certificate_that_was_signed(tmp_path):
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.pem)
    settings = tls.of_files(*AUTHORITY.server().write(tmp_path, "server"), tmp_path / "ca.pem")
    seen = connect_once(settings, client(tmp_path, CLIENT))
    assert seen.peer == Peer(
        ("CN=shop", "DNS:shop.example.org", "URI:spiffe://example.org/ns/web/sa/shop", "email:shop@example.org")
    )
    strangers = [None, Authority("evil").sign("shop"), AUTHORITY.sign("shop", lasts=timedelta(seconds=-60))]
    for stranger in strangers:
        with pytest.raises(REFUSED):
            connect_once(settings, client(tmp_path, stranger))


def test_a_client_may_do_without_where_that_is_allowed(tmp_path):
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.pem)
    settings = tls.of_files(*AUTHORITY.server().write(tmp_path, "server"), tmp_path / "ca.pem", client_verify=False)
    assert connect_once(settings, client(tmp_path)).peer is None
    assert connect_once(settings, client(tmp_path, CLIENT)).peer is not None
    with pytest.raises(REFUSED):
        connect_once(settings, client(tmp_path, Authority("evil").sign("shop")))


def damaged(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join([lines[0], b"AAAA" + lines[1][4:][::-1], *lines[2:]])


MADE = AUTHORITY.server()
WRONG = {
    "key of another": (MADE.cert, AUTHORITY.server().key, "is not that of the certificate"),
    "chain turned round": (AUTHORITY.pem + MADE.cert, MADE.key, "is not the first"),
    "no certificate": (MADE.key, MADE.key, "holds no certificate"),
    "no key": (MADE.cert, MADE.cert, "holds no private key"),
    "empty": (b"", MADE.key, "holds no certificate"),
    "DER": (ssl.PEM_cert_to_DER_cert(MADE.cert.decode()), MADE.key, "holds no certificate"),
    "encrypted": (MADE.cert, AUTHORITY.server(password=b"x").key, "is encrypted"),
    "damaged certificate": (damaged(MADE.cert), MADE.key, "is damaged"),
    "damaged key": (MADE.cert, damaged(MADE.key), "is damaged"),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_that_do_not_work_are_told_at_start(tmp_path, case):
    cert, key, said = WRONG[case]
    (tmp_path / "c.pem").write_bytes(cert)
    (tmp_path / "k.pem").write_bytes(key)
    with pytest.raises(InputError) as caught:
        tls.of_files(tmp_path / "c.pem", tmp_path / "k.pem")
    assert said in caught.value.message
    body = MADE.key.splitlines()[1].decode()
    assert body not in str(caught.value.to_dict())


@pytest.mark.parametrize("missing", ["c.pem", "k.pem", "ca.pem"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, missing):
    paths = [tmp_path / name for name in ("c.pem", "k.pem", "ca.pem")]
    for path, text in zip(paths, (MADE.cert, MADE.key, AUTHORITY.pem), strict=True):
        if path.name != missing:
            path.write_bytes(text)
    with pytest.raises(InputError) as caught:
        tls.of_files(*paths)
    assert str(tmp_path / missing) in caught.value.message and "No such file" in caught.value.message


def test_an_expired_certificate_serves_and_is_told(tmp_path, events):
    made = AUTHORITY.server(lasts=timedelta(hours=-1))
    settings = tls.of_files(*made.write(tmp_path, "server"))
    assert settings.identity.is_expired
    (told,) = events()
    assert told["event"] == "certificate_expired" and "localhost" in told["subject"]


def test_keys_are_in_no_text_and_on_no_disk(tmp_path):
    path = tmp_path / "tls.pem"
    path.write_bytes(MADE.cert + MADE.key)
    settings = tls.of_files(path)
    assert "PRIVATE" not in repr(settings.identity) and "PRIVATE" not in repr(settings)
    assert [one.name for one in tmp_path.iterdir()] == ["tls.pem"]
    assert not any(
        "skylift-tls" in os.readlink(f"/proc/self/fd/{one}")
        for one in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{one}")
    )


def config(path, *, verify=True, ca=AUTHORITY.pem, signed=MADE):
    def text(pem):
        return pem.decode().replace("\n", "\\n")

    lines = [f'server_key: "{text(signed.key)}"  # the key', f"server_cert: '{text(signed.cert)}'"]
    lines += [f'custom_ca: "{text(ca)}"'] if ca else []
    path.write_text("\n".join([*lines, f"client_verify: {str(verify).lower()}\n"]))
    return path


def test_tensorflow_servings_file_is_read(tmp_path):
    settings = ssl_config.read(config(tmp_path / "ssl.txt"))
    assert settings.context.verify_mode is ssl.CERT_REQUIRED
    assert connect_once(settings, client(tmp_path, CLIENT)).serial == MADE.serial
    assert ssl_config.read(config(tmp_path / "ssl.txt", verify=False)).context.verify_mode is ssl.CERT_OPTIONAL


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server_kee: 'x'", "no SSLConfig"),
        ("server_key: 'SECRET", "no SSLConfig"),
        ("client_verify: maybe", "no SSLConfig"),
        ("", "holds no certificate"),
        (b"\xff\xfe", "no SSLConfig"),
    ],
)
def test_a_file_that_is_no_ssl_config_is_told(tmp_path, text, said):
    path = tmp_path / "ssl.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        ssl_config.read(path)
    assert said in caught.value.message and "SECRET" not in str(caught.value.to_dict())
    with pytest.raises(InputError, match="client_verify"):
        ssl_config.read(config(path, ca=None))


PEER = Peer(("CN=shop", "DNS:shop.example.org", "URI:spiffe://example.org/ns/web/sa/shop"))


@pytest.mark.parametrize(
    ("match", "is_known"),
    [
        (("CN=shop",), True),
        (("CN=shop.example.org",), False),
        (("DNS:*.example.org",), True),
        (("DNS:*.example.com", "URI:spiffe://example.org/ns/web/*"), True),
        (("URI:spiffe://example.org",), False),
        (("DNS:shop",), False),
    ],
)
def test_a_certificate_names_somebody_of_the_document(desk, match, is_known):
    desk.know(CertificateEntry(name="the shop", match=match, models=("mnist",), rate=1.0))
    guard = desk.guard()
    if not is_known:
        with pytest.raises(AccessError, match="nobody's"):
            desk.ask(guard, None, peer_certificate=PEER)
        return
    who = desk.ask(guard, None, peer_certificate=PEER)
    assert (who.name, who.kind) == ("the shop", "certificate")
    for model, said in (("mnist", "more often"), ("other", "no right")):
        with pytest.raises(AccessError, match=said):
            desk.ask(guard, None, model, peer_certificate=PEER)


def test_a_token_that_is_sent_counts_before_the_certificate(desk):
    token = desk.add("keyed")
    desk.know(CertificateEntry(name="shop", match=("CN=shop",)))
    guard = desk.guard()
    assert desk.ask(guard, token, peer_certificate=PEER).name == "keyed"
    with pytest.raises(AccessError):
        desk.ask(guard, "skylift_wrong", peer_certificate=PEER)
