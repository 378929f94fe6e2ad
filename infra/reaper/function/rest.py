"""One JSON request, tried again where trying again helps."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

PAUSE = 1.0
"""Seconds before the second try; twice that before the third."""


class RestError(Exception):
    """The answer was no success. `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text[:500]}")
        self.status = status
        self.text = text


def ask(method: str, url: str, headers: dict[str, str]) -> dict[str, Any]:
    """Send a request without body; an empty answer is an empty object.

    Raises:
        RestError: refused, or overloaded three times.
        OSError: unreachable three times.
    """
    for left in (2, 1, 0):
        try:
            return _once(method, url, headers)
        except RestError as error:
            if not left or not (error.status == 429 or error.status >= 500):
                raise
        except OSError:
            if not left:
                raise
        time.sleep(PAUSE * (3 - left))
    raise AssertionError("the last try returns or raises")


def _once(method: str, url: str, headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310  # addresses are ours
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            text = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            raise RestError(error.code, error.read().decode(errors="replace")) from None
    found: dict[str, Any] = json.loads(text) if text.strip() else {}
    return found
