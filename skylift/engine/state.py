"""Reads a stack's outputs from its state file, without starting the engine: most commands need nothing else of it."""

from __future__ import annotations

import json
from typing import Any

from skylift.engine.environment import state_file, state_folder

_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the key by which Pulumi marks a value that it has encrypted


def stored_outputs(url: str, stack: str) -> dict[str, Any] | None:
    """The outputs as they stand in a `file://` backend, `{}` for a stack that is not there or has none.

    None where only the engine itself can tell: state that is elsewhere, compressed, encrypted or of another version.
    """
    folder = state_folder(url)
    if folder is None or not folder.is_dir():
        return None
    path = state_file(url, stack)
    if path is None:
        return {}
    if path.suffix != ".json":
        return None
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        latest = state["checkpoint"]["latest"] or {}
        roots = [one for one in latest.get("resources") or [] if one["type"] == "pulumi:pulumi:Stack"]
        outputs = roots[0].get("outputs", {}) if roots else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    is_plain = state.get("version") == 3 and isinstance(outputs, dict) and _SECRET not in json.dumps(outputs)
    return outputs if is_plain else None
