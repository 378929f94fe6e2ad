"""The guard: who asks, whether they may, and not too often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Literal

from serving import log
from serving.guard.certificates import Known, Peer
from serving.guard.credentials import credential
from serving.guard.keysets import Fetch
from serving.guard.principals import Bucket, Principal, Rights, share
from serving.guard.refusals import bad_credentials, no_credentials, rate_limited, unread
from serving.guard.sources import Source, open_source
from serving.guard.tokens import PendingError, Tokens
from skylift.artifacts import access
from skylift.artifacts.access import AccessDocument, CertificateEntry, KeyEntry, Limited, Verb
from skylift.errors import SkyliftError

AGAIN_SECONDS = 5.0
"""Between two looks while there is no document yet."""
_NOBODY = Principal(name="", kind="key", rights=())


def open_guard(where: str, *, workers: int = 1) -> Guard | None:
    """The guard of a worker process, or None where nothing is said of access: then everybody may do everything.

    Args:
        where: path or secret of the access document, the value of SKYLIFT_API_KEYS; empty for none.
        workers: processes of this replica: each counts its share of every rate.

    Raises:
        InputError: `where` is no such place. A document that cannot be read (yet) is no error here: until it is, nobody gets in.
    """
    return Guard(open_source(where), workers=workers) if where else None


class Guard:
    """Knows who may ask. Lives in the event loop's thread; reads its document in another.

    Args:
        wall: seconds since 1970.
        ticks: the clock of `now` in every method [s].
        fetch: gets an issuer's public keys; blocks.

    Attributes:
        is_open: whether a document was read. Before that everybody is refused with UNAVAILABLE.
    """

    def __init__(
        self,
        source: Source,
        *,
        workers: int = 1,
        wall: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        fetch: Fetch | None = None,
    ) -> None:
        self._source, self._workers, self._wall, self._ticks, self._fetch = source, workers, wall, ticks, fetch
        self._ahead = wall() - ticks()
        self.is_open = False
        self._raw = b""
        self._salt = b""
        self._keys: dict[bytes, Principal] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._tokens = Tokens((), workers)
        self._certificates = Known(())
        self._said = ""

    def check(
        self,
        headers: Mapping[bytes, bytes],
        *,
        model: str,
        verb: Verb,
        peer_certificate: Peer | None = None,
        now: float,
    ) -> Principal:
        """Who asks, if they may. A credential that is sent counts, a wrong one too; the certificate where none is sent. About 2 us.

        Args:
            headers: names in lower case.
            model: the model that is asked for; empty where it is all of them.
            now: when the request came, by `time.monotonic` [s].

        Raises:
            AccessError: UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED; UNAVAILABLE while it cannot be known.
            PendingError: as the last, and over soon: `admit` waits for it.
        """
        token = credential(headers)
        if token is None:
            found = self._of_certificate(peer_certificate)
        else:
            # Looked up by a salted hash that nobody can aim, and compared as if it were not: no time tells which keys there are.
            digest = sha256(self._salt + token).digest()
            found = self._keys.get(digest, _NOBODY)
            if not compare_digest(found.digest, digest):
                found = self._of_token(token, digest, now)
        if now + self._ahead >= found.until:
            raise self._ended(found)
        if (model, verb) not in found.allowed:
            found.demand(verb, model)
        if found.bucket is not None:
            seconds = found.bucket.take(now)
            if seconds:
                raise rate_limited(found.name, seconds)
        return found

    async def admit(
        self,
        headers: Mapping[bytes, bytes],
        *,
        model: str,
        verb: Verb,
        peer_certificate: Peer | None = None,
        now: float,
    ) -> Principal:
        """As `check`, and waits where an issuer's keys are being fetched, 15 s at most.

        Raises:
            AccessError: as `check`.
        """
        try:
            return self.check(headers, model=model, verb=verb, peer_certificate=peer_certificate, now=now)
        except PendingError as pending:
            await asyncio.wait([pending.fetching])
        return self.check(headers, model=model, verb=verb, peer_certificate=peer_certificate, now=self._ticks())

    def _of_certificate(self, peer: Peer | None) -> Principal:
        if not self.is_open:
            raise unread()
        if peer is None:
            raise no_credentials()
        found = self._certificates.find(peer)
        if found is None:
            raise bad_credentials("the client certificate is nobody's that is known, and no token was sent")
        return found

    def _of_token(self, token: bytes, digest: bytes, now: float) -> Principal:
        if not self.is_open:
            raise unread()
        found = self._tokens.recall(digest)
        if found is not None and compare_digest(found.digest, digest):
            return found
        if b"." not in token or not self._tokens:
            raise bad_credentials("the token is none that is known")
        return self._tokens.read(token, digest, now)

    def _ended(self, who: Principal) -> Exception:
        if who.kind == "token":
            self._tokens.forget(who.digest)
            return bad_credentials("the token has expired")
        return bad_credentials(f"the API key of {who.name!r} has expired")

    async def refresh(self) -> None:
        """Look at the document and the issuers' keys for as long as the task runs. Fails never."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(self._source.seconds if self.is_open else min(self._source.seconds, AGAIN_SECONDS))
        finally:
            self._tokens.close()

    async def look(self) -> None:
        """Look once. What cannot be read, or has mistakes, changes nothing and is logged once."""
        self._ahead = self._wall() - self._ticks()
        try:
            found = await asyncio.to_thread(self._read, self._raw)
            if found is not None:
                self._raw, document = found
                self._take(document)
            self._say("")
        except SkyliftError as error:
            self._say(str(error))
        except Exception as error:  # a mistake of ours must not end the looking: keys could be revoked no more
            self._say(f"{type(error).__name__}: {error}")
        self._tokens.renew(self._ticks())

    def _read(self, before: bytes) -> tuple[bytes, AccessDocument] | None:
        raw = self._source.read()
        return None if raw is None or raw == before else (raw, access.decode(raw, self._source.where))

    def _take(self, document: AccessDocument) -> None:
        """Go over to a document, whole or (where something fails) not at all."""
        buckets: dict[tuple[str, str], Bucket] = {}

        def principal(kind: Literal["key", "certificate"], mark: str, entry: KeyEntry | CertificateEntry) -> Principal:
            bucket = self._bucket((kind, mark), entry)
            if bucket is not None:
                buckets[kind, mark] = bucket
            return Principal(entry.name, kind, (Rights(entry.verbs, entry.models),), bucket=bucket)

        keys: dict[bytes, Principal] = {}
        for key in document.keys:
            who = principal("key", key.id, key)
            who.digest = bytes.fromhex(key.sha256)
            who.until = float("inf") if key.expires is None else key.expires.timestamp()
            keys[who.digest] = who
        certificates = Known((one.match, principal("certificate", one.name, one)) for one in document.certificates)
        self._tokens = Tokens(document.issuers, self._workers, self._fetch, self._tokens)
        self._salt, self._keys, self._certificates = bytes.fromhex(document.salt), keys, certificates
        self._buckets, self.is_open = buckets, True
        log.event(
            "access_read",
            where=self._source.where,
            keys=len(document.keys),
            issuers=len(document.issuers),
            certificates=len(document.certificates),
        )

    def _bucket(self, who: tuple[str, str], limit: Limited) -> Bucket | None:
        """The bucket that somebody had, so that a new document gives nobody a second burst."""
        told = share(limit, self._workers)
        if told is None:
            return None
        bucket = self._buckets.get(who) or Bucket(*told)
        bucket.resize(*told)
        return bucket

    def _say(self, problem: str) -> None:
        if problem and problem != self._said:
            log.event("access_not_read", where=self._source.where, error=problem, keeps=self.is_open)
        self._said = problem
