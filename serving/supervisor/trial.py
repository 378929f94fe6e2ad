"""How a canary fares beside the version that it may follow."""

from __future__ import annotations

from serving import control
from serving.traffic import Traffic


class Trial:
    """What both have answered since the canary began."""

    def __init__(self) -> None:
        self.stable = Traffic()
        self.canary = Traffic()

    def merge(self, counted: control.Counted) -> None:
        if counted.stable is not None:
            self.stable.merge(counted.stable)
        if counted.canary is not None:
            self.canary.merge(counted.canary)
