"""The table as a page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from skylift.artifacts.optimized import Form, Optimized
from training.optimize.table import ORIGINAL
from training.report.pages import page

HERE = Path(__file__).parent

WORDS = {"original": "original", "accepted": "accepted", "refused": "refused", "unjudged": "no data to judge by"}


def render(result: Optimized) -> str:
    """The whole page."""
    widest = max(row.bytes for row in result.rows)
    slowest = max(row.ms_batch_1 for row in result.rows)
    return page(
        "optimize.html.j2",
        HERE,
        result=result,
        original=ORIGINAL,
        words=WORDS,
        shares=[(round(100 * row.bytes / widest), round(100 * row.ms_batch_1 / slowest)) for row in result.rows],
        details=[_details(row) for row in result.rows],
    )


def _details(row: Form) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.details.items())
