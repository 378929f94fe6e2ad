"""Pulumi's own installation, through the Automation API's `PulumiCommand.install`, where its site can be reached."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

from skylift.engine.progress import BuildProgress, OnBuild
from skylift.errors import MachineError, UnreachableError

SITE = "https://get.pulumi.com/install.sh"
REACH_WITHIN = 4.0
"""How long the site may take to answer [s] before the next way is tried."""

_INSTALL_WITHIN = 600.0
_PROGRAM = "import sys; from pulumi.automation import PulumiCommand; PulumiCommand.install(root=sys.argv[1])"


@functools.cache
def version() -> str:
    """The version that fits the installed SDK; it is what gets installed."""
    import importlib.metadata

    return importlib.metadata.version("pulumi")


def require_reachable(site: str = SITE) -> None:
    """Raises:
    UnreachableError: the site does not answer in time.
    """
    import urllib.request  # half of what this room costs to import, for what is asked once in its life

    request = urllib.request.Request(site, method="HEAD")  # noqa: S310 - a fixed https address
    try:
        urllib.request.urlopen(request, timeout=REACH_WITHIN).close()  # noqa: S310
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(f"the official installation cannot be reached ({site}: {reason})") from None


def install(folder: Path, progress: OnBuild) -> None:
    """Install into `folder`, in a process of its own, so that a hanging download ends.

    Raises:
        MachineError: it failed or took too long.
    """
    progress(BuildProgress(f"installing Pulumi {version()} from {SITE}"))
    command = [sys.executable, "-P", "-c", _PROGRAM, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_WITHIN)
    except subprocess.TimeoutExpired:
        raise MachineError(f"the official installation did not finish within {_INSTALL_WITHIN:.0f} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MachineError(f"the official installation failed: {last}")
