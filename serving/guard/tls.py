"""TLS of the server, with certificates that are exchanged without a restart: new connections get the new one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from serving import log
from serving.guard import pem
from skylift.errors import InputError, SkyliftError

LOOK_SECONDS = 10.0
"""Between two looks at the files."""
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption alone; TLS 1.3 has no others.
https://wiki.mozilla.org/Security/Server_Side_TLS (intermediate)"""

Material = tuple[pem.Identity, bytes | None, bool]
"""The server's identity, PEM of who may sign clients' certificates, and whether a client must have one."""


class Tls:
    """TLS settings that follow their files. Made in the main thread; `look` may run anywhere, one at a time.

    Args:
        load: reads and checks all; raises InputError.
        paths: that are looked at for a change.

    Attributes:
        context: for the next HTTP connection; take it anew for each.

    Raises:
        InputError: the files are missing, damaged, or do not belong together.
    """

    def __init__(self, load: Callable[[], Material], paths: Sequence[Path]) -> None:
        self._load, self._paths = load, paths
        self._seen = self._marks()
        self._material = load()
        self.context = context_of(*self._material)
        self._said = ""
        self._warn()

    @property
    def identity(self) -> pem.Identity:
        return self._material[0]

    def look(self) -> bool:
        """Read the files again if they changed; whether new connections get something new. Damaged ones change nothing and are logged."""
        marks = self._marks()
        if marks == self._seen:
            return False
        try:
            material = self._load()
            context = context_of(*material)
        except SkyliftError as error:  # half written, or wrong: looked at again until it is right
            if error.message != self._said:
                self._said = error.message
                log.event("certificate_not_read", error=error.message, hint=error.hint)
            return False
        self._said, self._seen = "", marks
        if material == self._material:
            return False
        self._material, self.context = material, context
        log.event("certificate_read", subject=self.identity.name, until=self.identity.until.isoformat())
        self._warn()
        return True

    async def refresh(self) -> None:
        """Look for as long as the task runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def _marks(self) -> tuple[tuple[int, ...], ...]:
        return tuple(map(_mark, self._paths))

    def _warn(self) -> None:
        if self.identity.is_expired:
            log.event("certificate_expired", subject=self.identity.name, until=self.identity.until.isoformat())


def of_files(cert: Path, key: Path | None = None, client_ca: Path | None = None, *, client_verify: bool = True) -> Tls:
    """TLS from PEM files.

    Args:
        cert: the chain, the server's own first; and the key, where `key` is None.
        client_ca: who may sign clients' certificates; None: clients are asked for none.
        client_verify: whether a client without a certificate is refused; else it may show an API key instead.

    Raises:
        InputError: missing, unreadable or damaged, or a key that is not the certificate's.
    """

    def load() -> Material:
        text = pem.read(cert)
        own = None if key is None else pem.read(key)
        found = pem.identity(text, own, str(cert), "" if key is None else str(key))
        ca = None if client_ca is None else pem.authorities(pem.read(client_ca), str(client_ca))
        return found, ca, ca is not None and client_verify

    return Tls(load, [path for path in (cert, key, client_ca) if path is not None])


def context_of(identity: pem.Identity, client_ca: bytes | None, client_verify: bool) -> ssl.SSLContext:
    """A new context: one that is only given another certificate would keep the old beside it where the kinds of key differ."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # Ours is the choice: whoever takes both, as browsers do, gets HTTP/1.1; clients of gRPC take h2 alone.
    context.set_alpn_protocols(["http/1.1", "h2"])
    try:
        with _as_file(identity.chain + identity.key) as path:
            context.load_cert_chain(path)
        if client_ca is not None:
            context.load_verify_locations(cadata=client_ca.decode())
            context.verify_mode = ssl.CERT_REQUIRED if client_verify else ssl.CERT_OPTIONAL
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise InputError(
            f"TLS does not take the certificate of {identity.name}: {reason}",
            hint="use a key of at least 2048 bits (RSA) or 256 (EC), signed with SHA-256",
        ) from None
    return context


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path that OpenSSL can read, for it takes no bytes: in memory where the system can, else a file of ours alone for a moment."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("skylift-tls", os.MFD_CLOEXEC)
        try:
            os.write(handle, data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name


def _mark(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
