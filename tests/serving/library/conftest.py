"""Servers that follow folders in TensorFlow Serving's layout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import onnx_models
from tests.serving.conftest import Server


class Shelf:
    """Base paths below one folder, and servers that follow them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Server] = []

    def put(self, name: str, version: int, model: bytes) -> Path:
        """A version, whole at once; old enough to be taken at the first look."""
        staged = self.folder / f".{name}-{version}"
        staged.mkdir(parents=True)
        path = staged / "model.onnx"
        path.write_bytes(model)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        place = self.folder / name / str(version)
        place.parent.mkdir(exist_ok=True)
        staged.rename(place)
        return place

    def scale(self, name: str, version: int, factor: float) -> Path:
        return self.put(name, version, onnx_models.scale(factor))

    def start(self, *arguments: str) -> Server:
        log = self.folder / f"server-{len(self.servers)}.log"
        command = [sys.executable, "-P", "-m", "serving", "--cache", str(self.folder / "cache"), *arguments]
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stderr=stderr)
        try:
            server = Server(process, log)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self.servers.append(server)
        return server

    def serve(self, *names: str, options: tuple[str, ...] = ()) -> Server:
        models = [f"--model={name}={self.folder / name}" for name in names]
        server = self.start("--port", "0", "--poll-seconds", "0.2", *models, *options)
        server.wait_ready()
        return server


def shelf_in(folder: Path) -> Iterator[Shelf]:
    """Ends its servers."""
    made = Shelf(folder)
    yield made
    for server in made.servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    yield from shelf_in(tmp_path)
