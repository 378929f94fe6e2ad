"""Which of two versions answers a request, where a canary has a share of them."""

from __future__ import annotations

import hashlib
import random


class Split:
    """Gives a canary its share.

    A key, such as a user's id, always gets the same version as long as the weight stays, and one that had the canary keeps it when the
    weight grows. Of requests without a key the canary gets one at a random place in every 1/weight of them: of any n in a row its
    share is never off by more than two, and a client that takes turns between light and heavy requests does not give it one kind only.

    Args:
        weight: the canary's share, 0 to 1.
        salt: what makes another canary of the same endpoint another draw, so that it does not meet the same users each time.
    """

    def __init__(self, weight: float, salt: str) -> None:
        self.weight = weight
        self._salt = hashlib.sha256(salt.encode()).digest()[:16]
        self._owed = 0.0
        self._due = _place()

    def takes_canary(self, key: bytes | None) -> bool:
        if key:
            digest = hashlib.blake2b(key, digest_size=8, key=self._salt).digest()
            return int.from_bytes(digest, "big") < self.weight * 2**64
        self._owed += self.weight
        if self._owed < self._due:
            return False
        self._owed -= 1.0
        self._due = _place()
        return True


def _place() -> float:
    return 1.0 - random.random()  # noqa: S311  # no secret; above 0, so that a weight of 0 is none
