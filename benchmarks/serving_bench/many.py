"""A hundred small models in one server: what they take of memory together."""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving_bench import ours
from benchmarks.serving_bench.figures import Claim
from benchmarks.serving_bench.model import tiny
from benchmarks.serving_bench.ours import Server, running
from benchmarks.serving_bench.processes import children, memory_mib, proportional_mib

SECTION = "Start and memory"
OPTION = "--models"
COUNT = 100
LIMIT_MIB = 400.0


@dataclass(frozen=True)
class Many:
    """Memory of the worker, and of all processes with shared pages counted once [MiB]; seconds until all answer."""

    count: int
    worker: float
    together: float
    seconds: float

    def claims(self) -> list[Claim]:
        note = f"{self.together:.0f} MiB in all processes, all answer after {self.seconds:.1f} s"
        what = f"{self.count} models of 1 MB: a worker"
        return [Claim(SECTION, what, self.worker, LIMIT_MIB, True, "MiB resident", note)]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def measure(count: int = COUNT) -> Many:
    """Serve them from folders, as TensorFlow Serving would, and ask each one once.

    Raises:
        RuntimeError: the server does not take the option, or does not answer.
    """
    if OPTION not in ours.known_options():
        raise RuntimeError(f"not served: there is no {OPTION}")
    with tempfile.TemporaryDirectory() as scratch:
        config = folders(Path(scratch), count)
        command = [sys.executable, "-P", "-m", "serving", OPTION, str(config), "--port", "0"]
        with running(command, Path(scratch) / "log") as server:
            for number in range(count):
                _ask(server, f"tiny-{number}")
            seconds = time.monotonic() - server.began
            (worker,) = server.workers
            together = proportional_mib([server.pid, *children(server.pid)])
            return Many(count, memory_mib(worker), together, seconds)


def folders(scratch: Path, count: int) -> Path:
    """Models in TensorFlow Serving's layout, and the file that names them."""
    entries = []
    for number in range(count):
        base = scratch / f"tiny-{number}"
        (base / "1").mkdir(parents=True)
        (base / "1" / "model.onnx").write_bytes(tiny(number))
        entries.append(f'  config {{ name: "{base.name}" base_path: "{base}" model_platform: "onnx" }}')
    config = scratch / "models.config"
    config.write_text("model_config_list {\n" + "\n".join(entries) + "\n}\n")
    return config


def _ask(server: Server, name: str) -> None:
    body = json.dumps({"instances": [[1.0] * 512]})
    ends = time.monotonic() + 120
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        try:
            connection.request("POST", f"/v1/models/{name}:predict", body)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status == 200:
            return
        if time.monotonic() > ends:
            raise RuntimeError(f"{name}: status {answer.status}: {said[:150].decode('utf-8', 'replace')}")
        time.sleep(0.1)
