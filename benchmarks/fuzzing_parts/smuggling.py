"""What another parser (h11) makes of the same bytes: two that differ about where a request ends are how requests are smuggled."""

from __future__ import annotations

from collections.abc import Sequence

import h11

from benchmarks.fuzzing_parts.answers import WrongError
from benchmarks.fuzzing_parts.connections import Seen

_MOST = 200_000


def compare(stream: bytes, seen: Sequence[Seen]) -> int:
    """Compare the requests that both accept, from the first on; how many those were.

    Raises:
        WrongError: another method, target or body.
    """
    number = -1
    for number, (method, target, body) in enumerate(_requests(stream, len(seen))):
        ours = seen[number]
        if method != ours.method or body != ours.body or not target.endswith(ours.target.removeprefix(b"/")):
            raise WrongError(
                f"request {number} is {(ours.method, ours.target[:80], ours.body[:80])} here, "
                f"{(method, target[:80], body[:80])} for h11"
            )
    return number + 1


def _requests(stream: bytes, most: int) -> list[tuple[bytes, bytes, bytes]]:
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST)
    server.receive_data(stream)
    found: list[tuple[bytes, bytes, bytes]] = []
    try:
        while len(found) < most:
            event = server.next_event()
            if not isinstance(event, h11.Request):
                break
            body = b""
            while not isinstance(part := server.next_event(), h11.EndOfMessage):
                if not isinstance(part, h11.Data):
                    return found
                body += bytes(part.data)
            found.append((event.method, event.target, body))
            server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            server.send(h11.EndOfMessage())
            server.start_next_cycle()
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        pass
    return found
