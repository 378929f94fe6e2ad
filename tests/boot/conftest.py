"""Fixtures of the simulated machines."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.boot import Cloud
from tests.boot.machine import HOSTS, Machine, Server, serve_apis, serve_metadata


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("openssl") or not shutil.which("curl"):
        pytest.skip("needs the programs curl and openssl")
    folder = tmp_path_factory.mktemp("certificate")
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=simulated"
    subprocess.run(
        [*command.split(), "-addext", f"subjectAltName={names}", "-keyout", folder / "key", "-out", folder / "cert"],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def machine(tmp_path: Path, certificate: Path) -> Iterator[Callable[[Cloud, str], Machine]]:
    made: list[Machine] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")

    def make(cloud: Cloud, mode: str) -> Machine:
        metadata, api = Server(), Server(context)
        serve_metadata(cloud, metadata, mode)
        serve_apis(api)
        made.append(Machine(tmp_path, cloud, metadata, api, certificate))
        return made[-1]

    yield make
    for one in made:
        one.end()
        one.metadata.close()
        one.api.close()
