"""The page: one small file that nothing but its own digests lets run, and that shows in a browser what is served."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.openapi import page
from serving.openapi.document import build
from tests.serving.openapi import openapi_models as given

HTML = page.page().decode()


def part(name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", HTML, re.DOTALL)
    assert found is not None
    return found[1]


def test_it_is_small_and_loads_nothing_from_elsewhere() -> None:
    assert len(page.page()) < 30_000
    assert not re.findall(r"https?:|//[a-z]|@import|url\(", HTML.replace("// ", ""))
    assert HTML.count("<script") == HTML.count("<style") == 1


def test_its_policy_allows_its_own_script_and_style_and_nothing_else() -> None:
    lines = page.headers().decode()
    assert lines.endswith("\r\n")
    policy = next(line for line in lines.split("\r\n") if line.startswith("Content-Security-Policy: "))
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(part(name).encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"\s(on\w+|style)=", HTML.replace(part("script"), ""))  # which the policy would not let run
    assert not re.search(
        r"innerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage|sessionStorage|cookie", part("script")
    )


def test_what_the_script_looks_for_is_there() -> None:
    for name in re.findall(r'\$\("#([a-z]+)"', part("script")):
        assert f'id="{name}"' in HTML or f'id: "{name}"' in part("script")
    for name in re.findall(r'\$\("\.([a-z]+)"', part("script")):
        assert re.search(rf'class="[^"]*\b{name}\b', HTML)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers = {"/": (page.page(), page.CONTENT_TYPE), "/openapi.json": (build(given.SERVER), b"application/json")}
        body, content_type = answers.get(self.path, (b"{}", b"application/json"))
        self.send_response(200)
        self.send_header("Content-Type", content_type.decode())
        if self.path == "/":
            for line in page.headers().decode().splitlines():
                self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_shows_what_is_served(address: str, tmp_path: Path) -> None:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command += ["--virtual-time-budget=5000", "--dump-dom", address]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "several inputs {odd}" in shown and "version 3 · stable" in shown
    assert "/v1/models/digits:predict" in shown and "[?,28,28,1]" in shown and "<canvas" in shown
    assert 'class="dot good"' in shown and ">Send</button>" in shown
