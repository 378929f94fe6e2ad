"""What is left of a removed dataset in a versioned bucket. The clouds are simulated."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from skylift import Stack
from skylift.artifacts import datasets
from skylift.client import data
from skylift.client.purging import purge
from skylift.clouds import gcp_token, gcs, s3
from skylift.store import open_store
from tests.store.simulated_s3 import SimulatedS3, simulated_s3


@pytest.fixture
def simulated(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedS3]:
    with simulated_s3() as world:
        for name, value in world.environment.items():
            monkeypatch.setenv(name, value)
        stack.__dict__["keep"] = open_store("s3://keep")
        yield world


def published(stack: Stack, folder: Path, name: str = "flowers") -> str:
    folder.mkdir()
    (folder / "x & <y>.txt").write_text(name)
    return datasets.publish(stack.keep, name, folder)


class TestS3:
    def test_nothing_of_it_is_left_and_nothing_else_goes(
        self, stack: Stack, simulated: SimulatedS3, tmp_path: Path
    ) -> None:
        published(stack, tmp_path / "a")
        published(stack, tmp_path / "b", "flowers2")
        removed = data.remove(stack, "flowers")
        assert not any(made for key, made in simulated.versions.items() if key.startswith("datasets/flowers/"))
        assert datasets.list_datasets(stack.keep) == ["flowers2"]
        assert removed.purge.versions == 4 and removed.purge.until is None  # two objects, two marks
        assert "keeps nothing" in removed.purge.said

    def test_what_came_back_meanwhile_stays(self, stack: Stack, simulated: SimulatedS3, tmp_path: Path) -> None:
        published(stack, tmp_path / "a")
        datasets.remove(stack.keep, "flowers")
        ref = datasets.publish(stack.keep, "flowers", tmp_path / "a")
        purge(stack, "datasets/flowers")
        assert datasets.resolve(stack.keep, "flowers") == ref

    def test_a_lock_is_named_with_the_day_it_ends(self, stack: Stack, simulated: SimulatedS3, tmp_path: Path) -> None:
        published(stack, tmp_path / "a")
        simulated.locked = True
        removed = data.remove(stack, "flowers")
        assert not datasets.list_datasets(stack.keep)
        assert removed.purge.versions == 0 and "AccessDenied" in removed.purge.said
        assert removed.purge.until is not None
        assert (removed.purge.until - datetime.now(UTC)).days in (29, 30)

    def test_who_may_not_purge_has_removed_it_all_the_same(
        self, stack: Stack, simulated: SimulatedS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        published(stack, tmp_path / "a")
        datasets.remove(stack.keep, "flowers")
        for name in ("AWS_ACCESS_KEY_ID", "PATH"):
            monkeypatch.setenv(name, "")
        found = purge(stack, "datasets/flowers")
        assert "could not be purged (no AWS keys were found) and can be restored until" in found.said

    @pytest.mark.parametrize(
        ("query", "signature"),
        [
            ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ],
    )
    def test_requests_are_signed_as_amazon_documents(self, query: str, signature: str) -> None:
        """The examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""
        keys = s3.Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        at = datetime(2013, 5, 24, tzinfo=UTC)
        headers = s3.signed("GET", "https://examplebucket.s3.amazonaws.com/", query, b"", keys, "us-east-1", at)
        assert headers["Authorization"].endswith(f"Signature={signature}")


class _Google(BaseHTTPRequestHandler):
    """Objects with generations, two a page; `soft` is the bucket's soft delete [s]."""

    objects: list[dict[str, str]]
    soft: int
    status: int

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.status != 200:
            return self.say(self.status, {"error": {"message": "no right to"}})
        if not parts.path.endswith("/o"):
            return self.say(200, {"softDeletePolicy": {"retentionDurationSeconds": str(self.soft)}})
        found = [each for each in self.objects if each["name"].startswith(asked["prefix"])]
        start = int(asked.get("pageToken", 0))
        more = {"nextPageToken": str(start + 2)} if start + 2 < len(found) else {}
        return self.say(200, {"items": found[start : start + 2], **more})

    def do_DELETE(self) -> None:
        parts = urlsplit(self.path)
        name = unquote(parts.path.rpartition("/o/")[2])
        generation = parse_qs(parts.query)["generation"][0]
        self.objects[:] = [each for each in self.objects if (each["name"], each["generation"]) != (name, generation)]
        self.send_response(204)
        self.end_headers()

    def say(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def google(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Google]]:
    gone = {"timeDeleted": "2026-11-23T12:00:00Z"}
    objects = [
        {"name": "datasets/flowers/a b", "generation": "1", **gone},
        {"name": "datasets/flowers/a b", "generation": "2", **gone},
        {"name": "datasets/flowers/c", "generation": "3"},
        {"name": "datasets/flowers/d", "generation": "4", **gone},
        {"name": "datasets/flowers2/e", "generation": "5", **gone},
    ]
    world = type("Google", (_Google,), {"objects": objects, "soft": 7 * 86400, "status": 200})
    server = HTTPServer(("127.0.0.1", 0), world)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(gcs, "URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(gcp_token, "token", lambda: "simulated")
    stack.__dict__["keep"] = open_store("gs://keep")
    yield world
    server.shutdown()
    thread.join()
    server.server_close()


class TestGoogle:
    def test_old_generations_go_and_soft_delete_is_named(self, stack: Stack, google: type[_Google]) -> None:
        found = purge(stack, "datasets/flowers")
        assert [each["generation"] for each in google.objects] == ["3", "5"]
        assert found.versions == 3 and found.until is not None
        assert (found.until - datetime.now(UTC)).days in (6, 7)
        assert "soft delete can restore them until" in found.said

    def test_without_soft_delete_nothing_is_left(self, stack: Stack, google: type[_Google]) -> None:
        google.soft = 0
        found = purge(stack, "datasets/flowers")
        assert found.until is None and "keeps nothing" in found.said

    def test_missing_rights_are_named(self, stack: Stack, google: type[_Google]) -> None:
        google.status = 403
        found = purge(stack, "datasets/flowers")
        assert "could not be purged (not allowed: no right to) and can be restored until" in found.said


def test_on_azure_and_files_what_is_kept_is_said(stack: Stack) -> None:
    assert purge(stack, "datasets/flowers").until is None
    stack.__dict__["keep"] = open_store("az://account/keep")
    found = purge(stack, "datasets/flowers")
    assert found.until is not None and "it can be restored until" in found.said
