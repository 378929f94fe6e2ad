"""Whether a version's files have come to rest: they looked the same twice, far enough apart."""

from __future__ import annotations

from collections.abc import Collection

OLD_SECONDS = {True: 60.0, False: 900.0}
"""What has not changed for so long is at rest at the first look. On files (True) one clock tells; a store's clock and this machine's
may differ, but the clouds refuse requests that are signed 15 minutes off."""


_CLOCK_SET_BACK = 60.0
"""A file that is so much newer than now [s] says nothing of when it changed."""


class Settling:
    """The versions of one base path that were seen and not yet taken.

    Args:
        seconds: the least time between the two looks.
        is_local: whether the times of files are by this machine's clock.
    """

    def __init__(self, seconds: float, *, is_local: bool) -> None:
        self._seconds = seconds
        self._is_local = is_local
        self._seen: dict[str, tuple[object, float]] = {}

    def is_at_rest(self, name: str, state: object, changed: float, now: float, wall: float) -> bool:
        """Look at a version.

        Args:
            state: of its files; see `serving.sources.listing.Listing`.
            changed: when its last file changed [s since 1970].
            now: the monotonic time [s].
            wall: the time of this machine [s since 1970].
        """
        age = wall - changed
        if age >= OLD_SECONDS[self._is_local]:
            return True
        before = self._seen.get(name)
        if before is None or before[0] != state:
            self._seen[name] = (state, now)
            return False
        if self._is_local and -_CLOCK_SET_BACK < age < self._seconds:
            return False
        return now - before[1] >= self._seconds

    def forget(self, but: Collection[str]) -> None:
        """Versions that are gone, so that one of the same name is looked at anew."""
        for name in set(self._seen) - set(but):
            del self._seen[name]
