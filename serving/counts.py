"""What a worker has answered since it last told its supervisor."""

from __future__ import annotations

from serving import control
from serving.calls import Call
from serving.http.status import http_status
from serving.models import Models
from serving.traffic import Traffic


class Counts:
    """What was answered since it was last told."""

    def __init__(self) -> None:
        self._all = Traffic()
        self._stable: Traffic | None = None
        self._canary: Traffic | None = None

    def add(self, status: int, seconds: float) -> None:
        self._all.add(status, seconds)

    def add_call(self, call: Call, models: Models) -> None:
        seconds = call.answered - call.arrived
        status = http_status(call.status)
        self._all.add(status, seconds)
        version = models.version(call.model, call.version)
        if version is None:
            return
        version.tally.add(call)
        if version.in_trial:
            if self._stable is None or self._canary is None:
                self._stable, self._canary = Traffic(), Traffic()
            # What a model itself refuses counts against it: clients send the other version the same.
            refused_by_model = call.parsed and 400 <= status < 499 and status != 429
            (self._canary if version.is_canary else self._stable).add(500 if refused_by_model else status, seconds)

    def take(self) -> control.Counted | None:
        if not self._all.count:
            return None
        counted = control.Counted(self._all, self._stable, self._canary)
        self._all, self._stable, self._canary = Traffic(), None, None
        return counted
