"""Base paths on files and in a bucket, and SavedModels that TensorFlow wrote."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from serving.interface import ModelConfig
from serving.sources.fetch import Versions
from serving.sources.folders import Source
from tests.serving import onnx_models
from tests.store.simulated_s3 import NOW, SimulatedS3, simulated_s3

ONNX: Mapping[str, bytes] = {"model.onnx": onnx_models.scale(2)}
AGO = 100_000.0
"""So much later than the files [s] the time of day is where nothing else is said: they are old."""


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `line` (variables, an asset) and `methods` (no variables)."""
    folder = tmp_path_factory.mktemp("saved_models")
    program = Path(__file__).with_name("make_saved_models.py")
    subprocess.run([sys.executable, "-P", str(program), str(folder)], check=True, capture_output=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """A folder's files by path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Clock:
    """Seconds since the test began, moved by hand; `age` makes what was just written that old."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.age = AGO

    def __call__(self) -> float:
        return self.now


class Place(Protocol):
    """Where versions lie."""

    url: str
    seconds: float
    """How long files must look the same."""

    def write(self, path: str, data: bytes) -> None: ...

    def remove(self, path: str) -> None: ...

    def source(self, **config: Any) -> Source: ...


class FilePlace:
    seconds = 1.0

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root = root
        self.url = str(root)
        self.clock = clock
        root.mkdir()

    def write(self, path: str, data: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()
        for folder in (self.root / path).parents:
            if folder != self.root and folder.is_relative_to(self.root) and not any(folder.iterdir()):
                folder.rmdir()

    def source(self, *, allow_empty: bool = False, **config: Any) -> Source:
        model = ModelConfig("m", self.url, **config)
        cache = Versions(self.root.parent / "cache")
        return Source(model, cache, allow_empty=allow_empty, now=self.clock, wall=self._wall)

    def _wall(self) -> float:
        return time.time() + self.clock.age


class BucketPlace:
    seconds = 3.0

    def __init__(self, s3: SimulatedS3, cache: Path, clock: Clock) -> None:
        self.s3 = s3
        self.cache = cache
        self.url = "s3://bucket/models/m"
        self.clock = clock

    def write(self, path: str, data: bytes) -> None:
        self.s3.add(f"models/m/{path}", data)

    def remove(self, path: str) -> None:
        self.s3.add(f"models/m/{path}", None)

    def source(self, *, allow_empty: bool = False, **config: Any) -> Source:
        model = ModelConfig("m", self.url, **config)
        return Source(model, Versions(self.cache), allow_empty=allow_empty, now=self.clock, wall=self._wall)

    def _wall(self) -> float:
        return NOW.timestamp() + self.clock.age


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def s3() -> Iterator[SimulatedS3]:
    with simulated_s3() as running:
        yield running


@pytest.fixture
def bucket(s3: SimulatedS3, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> BucketPlace:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    s3.versions.clear()
    return BucketPlace(s3, tmp_path / "cache", clock)


@pytest.fixture(params=["files", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Place:
    if request.param == "files":
        return FilePlace(tmp_path / "models", clock)
    found: BucketPlace = request.getfixturevalue("bucket")
    return found
