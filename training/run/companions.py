"""The other members of a group whose machines are this one: processes that the chief's supervisor starts and ends.

They end with it, however it ends: each holds one end of a pipe whose other end only the chief's supervisor has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from training.cluster.surroundings import COUNT, INDEX, LOCAL
from training.run import codes

LIFELINE = "SKYLIFT_LIFELINE"
"""Number of the descriptor that ends with the chief's supervisor."""

_GRACE_SECONDS = 30.0
_ORPHAN_SECONDS = 5.0
"""How long a companion without a chief may take to leave [s]."""


class Companions:
    """Supervisors of the members 1, 2, …; one alone has none. They print where we print."""

    def __init__(self, run_url: str, members: int) -> None:
        self._url = run_url
        self._members = members
        self._started: dict[int, subprocess.Popen[bytes]] = {}
        self._theirs, self._ours = os.pipe()

    def start(self) -> None:
        """Start those that are not there, or no longer."""
        for index in range(1, self._members):
            there = self._started.get(index)
            if there is None or there.poll() is not None:
                self._start(index)

    def replace_killed(self) -> None:
        """Start those anew that somebody killed; who left by itself, as asked or for good, stays away."""
        for index, there in list(self._started.items()):
            if (there.poll() or 0) < 0:
                self._start(index)

    def have_left(self, members: range) -> bool:
        """Whether there are none of these numbers any more."""
        mine = [self._started[index] for index in members if index in self._started]
        return bool(mine) and all(each.poll() is not None for each in mine)

    def _start(self, index: int) -> None:
        told = {INDEX: str(index), COUNT: str(self._members), LOCAL: "1", LIFELINE: str(self._theirs)}
        self._started[index] = subprocess.Popen(
            [sys.executable, "-P", "-m", "training", "run", "--run", self._url],
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            pass_fds=(self._theirs,),
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
        os.close(self._theirs)
        os.close(self._ours)


def follow_parent(environ: Mapping[str, str], asked: threading.Event) -> None:
    """In a companion: stop when the chief's supervisor is gone, by whatever signal."""
    if LIFELINE not in environ:
        return
    lifeline = int(environ[LIFELINE])
    os.set_inheritable(lifeline, False)

    def wait() -> None:
        os.read(lifeline, 1)
        asked.set()
        time.sleep(_ORPHAN_SECONDS)
        os._exit(codes.SAVED)  # what we started knows of it and ends with us

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
