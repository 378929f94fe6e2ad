import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.engine import locks


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running process that is called pulumi."""
    program = shutil.copy("/bin/sleep", tmp_path / "pulumi")
    process = subprocess.Popen([program, "600"])
    yield process
    process.kill()
    process.wait()


def _lock(root: Path, name: str, pid: int, host: str) -> Path:
    path = root / ".pulumi" / "locks" / "organization" / "skylift" / "local" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"pid": pid, "username": "ada", "hostname": host, "timestamp": "2026-11-22T10:00:00Z"}
    path.write_text(json.dumps(said))
    return path


def test_only_locks_of_dead_processes_of_this_machine_go(tmp_path: Path, engine: subprocess.Popen[bytes]) -> None:
    here = socket.gethostname()
    dead = _lock(tmp_path, "dead", 2**22 + 1, here)
    reused = _lock(tmp_path, "reused", os.getpid(), here)
    living = _lock(tmp_path, "living", engine.pid, here)
    elsewhere = _lock(tmp_path, "elsewhere", 2**22 + 1, "another-machine")
    gone = locks.clear_stale(tmp_path.as_uri(), "local")
    assert {lock.path for lock in gone} == {dead, reused}
    assert {lock.path for lock in locks.locks(tmp_path.as_uri(), "local")} == {living, elsewhere}


def test_other_stacks_and_other_backends_are_not_looked_at(tmp_path: Path) -> None:
    path = _lock(tmp_path, "dead", 2**22 + 1, socket.gethostname())
    assert locks.clear_stale(tmp_path.as_uri(), "other") == []
    assert locks.clear_stale("s3://bucket", "local") == []
    assert path.exists()


def test_a_lock_that_a_full_disk_cut_short_goes(tmp_path: Path) -> None:
    """The engine takes any file there for a lock, and fails on an empty one."""
    half = _lock(tmp_path, "half", 1, "x").with_suffix(".json.18ea.tmp")
    half.touch()
    locks.clear_stale(tmp_path.as_uri(), "local")
    assert not half.exists()


def test_a_lock_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    path = _lock(tmp_path, "half", 1, "x")
    path.write_text('{"pid": 1')
    assert locks.clear_stale(tmp_path.as_uri(), "local") == []
    assert path.exists()
