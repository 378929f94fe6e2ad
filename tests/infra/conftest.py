from pathlib import Path

import pytest

STANDIN = Path(__file__).parent / "standin"


@pytest.fixture(autouse=True)
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs started from here find a small `serving` of the same flags and health routes before the real one.

    Returns:
        A folder: a file `broken` in it lets the stand-in end at its start, `not-ready` keeps it from being ready.
    """
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    monkeypatch.setenv("STANDIN_BROKEN", str(tmp_path / "broken"))
    monkeypatch.setenv("STANDIN_NOT_READY", str(tmp_path / "not-ready"))
    return tmp_path
