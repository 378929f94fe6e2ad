"""The command `skylift`. One command a file; a command's file is loaded when it is called, so `--help` stays quick.

Nothing heavy is imported here: a test holds what `skylift --help` may load.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from skylift.cli._group import cli

__all__ = ["cli", "main"]


def main() -> NoReturn:
    """Run the command and leave with its exit code (docs/exit-codes.md)."""
    from skylift.cli._errors import run

    sys.exit(run(cli, sys.argv[1:]))
