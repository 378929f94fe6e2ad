"""Processes that a run has left behind."""

from __future__ import annotations

import sys

import psutil


def left_over(run: str) -> list[list[str]]:
    """Command lines of our interpreter's processes that name the run."""
    found = []
    for each in psutil.process_iter(["cmdline"]):
        line = each.info["cmdline"] or []
        if sys.executable in line[:1] and any(run in part for part in line):
            found.append(line)
    return found
