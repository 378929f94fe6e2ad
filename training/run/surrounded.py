"""What every supervisor of a run's process needs first: the secrets' values, and a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from skylift.artifacts.records import RunSpec
from skylift.errors import InputError


def secrets_of(spec: RunSpec, environment: Mapping[str, str]) -> list[str]:
    """The values of the secrets that a run names.

    Raises:
        InputError: some are not in the environment.
    """
    missing = [name for name in spec.secrets if name not in environment]
    if missing:
        raise InputError(
            f"run {spec.id} needs secrets that are not in the environment: {', '.join(missing)}",
            hint="set them, or start the run with `skylift train --secret NAME`, which hands them over",
            details={"missing": missing},
        )
    return [environment[name] for name in spec.secrets]


def scratch_for(run_id: str, attempt: int, member: int = 0) -> Path:
    """A new folder for a member's attempt; those that its killed attempts at the run left behind go, for the claim is ours."""
    beginning = f"skylift-{run_id}-{member}-"
    for left in Path(tempfile.gettempdir()).glob(f"{beginning}*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{beginning}{attempt}-"))
