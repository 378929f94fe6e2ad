"""Which of two versions answers a request, where a canary has a share of them."""

from __future__ import annotations

import hashlib


class Split:
    """Gives a canary its share.

    A key, such as a user's id, always gets the same version as long as the weight stays, and one that had the canary keeps it when the
    weight grows. Requests without a key are dealt out evenly: of any n in a row the canary gets n times the weight, rounded.

    Args:
        weight: the canary's share, 0 to 1.
        salt: what makes another canary of the same endpoint another draw, so that it does not meet the same users each time.
    """

    def __init__(self, weight: float, salt: str) -> None:
        self.weight = weight
        self._salt = hashlib.sha256(salt.encode()).digest()[:16]
        self._owed = 0.0

    def takes_canary(self, key: bytes | None) -> bool:
        if key:
            digest = hashlib.blake2b(key, digest_size=8, key=self._salt).digest()
            return int.from_bytes(digest, "big") < self.weight * 2**64
        self._owed += self.weight
        if self._owed >= 1.0 - 1e-9:
            self._owed -= 1.0
            return True
        return False
