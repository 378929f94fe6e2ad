"""Servers in the surroundings of a service: its variables, its folders, its way to start an image."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from skylift.artifacts.records import Format, ModelManifest, Parity, Signature, encode, now
from skylift.artifacts.records import TensorSpec as Spec
from tests.serving import onnx_models
from tests.serving.conftest import Server

STRANGERS = ("SAGEMAKER_", "AIP_", "AZUREML_", "SKYLIFT_", "MSI_", "IDENTITY_", "AWS_", "AZURE_")


class Place:
    """A folder with models, and servers that are started as a service starts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = folder / "models"
        self.models.mkdir()
        self.servers: list[Server] = []

    def put(self, where: str, factor: float = 2.0) -> Path:
        """Write the model `y = factor * x` over rows of three as a version's only file."""
        folder = self.models / where
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(onnx_models.scale(factor))
        return folder

    def publish(self, where: str, name: str, factor: float) -> Path:
        """The same with a manifest of ours."""
        folder = self.put(where, factor)
        row = [Spec(name="x", dtype="float32", shape=[None, 3])]
        parity = Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True)
        manifest = ModelManifest(
            name=name,
            created=now(),
            by="test",
            signature=Signature(inputs=row, outputs=[Spec(name="y", dtype="float32", shape=[None, 3])]),
            formats={"onnx": Format(path="model.onnx", parity=parity)},
            files=[],
        )
        (folder / "manifest.json").write_bytes(encode(manifest))
        return folder

    def start(self, *arguments: str, ready: bool = True, **variables: str) -> Server:
        """Start the program as an image's entry point does, in these variables and no other service's."""
        log = self.folder / f"server-{len(self.servers)}.log"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(STRANGERS)}
        environment = {**plain, "XDG_CACHE_HOME": str(self.folder / "cache"), "SKYLIFT_PORT": "0", **variables}
        environment.setdefault("SKYLIFT_HOST", "127.0.0.1")
        command = [sys.executable, "-P", "-m", "serving", *arguments]
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stderr=stderr, env=environment)
        try:
            server = Server(process, log)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self.servers.append(server)
        if ready:
            server.wait_ready()
        return server

    def fail(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Start what cannot start: its exit code and what it says."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(STRANGERS)}
        command = [sys.executable, "-P", "-m", "serving", *arguments]
        ended = subprocess.run(command, env={**plain, **variables}, capture_output=True, text=True, timeout=30)
        return ended.returncode, ended.stderr

    def end(self) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
