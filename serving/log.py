"""One JSON line per event on stderr."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from skylift.artifacts.records import now


def event(name: str, **facts: Any) -> None:
    """Write what happened, with its facts. A closed stderr does not stop the server."""
    line = msgspec.json.encode({"at": now(), "event": name, **facts}, enc_hook=str)
    try:
        sys.stderr.write(line.decode() + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
