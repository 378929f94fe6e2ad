"""Waiting without a clock of one's own."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest


def wait_for(condition: Callable[[], Any], seconds: float = 20.0, what: str = "the condition") -> Any:
    """Poll until `condition` gives something true, and return that."""
    ends = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > ends:
            pytest.fail(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False
