"""Which right a request needs: what it asks of which model."""

from __future__ import annotations

import re
from urllib.parse import unquote

from skylift.artifacts.access import Verb

OPEN = frozenset({"/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/ping"})
"""Answered to everybody: whoever looks after a replica has no key."""

_MODEL = re.compile(r"/v[12]/models/(?P<name>[^/:]+)(?P<rest>.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_CHANGE = re.compile(r"/v2/repository/models/(?P<name>[^/]+)/(?:load|unload)", re.ASCII)


def asked(method: bytes, path: str) -> tuple[str, Verb]:
    """The model, empty for all of them, and the verb. What is not known counts as a prediction: the right that most keys have
    nothing beyond."""
    match = _MODEL.fullmatch(path)
    if match is not None:
        return unquote(match["name"]), "metadata" if method in (b"GET", b"HEAD", b"OPTIONS") else "predict"
    change = _CHANGE.fullmatch(path)
    if change is not None:
        return unquote(change["name"]), "admin"
    return "", "metadata" if method in (b"GET", b"HEAD", b"OPTIONS") or path == "/v2/repository/index" else "predict"
