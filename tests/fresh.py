"""Files that are generated, as they would be generated now."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

EXPORT = (
    "export", "-q", "--frozen", "--no-hashes", "--no-dev", "--no-emit-project", "--no-annotate", "--no-header",
    "--extra", "train", "--extra", "serve", "--extra", "serve-tensorflow",
)  # fmt: skip
"""`uv $EXPORT -o requirements/local.txt` writes the file anew."""


def requirements_now(root: Path) -> str:
    """requirements/local.txt as uv.lock says it."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on PATH; run the tests with `uv run pytest`")
    return subprocess.run([uv, *EXPORT], cwd=root, capture_output=True, text=True, check=True).stdout
