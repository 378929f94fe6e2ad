"""Connections to the replicas of one endpoint: kept open, shared by threads, one that fails set aside for a while."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from skylift.errors import InputError

CONNECT_SECONDS = 2.0
GONE_SECONDS = 0.5
GONE_PAUSES = (0.0, 0.01, 0.04, 0.15)
"""For looks whether somebody listens, and before each [s]."""
FIRST_ASIDE_SECONDS = 0.25
MOST_ASIDE_SECONDS = 30.0
IDLE_SECONDS = 20.0
"""A connection that was idle longer is not used again: less than servers and what lies between wait before they close it."""


class Address:
    """One replica, such as `https://10.0.0.7:8501`.

    Raises:
        InputError: it is no URL of a server.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url.strip())
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.username or parts.query:
            # A name or password in it is not told again: it would stand in a log.
            told = url.strip().rpartition("@")[2]
            raise InputError(f"{told!r} is no address of a server", hint="write http://HOST:PORT or https://HOST:PORT")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path.rstrip("/")
        self._host = parts.hostname
        self._port = port
        self._usual_port = 443 if parts.scheme == "https" else 80
        self._context = (context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._lock = threading.Lock()
        self._failures = 0
        self.aside_until = 0.0
        """By `time.monotonic`: until then others are asked first."""
        self.is_silent = False
        """Whether it did not even refuse, the last time: trying costs CONNECT_SECONDS."""

    def take(self) -> http.client.HTTPConnection:
        """A connection for one request: an open one, or a new one that is not connected yet (`sock` is None)."""
        while (found := self._take_idle()) is not None:
            connection, since = found
            if time.monotonic() - since < IDLE_SECONDS and not _is_readable(connection.sock):
                return connection
            connection.close()
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)

    def _take_idle(self) -> tuple[http.client.HTTPConnection, float] | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append((connection, time.monotonic()))

    def worked(self) -> None:
        self._failures, self.aside_until, self.is_silent = 0, 0.0, False

    def failed(self, *, is_silent: bool = False) -> None:
        with self._lock:
            self.is_silent = is_silent
            self._failures += 1
            seconds = min(MOST_ASIDE_SECONDS, FIRST_ASIDE_SECONDS * 2 ** min(self._failures - 1, 10))
            self.aside_until = time.monotonic() + seconds
        self.close()

    def is_gone(self) -> bool:
        """Whether nobody listens there, now or in a moment: of a process that ends, Linux closes connections before what listens."""
        for pause in GONE_PAUSES:
            time.sleep(pause)
            try:
                socket.create_connection((self._host, self._port or self._usual_port), GONE_SECONDS).close()
            except ConnectionRefusedError:
                return True
            except OSError:
                return False
        return False

    def close(self) -> None:
        """Close what is idle. The next request connects again."""
        while (found := self._take_idle()) is not None:
            with contextlib.suppress(OSError):
                found[0].close()


class Addresses:
    """Replicas in turn.

    Raises:
        InputError: there is none, or one is no URL of a server.
    """

    def __init__(self, urls: Sequence[str], context: ssl.SSLContext | None = None) -> None:
        if not urls:
            raise InputError("a remote part has no address", hint="write http://HOST:PORT, several with commas between")
        self.all = [Address(url, context) for url in urls]
        self._turn = 0

    def in_turn(self) -> list[Address]:
        """Those to be tried, in this order: those that work, each time another first; then those set aside, the soonest first, but for
        those where trying takes long."""
        self._turn += 1
        now, start = time.monotonic(), self._turn % len(self.all)
        turned = self.all[start:] + self.all[:start]
        works = [address for address in turned if address.aside_until <= now]
        aside = [one for one in turned if one.aside_until > now and not one.is_silent]
        return works + sorted(aside, key=lambda address: address.aside_until)

    @property
    def aside_seconds(self) -> float:
        """Until one of them will be asked again as if nothing had happened [s]."""
        return max(0.0, min(one.aside_until for one in self.all) - time.monotonic())

    @property
    def working(self) -> list[str]:
        """URLs of those that are not set aside."""
        now = time.monotonic()
        return [address.url for address in self.all if address.aside_until <= now]

    def close(self) -> None:
        for address in self.all:
            address.close()


def _is_readable(sock: socket.socket | None) -> bool:
    """Of an idle connection: the server has closed it."""
    if sock is None:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
