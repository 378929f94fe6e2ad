"""One JSON line per event on stderr."""

from __future__ import annotations

import sys
from typing import Any, Literal

import msgspec

from skylift.artifacts.records import now

Form = Literal["plain", "google"]
_ERRORS = ("failed", "error", "died", "broken")
_WARNINGS = ("not_", "unreachable", "cannot", "cut_off", "no_effect", "ignored", "waits", "expired", "stopped")
_form: Form = "plain"


def use(form: Form) -> None:
    """Write lines in this form from now on, in this process.

    google: with the fields by which Cloud Logging sorts and shows them (https://cloud.google.com/logging/docs/structured-logging);
    without them it takes all that comes by stderr for errors.
    """
    global _form
    _form = form


def is_google() -> bool:
    return _form == "google"


def severity(name: str) -> str:
    """How bad an event is, by its name."""
    if any(part in name for part in _ERRORS):
        return "ERROR"
    return "WARNING" if any(part in name for part in _WARNINGS) else "INFO"


def event(name: str, **facts: Any) -> None:
    """Write what happened, with its facts. A closed stderr does not stop the server."""
    told = {"at": now(), "event": name, **facts}
    if is_google():
        told = {"severity": severity(name), "time": told["at"], **told, "message": facts.get("message") or name}
    line = msgspec.json.encode(told, enc_hook=str)
    try:
        sys.stderr.write(line.decode() + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
