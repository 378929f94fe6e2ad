"""Documents, issuers and certificates: real ones, made for each run."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving.guard.guard import Guard
from serving.guard.principals import Principal
from serving.guard.sources import FileSource
from skylift.artifacts import access, records
from skylift.artifacts.access import CertificateEntry, IssuerEntry


class Clock:
    """Two clocks that go only when told."""

    def __init__(self) -> None:
        self.ticks = 1000.0
        self.ahead = 1_800_000_000.0

    def wall(self) -> float:
        return self.ticks + self.ahead

    def monotonic(self) -> float:
        return self.ticks


class Desk:
    """An access document in a file, and guards that follow it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.document = access.empty()
        self.write()

    def write(self) -> None:
        self.path.write_bytes(records.encode(self.document))

    def add(self, name: str = "app", **given: Any) -> str:
        token, entry = access.new_key(self.document, name, **given)
        self.document = msgspec.structs.replace(self.document, keys=(*self.document.keys, entry))
        self.write()
        return token

    def revoke(self, name: str) -> None:
        left = tuple(key for key in self.document.keys if key.name != name)
        self.document = msgspec.structs.replace(self.document, keys=left)
        self.write()

    def trust(self, *issuers: IssuerEntry) -> None:
        self.document = msgspec.structs.replace(self.document, issuers=issuers)
        self.write()

    def know(self, *certificates: CertificateEntry) -> None:
        self.document = msgspec.structs.replace(self.document, certificates=certificates)
        self.write()

    def new_guard(self, *, workers: int = 1) -> Guard:
        return Guard(FileSource(self.path), workers=workers, wall=self.clock.wall, ticks=self.clock.monotonic)

    def guard(self, *, workers: int = 1) -> Guard:
        made = self.new_guard(workers=workers)
        asyncio.run(made.look())
        return made

    def ask(
        self, guard: Guard, token: str | None, model: str = "mnist", verb: Any = "predict", **more: Any
    ) -> Principal:
        headers = {} if token is None else {b"authorization": b"Bearer " + token.encode()}
        return guard.check(headers, model=model, verb=verb, now=self.clock.ticks, **more)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "access.json")


@dataclass
class Web:
    """A server on loopback that answers by path: status, body, headers; or what a function makes of the request."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    gate: threading.Event = field(default_factory=threading.Event)

    def say(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        self.answers[path] = (status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)

    def count(self, path: str) -> int:
        return sum(1 for _, asked, _, _ in self.asked if asked.partition("?")[0] == path)


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    made.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.asked.append((self.command, self.path, headers, body))
            made.gate.wait(10)
            found: Any = made.answers.get(self.path.partition("?")[0], (404, b"{}", {}))
            if callable(found):
                found = found(self.command, self.path, headers, body)
            status, text, more = found
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield made
    made.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str]) -> Events:
    """What was logged since the last call."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]

    return read
