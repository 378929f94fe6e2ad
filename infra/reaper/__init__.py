"""The stack's reaper: a scheduled function that removes run groups past their end time.

`files` gives the source to upload, `ENTRY` the handler's name, `ACTIONS` what the function's identity needs, `ENVIRONMENT` what
it must be told, `SCHEDULE` how often it runs.
"""

from __future__ import annotations

from infra.reaper.package import ENTRY, ENVIRONMENT, RUNTIME, SCHEDULE, files
from infra.reaper.permissions import ACTIONS

__all__ = ["ACTIONS", "ENTRY", "ENVIRONMENT", "RUNTIME", "SCHEDULE", "files"]
