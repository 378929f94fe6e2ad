"""Whether requests and answers still look like what a model learned from, by the profile in its manifest.

A share of the requests, as many as a second allows, is copied by the event loop; a thread sorts the rows into the profile's bins, over
sliding windows of the last so many rows. What comes of it are counts, which add up over workers; the index is made when it is asked for
(skylift/artifacts/psi.py).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from serving.backends.base import Array
from serving.calls import Call
from serving.signature import DEFAULT_SIGNATURE
from serving.watch.options import DriftOptions
from serving.watch.snapshots import Drifted
from skylift.artifacts.profile_records import Profile, TensorProfile
from skylift.artifacts.profiles import Bins

ROWS = 4
"""Of one request that are looked at, evenly spread over it."""
BYTES_PER_SECOND = 10e6
"""Of tensors that are copied for it, at most: an image costs what many rows of numbers do."""
WAITING = 256
"""Requests that may wait for the thread."""
TURN_SECONDS = 0.5
BLOCKS = 10
"""Of a window: it slides by a tenth."""
VERSIONS = 64
"""So many versions are followed at once."""

Count = Callable[[str, int], None]
_Key = tuple[str, int]


class _Window:
    """Counts of the last `size` rows, give or take a block."""

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        self.size = size
        self.total = np.zeros(shape, dtype=np.int64)
        self.rows = 0
        self._block = np.zeros(shape, dtype=np.int64)
        self._block_rows = 0
        self._blocks: deque[tuple[Array, int]] = deque()

    def add(self, counts: Array, rows: int) -> None:
        self._block += counts
        self.total += counts
        self._block_rows += rows
        self.rows += rows
        if self._block_rows * BLOCKS >= self.size:
            self._blocks.append((self._block.astype(np.int32), self._block_rows))
            self._block = np.zeros_like(self._block)
            self._block_rows = 0
        while self.rows - self._block_rows > self.size and self._blocks:
            oldest, gone = self._blocks.popleft()
            self.total -= oldest
            self.rows -= gone


class _Tensor:
    """A tensor's bins, and how its rows fell into them lately."""

    def __init__(self, profile: TensorProfile, windows: Iterable[int]) -> None:
        self.bins = Bins(profile)
        self.windows = [_Window(size, (len(self.bins.expected), self.bins.width)) for size in windows]


class _Followed:
    """One version. `next` is when it is time to look at a request of it again."""

    def __init__(self, profile: Profile, windows: Iterable[int]) -> None:
        self.inputs = {one.name: _Tensor(one, windows) for one in profile.inputs}
        self.outputs = {one.name: _Tensor(one, windows) for one in profile.outputs}
        self.next = 0.0


_Taken = tuple[_Followed, dict[str, Array], dict[str, Array]]


class Drift:
    """Follows the versions that have a profile. One per worker process.

    Args:
        count: is told of requests that could not be compared, by reason. From any thread.
    """

    def __init__(self, options: DriftOptions, count: Count = lambda _, __: None) -> None:
        self._windows = options.windows
        self._pause = 1.0 / max(options.per_second, 0.001)
        self._count = count
        self._followed: dict[_Key, _Followed] = {}
        self._waiting: deque[_Taken] = deque()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._is_due = threading.Event()
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, model: str, version: int, profile: Profile | None) -> None:
        """Compare the requests of a version from now on; one without a profile is left alone."""
        if profile is None or not self._windows:
            return
        if len(self._followed) >= VERSIONS:
            self._count("too_many_versions", 1)
            return
        self._followed[model, version] = _Followed(profile, self._windows)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="drift", daemon=True)
            self._thread.start()

    def forget(self, model: str, version: int) -> None:
        """A version was let go."""
        self._followed.pop((model, version), None)

    def observe(self, call: Call) -> None:
        """Take rows of a request if it is time for some. Called from the event loop's thread."""
        followed = self._followed.get((call.model, call.version))
        if followed is None or call.answered < followed.next:
            return
        if call.outputs is None or call.inputs is None or call.signature not in ("", DEFAULT_SIGNATURE):
            return
        if len(self._waiting) >= WAITING or not call.rows:
            return
        inputs = _some(call.inputs, followed.inputs, call.rows)
        outputs = _some(call.outputs, followed.outputs, call.rows)
        size = sum(value.nbytes for part in (inputs, outputs) for value in part.values())
        followed.next = call.answered + max(self._pause, size / BYTES_PER_SECOND)
        self._waiting.append((followed, inputs, outputs))
        if not self._is_due.is_set():
            self._is_due.set()

    def gauges(self) -> list[Drifted]:
        """Every window that holds a row. Of the rows that wait none is counted yet."""
        found = []
        with self._lock:
            for (model, version), followed in self._followed.items():
                for name, tensor in (*followed.inputs.items(), *followed.outputs.items()):
                    for window in tensor.windows:
                        if window.rows:
                            found += _drifted(model, version, name, tensor.bins, window)
        return found

    def settle(self) -> None:
        """Count what waits, here and now."""
        with self._turn:
            grouped: dict[_Tensor, list[Array]] = {}
            while self._waiting:
                followed, inputs, outputs = self._waiting.popleft()
                for side, part in ((followed.inputs, inputs), (followed.outputs, outputs)):
                    for name, value in part.items():
                        grouped.setdefault(side[name], []).append(value)
            for tensor, values in grouped.items():
                self._add(tensor, values)

    def close(self) -> None:
        self._is_closing.set()
        self._is_due.set()
        if self._thread is not None:
            self._thread.join(2.0)

    # the thread

    def _work(self) -> None:
        while True:
            self._is_due.wait()
            self._is_closing.wait(TURN_SECONDS)
            if self._is_closing.is_set():
                return
            self._is_due.clear()
            self.settle()

    def _add(self, tensor: _Tensor, values: list[Array]) -> None:
        """Rows of several requests at once; of different shapes (texts, sequences) one by one."""
        if len({(value.shape[1:], value.dtype) for value in values}) == 1:
            values = [np.concatenate(values)]
        for part in values:
            try:
                counts = tensor.bins.counts(part)
            except Exception:  # whatever a client sent must not end the thread
                self._count("odd", 1)
                continue
            with self._lock:
                for window in tensor.windows:
                    window.add(counts, len(part))


def _some(tensors: Mapping[str, Array], known: Mapping[str, object], rows: int) -> dict[str, Array]:
    """A few rows of each tensor that the profile has, copied: their buffers are used again."""
    step = max(rows // ROWS, 1)
    return {
        name: np.array(value[::step][:ROWS])
        for name, value in ((name, tensors[name]) for name in known if name in tensors)
        if value.ndim and len(value) == rows
    }


def _drifted(model: str, version: int, tensor: str, bins: Bins, window: _Window) -> list[Drifted]:
    found = []
    for expected, counts, one in zip(bins.expected, window.total.tolist(), bins.profile.distributions, strict=True):
        found.append(
            Drifted(model, version, tensor, one.name, window.size, window.rows, expected, counts[: len(expected)])
        )
    return found
