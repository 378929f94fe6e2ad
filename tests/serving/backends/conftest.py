"""Models as TensorFlow writes them, once for all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WRITE = Path(__file__).with_name("write_models.py")


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    subprocess.run([sys.executable, str(WRITE), str(folder)], check=True, capture_output=True)
    return folder
