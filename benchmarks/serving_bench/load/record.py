"""When each request was answered, and by which deployment: what is needed to look at single moments afterwards."""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path

from benchmarks.serving_bench.load.wire import Http1, Wire

_DEPLOYMENT = re.compile(rb"\r\nx-skylift-deployment: (\d+)", re.IGNORECASE)


class Recorder:
    """Fills a record. Times are those of `time.monotonic`, which all processes of a machine share."""

    def __init__(self) -> None:
        self._began = array("d")
        self._ended = array("d")
        self._first: dict[int, float] = {}

    def heard(self, began: float, ended: float, status: int, wire: Wire) -> None:
        self._began.append(began)
        self._ended.append(ended)
        if status == 200 and isinstance(wire, Http1):
            found = _DEPLOYMENT.search(wire.answer)
            if found is not None:
                self._first.setdefault(int(found[1]), ended)

    def write(self, path: Path) -> None:
        head = json.dumps({"count": len(self._began), "first": self._first}).encode()
        path.write_bytes(head + b"\n" + self._began.tobytes() + self._ended.tobytes())


class Record:
    """What a `Recorder` wrote: `spans` of requests in the order of their ends, `first` the first answer of each deployment."""

    def __init__(self, path: Path) -> None:
        head, _, raw = path.read_bytes().partition(b"\n")
        plain = json.loads(head)
        began, ended = array("d"), array("d")
        half = plain["count"] * began.itemsize
        began.frombytes(raw[:half])
        ended.frombytes(raw[half:])
        self.spans = list(zip(began, ended, strict=True))
        self.first = {int(number): moment for number, moment in plain["first"].items()}
