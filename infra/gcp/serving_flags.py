"""What the serving program is told, by the names of its settings."""

from __future__ import annotations

from infra.context import EndpointPlan


def flags(plan: EndpointPlan) -> tuple[str, ...]:
    """Options of `python -P -m serving`."""
    given = plan.settings
    options = {
        "--workers": given.workers,
        "--threads": given.threads,
        "--backend": given.backend,
        "--queue-rows": given.queue_rows,
        "--max-batch-rows": given.max_batch_rows,
        "--drain-seconds": f"{given.drain_seconds:g}",
    }
    flags = tuple(str(part) for option in options.items() for part in option)
    return (*flags, "--approval") if given.approval else flags
