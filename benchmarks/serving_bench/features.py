"""All that our server can do beside answering, switched on: what it costs together."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving_bench import ROOT, ours
from benchmarks.serving_bench.ours import Bench, Server
from skylift.artifacts import access
from skylift.artifacts.records import encode

TRACED, SAMPLED = "0.1", "0.01"
"""Shares of the requests that are traced, and stored."""


@dataclass(frozen=True)
class Features:
    """Options that turn features on, the headers that a client needs then, and all of them in words."""

    options: list[str]
    headers: dict[str, str]
    said: str


def every(folder: Path) -> Features:
    """Those that the server knows; what they need is written below `folder`. TLS comes apart: `with_tls`."""
    known = ours.known_options()
    options: list[str] = []
    headers: dict[str, str] = {}
    said = ["metrics", "request ids", f"{float(TRACED):.0%} of the requests traced"]
    if "--access " in known:
        path, token = _document(folder)
        options += ["--access", str(path)]
        headers["X-API-Key"] = token
        said.append("API keys with a rate limit")
    if "--access-log" in known:
        options += ["--access-log", str(folder / "access.log")]
        said.append("access log of every request")
    if "--sample-rate" in known:
        options += ["--sample-rate", SAMPLED]
        said.append(f"{float(SAMPLED):.0%} of the requests stored")
    return Features(options, headers, ", ".join(said))


def with_tls(features: Features, folder: Path) -> Features:
    """The same behind TLS with a certificate that is made here."""
    path = folder / "server.pem"
    path.write_bytes(_certificate())
    return Features([*features.options, "--tls-cert", str(path)], features.headers, f"{features.said}, TLS")


@contextlib.contextmanager
def server(bench: Bench, features: Features, *options: str) -> Iterator[Server]:
    """A server with these features, and a collector for its traces beside it."""
    command = [sys.executable, "-m", "benchmarks.serving_bench.load.collector"]
    collector = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert collector.stdout is not None
        more = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.stdout.readline().strip()}",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": TRACED,
        }
        with bench.server(*options, *features.options, more=more) as running:
            yield running
    finally:
        collector.kill()
        collector.communicate()


def _document(folder: Path) -> tuple[Path, str]:
    """An access document with a hundred keys, and the token of one of them."""
    document = access.empty()
    made = [access.new_key(document, f"client-{number}", rate=1e6, burst=1_000_000) for number in range(100)]
    path = folder / "access.json"
    path.write_bytes(encode(access.AccessDocument(salt=document.salt, keys=tuple(key for _, key in made))))
    path.chmod(0o600)
    return path, made[50][0]


def _certificate() -> bytes:
    """A certificate of an elliptic curve for this machine, with its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM) + private
