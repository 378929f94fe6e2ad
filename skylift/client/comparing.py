"""Runs beside each other, as the training program finds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skylift.artifacts import runs
from skylift.client.stack import Stack
from skylift.launch.asking import ask_training


def compare(stack: Stack, names: Sequence[str], html: Path | None = None) -> dict[str, Any]:
    """`runs` (id, state, what was asked, metrics, curves by epoch) and `rows` of a table: what differs, then metrics.

    Args:
        names: ids, or beginnings or endings that only one run has, or `last`; two to six.
        html: where to write a page with their curves.

    Raises:
        NotFoundError: there is no such run.
        InputError: a name fits several, or too few or too many are given.
    """
    ids = [runs.find_run(stack.keep, name) for name in names]
    arguments = ["compare", *ids, "--keep", stack.keep.url, "--work", stack.work.url]
    found: dict[str, Any] = ask_training([*arguments, "--html", str(html)] if html is not None else arguments)
    return found
