"""Exit codes of `training run`. Others are those of skylift.errors: 5 somebody else is at it, 6 this machine, 11 a bucket."""

from __future__ import annotations

SUCCEEDED = 0
FAILED = 9
SAVED = 75
"""Stopped before the end, what is worth keeping is saved: the same command goes on."""
CANCELLED = 130
"""Stopped because cancel.json asked for it; the run has ended."""
