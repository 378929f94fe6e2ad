"""Answers read by a parser that is not ours (h11), and what must be true of each."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h11

DOCUMENTED = frozenset({200, 204, 400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 415, 417, 429, 431, 501, 503, 504})
"""Statuses that a request may be answered with here. 501: what the protocols name and nobody serves; 503: nothing is loaded, or the queue
is full; 504: the request's own timeout. Any other of 500 on is a mistake of ours."""
LONGEST_VERSION = 19
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class WrongError(AssertionError):
    """Something that must never be."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    closes: bool

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def plain(self) -> bytes:
        """The body without its coding."""
        coding = self.header(b"content-encoding")
        if coding == b"gzip":
            return gzip.decompress(self.body)
        return zlib.decompress(self.body) if coding == b"deflate" else self.body


def read(stream: bytes, methods: Sequence[bytes], *, is_cut: bool = False) -> list[Answer]:
    """All answers on a connection.

    Args:
        methods: of the requests, in order. A refusal may come behind the last.
        is_cut: whether the last may be incomplete.

    Raises:
        WrongError: this is not one answer behind the other.
    """
    found: list[Answer] = []
    rest = stream
    while rest:
        method = methods[len(found)] if len(found) < len(methods) else b"GET"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="HEAD" if method == b"HEAD" else "GET", target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(rest)
        try:
            answer = _one(client)
        except h11.RemoteProtocolError as problem:
            raise WrongError(f"no HTTP: {problem}: {rest[:200]!r}") from None
        if answer is None:
            if is_cut or rest == CONTINUE:  # a body that never came
                break
            raise WrongError(f"an answer ends early: {rest[:200]!r}")
        found.append(answer)
        rest = client.trailing_data[0]
        if rest and found[-1].closes:
            raise WrongError(f"{len(rest)} bytes stand behind an answer that says it is the last: {rest[:200]!r}")
    return found


def _one(client: h11.Connection) -> Answer | None:
    head: h11.Response | None = None
    body = b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
            return None
        if isinstance(event, h11.InformationalResponse):
            if event.status_code != 100:
                raise WrongError(f"status {event.status_code} between")
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            closes = client.their_state in (h11.MUST_CLOSE, h11.CLOSED)
            return Answer(head.status_code, list(head.headers), body, closes)


def check(answer: Answer, method: bytes, target: bytes) -> None:
    """
    Raises:
        WrongError: a status that is not documented, an error without a text, a body that is not what its headers say.
    """
    if answer.status not in DOCUMENTED:
        raise WrongError(f"status {answer.status} for {method!r} {target[:100]!r}: {answer.body[:300]!r}")
    for name, value in answer.headers:
        if b"evil" in name or b"\n" in value or b"\r" in value:
            raise WrongError(f"a request wrote a header: {name!r}: {value!r}")
    if method == b"HEAD" or answer.status in (200, 204):
        _check_json(answer, method)
        return
    if not answer.body:
        _check_empty(answer, method, target)
        return
    told = _loads(answer.plain)
    if not isinstance(told, dict) or not isinstance(told.get("error"), str) or not told["error"].strip():
        raise WrongError(f"status {answer.status} with the body {answer.body[:300]!r}")


def _check_json(answer: Answer, method: bytes) -> None:
    is_json = answer.header(b"content-type") == b"application/json"
    has_tail = answer.header(b"inference-header-content-length") is not None
    if answer.status == 200 and method != b"HEAD" and is_json and not has_tail:
        _loads(answer.plain)


def _check_empty(answer: Answer, method: bytes, target: bytes) -> None:
    """The original's own answers without a body: to OPTIONS, and to versions that are no int64."""
    digits = max((len(one) for one in target.split(b"/versions/")[1:2]), default=0)
    if answer.status != 400 or (method != b"OPTIONS" and digits < LONGEST_VERSION):
        raise WrongError(f"status {answer.status} without a body for {method!r} {target[:100]!r}")


def _loads(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as problem:
        raise WrongError(f"an answer is no JSON: {problem}: {raw[:300]!r}") from None
