"""Takes the values of secrets out of what a run prints, wherever a read happens to cut them."""

from __future__ import annotations

from collections.abc import Iterable

MASK = b"***"
LINE_LENGTH = 8
"""Lines of a secret of several lines are masked each by itself from this length on."""


class Masker:
    """Feed it bytes as they come; what it gives back holds no secret. Keeps back only what could be a secret's beginning."""

    def __init__(self, values: Iterable[str]) -> None:
        texts = {value for value in values if value}
        texts |= {line for value in texts for line in value.splitlines() if len(line.strip()) >= LINE_LENGTH}
        self._secrets = sorted((text.encode() for text in texts), key=len, reverse=True)
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """As much of the stream, masked, as can be told for sure."""
        joined = self._mask(self._held + piece)
        cut = len(joined) - self._doubtful(joined)
        self._held = joined[cut:]
        return joined[:cut]

    def end(self) -> bytes:
        """What was kept back, at the end of the stream."""
        held, self._held = self._held, b""
        return held

    def text(self, message: str) -> str:
        """A whole message, masked."""
        return self._mask(message.encode()).decode(errors="replace")

    def _mask(self, whole: bytes) -> bytes:
        for secret in self._secrets:
            whole = whole.replace(secret, MASK)
        return whole

    def _doubtful(self, whole: bytes) -> int:
        """Length of the longest end that is the beginning of a secret."""
        longest = 0
        for secret in self._secrets:
            for length in range(min(len(secret) - 1, len(whole)), longest, -1):
                if whole.endswith(secret[:length]):
                    longest = length
                    break
        return longest
