"""Heads of requests that came before, byte for byte: a client that asks again and again sends the same.

Only what llhttp has read and found right gets in here, at its second coming, and only of the plainest kind: HTTP/1.1 that stays open, a
body of a known length or none, no Expect, Upgrade or Transfer-Encoding. The length itself may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

KEPT = 256
SEEN = 1024
LONGEST = 2048
_MARK = b"\r\nContent-Length: "
_LOWER_MARK = b"\r\ncontent-length: "
_END = b"\r\n\r\n"
_UNUSUAL = (b"expect", b"upgrade", b"transfer-encoding", b"connection", b"te", b"trailer")


@dataclass(frozen=True, slots=True)
class Head:
    """What a request's head says. `headers` are shared by all requests that had it: nobody changes them."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]


def begins_http2(data: bytes) -> bool:
    """Whether the first bytes of a connection are HTTP/2's preface, which may come in pieces: its method `PRI` is nobody else's
    (RFC 9113, section 3.4)."""
    return len(data) >= 3 and data[:4] == b"PRI "[: len(data[:4])]


class Heads:
    """Those of one worker."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Head] = {}
        self._seen: set[bytes] = set()

    def find(self, data: bytes) -> tuple[Head, int, int] | None:
        """The head with which `data` begins, where its body begins, and how long that is; None where llhttp must look."""
        end = data.find(_END, 0, LONGEST)
        if end < 0:
            return None
        at = data.find(_MARK, 0, end)
        if at < 0:
            at = data.find(_LOWER_MARK, 0, end)
        if at < 0:
            head = self._kept.get(data[:end])
            return (head, end + 4, 0) if head is not None else None
        start = at + len(_MARK)
        stop = data.find(b"\r", start)
        head = self._kept.get(data[:start] + data[stop:end])
        if head is None:
            return None
        digits = data[start:stop]
        if not digits.isdigit() or len(digits) > 12:
            return None
        return head, end + 4, int(digits)

    def learn(self, data: bytes, head: Head) -> None:
        """`data` began with this head, all of it, as llhttp has read it."""
        end = data.find(_END, 0, LONGEST)
        if end < 0 or any(name in head.headers for name in _UNUSUAL):
            return
        key = data[:end]
        for mark in (_MARK, _LOWER_MARK):
            at = data.find(mark, 0, end)
            if at >= 0:
                start = at + len(mark)
                key = data[:start] + data[data.find(b"\r", start) : end]
                break
        else:
            if b"content-length" in head.headers:
                return  # written in some other way
        if key not in self._seen:
            if len(self._seen) >= SEEN:
                self._seen.clear()
            self._seen.add(key)
            return
        if len(self._kept) >= KEPT:
            self._kept.clear()
        headers = {name: value for name, value in head.headers.items() if name != b"content-length"}
        self._kept[key] = Head(head.method, head.target, headers)
