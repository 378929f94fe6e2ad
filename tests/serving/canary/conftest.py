"""Two replicas of one endpoint, and clients that ask without a pause."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from skylift.artifacts import endpoints
from skylift.artifacts.comparing import CanaryLimits
from skylift.artifacts.records import Canary, CanaryReport, Deployment, ModelRef, ReplicaReport
from tests.serving.conftest import ENDPOINT, Bench, Server
from tests.serving.waiting import wait_for

PATH = "/v1/models/scale:predict"


class Canaries(Bench):
    """A bench whose deployments may have a canary."""

    def deploy_canary(
        self, stable: ModelRef, canary: ModelRef, weight: float, limits: CanaryLimits | None = None
    ) -> Deployment:
        second = Canary(model=canary, weight=weight, judge=limits)
        return endpoints.deploy(self.keep, ENDPOINT, stable, by="test", canary=second)

    def replica(self, name: str, *options: str) -> Server:
        server = self.start("--replica", name, "--cache", str(self.folder / f"cache-{name}"), *options)
        server.wait_ready()
        return server

    def reports(self) -> dict[str, ReplicaReport]:
        return {report.replica: report for report, _ in endpoints.list_replicas(self.work, ENDPOINT)}

    def canary(self, name: str) -> CanaryReport | None:
        report = self.reports().get(name)
        return report.canary if report is not None else None

    def wait_canary(self, name: str, state: str, number: int, seconds: float = 20.0) -> CanaryReport:
        def look() -> CanaryReport | None:
            report = self.reports().get(name)
            if report is None or report.serving != number or report.canary is None or report.canary.state != state:
                return None
            return report.canary

        found: CanaryReport = wait_for(look, seconds, f"canary {state} on {name}: {self.reports()}")
        return found


class Crowd:
    """What clients were answered: statuses by version, and everything that was no answer."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.broken: list[str] = []
        self._lock = threading.Lock()

    def add(self, status: int, version: str) -> None:
        with self._lock:
            self.answers[status, version] += 1

    def of(self, version: str) -> int:
        return sum(count for (_, said), count in self.answers.items() if said == version)

    def failed(self, version: str) -> int:
        return sum(count for (status, said), count in self.answers.items() if said == version and status != 200)


@contextmanager
def crowd(server: Server, rows: list[Any], clients: int = 2) -> Iterator[Crowd]:
    """Clients that ask one of `rows` after the other until it is left."""
    import http.client
    import json

    seen, over = Crowd(), threading.Event()
    bodies = [json.dumps({"instances": [row]}) for row in rows]

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        turn = 0
        while not over.is_set():
            try:
                connection.request("POST", PATH, bodies[turn % len(bodies)])
                response = connection.getresponse()
                response.read()
                seen.add(response.status, response.headers.get("X-Skylift-Model-Version", ""))
            except (OSError, http.client.HTTPException) as error:
                seen.broken.append(repr(error))
                connection.close()
            turn += 1
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def bench(tmp_path: Any) -> Iterator[Canaries]:
    made = Canaries(tmp_path)
    yield made
    for server in made.servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()
