"""Ids of requests: the client's own where it gave a sane one, else one that no other process gives."""

from __future__ import annotations

import secrets
from itertools import count

LONGEST = 128


class RequestIds:
    """Makes ids like `9f1c2a7be04d-1a`. About 0.2 us each."""

    def __init__(self) -> None:
        self._prefix = f"{secrets.token_hex(6)}-"
        self._numbers = count(1)

    def of(self, given: str | bytes | None = None) -> str:
        """The id of a request.

        Args:
            given: the header X-Request-Id, or the `id` of an Open Inference Protocol request. It is taken if it is printable ASCII of at
                most LONGEST characters, so that it may stand in a header and in a log as it is.
        """
        return sane(given) or f"{self._prefix}{next(self._numbers):x}"


def sane(given: str | bytes | None) -> str:
    """An id that a client gave, without blanks around it; empty if it may not stand in a header or a log."""
    if not given or len(given) > LONGEST:
        return ""
    try:
        text = given if isinstance(given, str) else given.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return text.strip() if text.isascii() and text.isprintable() else ""
