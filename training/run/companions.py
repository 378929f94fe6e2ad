"""The other members of a group whose machines are this one: processes that the chief's supervisor starts and ends."""

from __future__ import annotations

import os
import subprocess
import sys

from training.cluster.surroundings import COUNT, INDEX, LOCAL

_GRACE_SECONDS = 30.0


class Companions:
    """Supervisors of the members 1, 2, …; one alone has none. They print where we print."""

    def __init__(self, run_url: str, workers: int) -> None:
        self._url = run_url
        self._workers = workers
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start those that are not there, or no longer."""
        for index in range(1, self._workers):
            there = self._started.get(index)
            if there is None or there.poll() is not None:
                self._started[index] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "training", "run", "--run", self._url],
                    env={**os.environ, INDEX: str(index), COUNT: str(self._workers), LOCAL: "1"},
                    stdin=subprocess.DEVNULL,
                    process_group=0,
                )

    def end(self) -> None:
        """See that all are gone."""
        for each in self._started.values():
            if each.poll() is None:
                each.terminate()
        for each in self._started.values():
            try:
                each.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
