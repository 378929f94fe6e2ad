"""A simulated S3, as much of it as stores and purges ask for: objects, versions, conditions, listings. Nobody's signature is checked.

What it answers follows https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html; it was not
held against the real one.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class Version:
    """`data` is None for the mark of a deletion."""

    id: str
    data: bytes | None

    @property
    def e_tag(self) -> str:
        return f'"{hashlib.md5(self.data or b"").hexdigest()}"'


@dataclass
class SimulatedS3:
    """All objects of one bucket, whatever its name, oldest version first. `broken` answers every request with 500."""

    port: int = 0
    versions: dict[str, list[Version]] = field(default_factory=dict)
    broken: bool = False
    locked: bool = False
    """Whether no version may be deleted, as under a retention."""
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
        }

    def live(self, prefix: str = "") -> dict[str, Version]:
        """Objects as a listing shows them."""
        found = {key: made[-1] for key, made in sorted(self.versions.items()) if key.startswith(prefix) and made}
        return {key: version for key, version in found.items() if version.data is not None}

    def add(self, key: str, data: bytes | None) -> Version:
        self.count += 1
        version = Version(f"v{self.count}", data)
        self.versions.setdefault(key, []).append(version)
        return version

    def drop(self, key: str, version: str) -> bool:
        """Delete one version for good."""
        if self.locked:
            return False
        self.versions[key] = [each for each in self.versions.get(key, []) if each.id != version]
        return True


@contextmanager
def simulated_s3() -> Iterator[SimulatedS3]:
    """A running one."""
    world = SimulatedS3()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"world": world}))
    server.daemon_threads = True
    world.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: SimulatedS3

    def answer(self) -> None:
        parts = urlsplit(self.path)
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.world.requests.append(f"{self.command} {self.path}")
        if self.world.broken:
            return self.say(500, b"<Error><Code>InternalError</Code></Error>")
        with self.world.lock:
            return {"GET": self.get, "HEAD": self.get, "PUT": self.put, "POST": self.post, "DELETE": self.delete}[
                self.command
            ](key, asked, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815  the names that the server looks for

    def get(self, key: str, asked: dict[str, str], _: bytes) -> None:
        if "versions" in asked:
            return self.list_versions(asked["prefix"])
        if not key:
            return self.list(asked)
        version = self.world.live(key).get(key)
        if version is None or version.data is None:
            return self.say(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if self.headers.get("If-None-Match") == version.e_tag:
            return self.say(304)
        data, status = version.data, 200
        span = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span is not None:
            start, end = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
            if start >= len(data):
                return self.say(416)
            extra = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
            return self.say(206, data[start : end + 1], version, extra)
        return self.say(status, data, version)

    def put(self, key: str, _: dict[str, str], body: bytes) -> None:
        there = self.world.live(key).get(key)
        wanted = self.headers.get("If-Match")
        if (self.headers.get("If-None-Match") == "*" and there) or (wanted and (not there or there.e_tag != wanted)):
            return self.say(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        return self.say(200, b"", self.world.add(key, body))

    def delete(self, key: str, _: dict[str, str], __: bytes) -> None:
        if key in self.world.live(key):
            self.world.add(key, None)
        self.say(204)

    def post(self, _: str, asked: dict[str, str], body: bytes) -> None:
        assert "delete" in asked
        told = []
        for one in re.findall(r"<Object>.*?</Object>", body.decode(), re.S):
            key = unescape(re.findall(r"<Key>(.*?)</Key>", one)[0], {"&quot;": '"', "&apos;": "'"})
            version = re.findall(r"<VersionId>(.*?)</VersionId>", one)
            if version and not self.world.drop(key, version[0]):
                told.append(
                    f"<Error><Key>{escape(key)}</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
                )
                continue
            if not version and key in self.world.live(key):
                self.world.add(key, None)
            told.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
        self.say(200, f"<DeleteResult>{''.join(told)}</DeleteResult>".encode())

    def list(self, asked: dict[str, str]) -> None:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        folders, objects = set(), []
        for key, version in self.world.live(prefix).items():
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            elif key > asked.get("start-after", ""):
                size = len(version.data or b"")
                objects.append(
                    f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>{escape(version.e_tag)}</ETag>"
                    f"<LastModified>{NOW:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
                )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders)
        )
        whole = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(objects)}{common}</ListBucketResult>"
        self.say(200, whole.encode())

    def list_versions(self, prefix: str) -> None:
        told = [
            f"<{kind}><Key>{escape(key)}</Key><VersionId>{version.id}</VersionId>"
            f"<IsLatest>{str(version is made[-1]).lower()}</IsLatest></{kind}>"
            for key, made in sorted(self.world.versions.items())
            if key.startswith(prefix)
            for version in made
            for kind in ["Version" if version.data is not None else "DeleteMarker"]
        ]
        self.say(
            200, f"<ListVersionsResult><IsTruncated>false</IsTruncated>{''.join(told)}</ListVersionsResult>".encode()
        )

    def say(
        self, status: int, body: bytes = b"", version: Version | None = None, extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        if version is not None:
            self.send_header("ETag", version.e_tag)
            self.send_header("Last-Modified", NOW.strftime("%a, %d %b %Y %H:%M:%S GMT"))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
