"""The run's status in the work bucket, with a heartbeat."""

from __future__ import annotations

import contextlib
import sys
import threading
from datetime import datetime

from skylift.artifacts import runs
from skylift.artifacts.records import RunStatus, State, Transition, now
from skylift.errors import SkyliftError
from skylift.store import Store
from training.run.claim import Claim

BEAT_SECONDS = 5.0


class LiveStatus:
    """Writes the status on every change and every BEAT_SECONDS. A beat that cannot be written is tried again at the next."""

    def __init__(self, work: Store, claim: Claim) -> None:
        before = runs.read_status(work, claim.id)
        self._work = work
        self._claim = claim
        self._state: State = "running"
        self._stage = "starting"
        self._message = ""
        self._history = [*(before.history if before else []), Transition(state="running", at=now())]
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def started(self) -> datetime:
        """When the first attempt began."""
        return next(each.at for each in self._history if each.state == "running")

    def start(self) -> None:
        """Write the first status and begin to beat.

        Raises:
            SkyliftError: the work bucket cannot be written.
        """
        runs.write_status(self._work, self._status())
        self._thread.start()

    def stage(self, text: str) -> None:
        self._stage = text
        self._write()

    def end(self, state: State, message: str = "") -> None:
        """The last status of this attempt."""
        self._ended.set()
        self._thread.join()
        self._state, self._stage, self._message = state, "", message
        self._history = [*self._history, Transition(state=state, at=now())]
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._lock, contextlib.suppress(ValueError):
            try:
                runs.write_status(self._work, self._status())
            except SkyliftError as error:
                print(f"the status cannot be written: {error.message}", file=sys.stderr, flush=True)

    def _status(self) -> RunStatus:
        claim = self._claim
        return RunStatus(
            id=claim.id,
            state=self._state,
            beat=now(),
            attempt=claim.attempt,
            host=claim.host,
            pid=claim.pid,
            stage=self._stage,
            message=self._message,
            history=self._history,
        )
