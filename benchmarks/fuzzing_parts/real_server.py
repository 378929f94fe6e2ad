"""A real server: a supervisor and its workers, with short deadlines so that slow clients can be tried many times."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.fuzzing_parts import resources
from benchmarks.fuzzing_parts.answers import WrongError
from benchmarks.fuzzing_parts.served import MODELS

HEADER_SECONDS, STALL_SECONDS, IDLE_SECONDS = 1.0, 2.0, 4.0
CONNECTIONS = 120
"""That a worker has open at once."""
BODY_MIB = 2
WORKERS = 2
_START = f"""
import sys
import msgspec
from serving.options import Limits
from serving.supervisor import program
short = Limits(header_seconds={HEADER_SECONDS}, stall_seconds={STALL_SECONDS}, idle_seconds={IDLE_SECONDS}, connections={CONNECTIONS})
program.Limits = lambda **given: msgspec.structs.replace(short, **given)
sys.exit(program.main(sys.argv[1:]))
"""
_ASKED = json.dumps({"instances": [[1.5, 2, 3]]})
_TOLD = [[3.0, 4.0, 6.0]]


class RealServer:
    """
    Args:
        folder: for the models, the cache and the log.
        options: further ones of the command line.
    """

    def __init__(self, folder: Path, *options: str, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        folder.mkdir(exist_ok=True)
        self._log = folder / "server.log"
        command = [sys.executable, "-P", "-c", _START, "--port", "0", "--workers", str(WORKERS)]
        command += ["--max-body-mib", str(BODY_MIB), "--cache", str(folder / "cache")]
        for name in ("rows", "texts", "pair", "any", "small", "two", "log"):
            (folder / name / "1").mkdir(parents=True, exist_ok=True)
            (folder / name / "1" / "model.onnx").write_bytes(MODELS[name])
            command += ["--model", f"{name}={folder / name}"]
        with self._log.open("wb") as stderr:
            self.process = subprocess.Popen([*command, *options], stderr=stderr, env=os.environ)
        try:
            self.port = int(self._wait("listening")["port"])
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        self.workers = [event["pid"] for event in self.events("worker_started")]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self._log.read_text(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if event.get("event") == name]

    def _wait(self, name: str) -> dict[str, Any]:
        ends = time.monotonic() + 120
        while time.monotonic() < ends and self.process.poll() is None:
            if found := self.events(name):
                return found[0]
            time.sleep(0.02)
        raise WrongError(f"no {name}: {self._log.read_text(errors='replace')[-2000:]}")

    def _wait_ready(self) -> None:
        ends = time.monotonic() + 120
        while time.monotonic() < ends:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise WrongError("the server does not become ready")

    def ask(self, method: str, path: str, body: str = "", timeout: float = 20.0) -> tuple[int, bytes]:
        if self._context is not None:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "localhost", self.port, timeout=timeout, context=self._context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body or None)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def check(self) -> float:
        """Ask for a prediction; how long it took [s].

        Raises:
            WrongError: another answer than the right one.
        """
        began = time.monotonic()
        status, body = self.ask("POST", "/v1/models/rows:predict", _ASKED)
        if status != 200 or json.loads(body)["predictions"] != _TOLD:
            raise WrongError(f"{status} {body[:300]!r}")
        return time.monotonic() - began

    def check_whole(self) -> None:
        """
        Raises:
            WrongError: a worker died, or something was logged that should not be.
        """
        died = self.events("worker_died")
        if died or self.process.poll() is not None:
            raise WrongError(f"a worker died: {died}: {self._log.read_text(errors='replace')[-3000:]}")
        text = self._log.read_text(errors="replace")
        if "Traceback" in text:
            at = text.index("Traceback")
            raise WrongError(f"the server logged: {text[max(0, at - 300) : at + 2500]}")

    def held(self) -> list[tuple[int, int]]:
        """Of each worker, memory [bytes] and descriptors."""
        return [(resources.resident(pid), resources.descriptors(pid)) for pid in self.workers]

    def stop(self) -> int:
        """The code that it ends with."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()
