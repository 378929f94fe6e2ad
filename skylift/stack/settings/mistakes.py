"""Turns what is wrong with a file into one error that says everything at once: key, given value, allowed values, nearest key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skylift.errors import SettingsError

Mistake = dict[str, Any]
"""`key`, `problem`, and where they help `given`, `allowed` and `nearest`."""


def settings_error(mistakes: list[Mistake], where: str) -> SettingsError:
    lines = [describe(mistake) for mistake in mistakes]
    count = "one mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return SettingsError(
        f"{where} has {count}:\n" + "\n".join(f"  {line}" for line in lines),
        hint=f"mend {where}; docs/settings.md explains every setting",
        details={"file": where, "mistakes": mistakes},
    )


def describe(mistake: Mapping[str, Any]) -> str:
    """One mistake as one sentence."""
    text = f"{mistake['key']}"
    if "given" in mistake:
        text += f" = {mistake['given']!r}"
    text += f" {mistake['problem']}"
    if mistake.get("nearest"):
        text += f"; did you mean {mistake['nearest']!r}?"
    if mistake.get("allowed"):
        text += f" (allowed: {', '.join(map(str, mistake['allowed']))})"
    return text
