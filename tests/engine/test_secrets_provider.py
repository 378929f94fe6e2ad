"""Secrets in state under a key of a cloud: what `secretsprovider:` in a stack's file does, with a key service of this machine."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from skylift import assets
from skylift.engine import Engine, find_pulumi
from skylift.stack.project import Project

pytestmark = pytest.mark.slow

KEY = "awskms://alias/ours?region=us-east-1&awssdk=v2"
STACK = f"""\
# written by hand
secretsprovider: {KEY}

config:
  # kept
  skylift:target: local
"""


class Keys(BaseHTTPRequestHandler):
    """AWS' key service, simulated: it turns what it gets around."""

    asked: list[str]

    def do_POST(self) -> None:
        action = self.headers["X-Amz-Target"].partition(".")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append(f"{action} {body.get('KeyId')}")
        given, told = ("Plaintext", "CiphertextBlob") if action == "Encrypt" else ("CiphertextBlob", "Plaintext")
        turned = base64.b64encode(base64.b64decode(body[given])[::-1]).decode()
        answer = json.dumps({told: turned, "KeyId": "arn:aws:kms:us-east-1:123456789012:key/k"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    Keys.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "simulated")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "simulated")
        yield Keys.asked
        server.shutdown()


def test_a_new_stack_is_encrypted_by_the_key_that_its_file_names(
    keys: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL", "PULUMI_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    tool = find_pulumi()
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, tool.path_entries), os.environ["PATH"]]))
    root = tmp_path / "project"
    (root / "stacks").mkdir(parents=True)
    for name in ("Pulumi.yaml", "__main__.py"):
        (root / name).write_text(assets.path(name).read_text(encoding="utf-8"), encoding="utf-8")
    path = root / "stacks" / "Pulumi.lab.yaml"
    path.write_text(STACK, encoding="utf-8")
    project = Project(root)
    Engine(project, "lab").create()
    assert keys[0] == "Encrypt alias/ours"
    written = path.read_text(encoding="utf-8")
    assert KEY in written and "encryptedkey: " in written, "the stack's data key, which only the key opens"
    assert "encryptionsalt" not in written and "# kept" in written
    assert project.settings("lab").target == "local"
    Engine(project, "lab").create()
    assert sum(one.startswith("Encrypt") for one in keys) == 1, "a stack that is there is not made again"
