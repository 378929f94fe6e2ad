"""The page that lets people try what is served: one file, nothing loaded from elsewhere, allowed to talk to its own server only."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

CONTENT_TYPE = b"text/html; charset=utf-8"
_FOLDER = Path(__file__).parent


@cache
def page() -> bytes:
    """The page as HTML, below 30 KB. Reads `openapi.json` beside itself."""
    html = (_FOLDER / "page.html").read_bytes()
    return html.replace(b"/*STYLE*/", _part("page.css")).replace(b"/*SCRIPT*/", _part("page.js"))


@cache
def headers() -> bytes:
    """Header lines that go with the page: its style and script are allowed by their digests, all else is not."""
    policy = (
        f"default-src 'none'; style-src '{_digest('page.css')}'; script-src '{_digest('page.js')}'; connect-src 'self'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return (
        b"Content-Security-Policy: %b\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
        b"Cache-Control: no-cache\r\n" % policy.encode()
    )


def _part(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def _digest(name: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(_part(name)).digest()).decode("ascii")
