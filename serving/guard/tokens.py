"""Tokens of OpenID Connect (JWT): whose they are and what they may do.

https://www.rfc-editor.org/rfc/rfc8725 (best practices), https://www.rfc-editor.org/rfc/rfc9068 (access tokens)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from serving.guard.keysets import AGAIN_SECONDS, RENEW_SECONDS, Fetch, KeySet, PublicKey
from serving.guard.principals import Bucket, Principal, Rights, share
from serving.guard.refusals import AccessError, bad_credentials
from serving.interface import Code
from skylift.artifacts.access import IssuerEntry

MOST_TOKENS = 4096
"""Verified tokens that are remembered until they end: about 2 MB."""
MOST_SUBJECTS = 10_000
"""Subjects whose rate is counted; the one that was there longest is forgotten first."""


class PendingError(AccessError):
    """The issuer's keys are being fetched. Over when `fetching` is done; who does not wait says 503 with Retry-After."""

    def __init__(self, fetching: asyncio.Task[None]) -> None:
        super().__init__(Code.UNAVAILABLE, "the issuer's keys are being fetched", reason="issuer_keys", retry_after=1.0)
        self.fetching = fetching


class Issuer:
    """One trusted issuer.

    Args:
        workers: processes among which a subject's rate is shared out.
    """

    def __init__(self, entry: IssuerEntry, keys: KeySet, workers: int) -> None:
        self.keys = keys
        self.entry = entry
        self._limit = share(entry, workers)
        self._rights = [(grant.scope, Rights(grant.verbs, grant.models)) for grant in entry.grants]
        self._buckets: dict[str, Bucket] = {}

    def read(self, token: str, head: Mapping[str, Any], digest: bytes, now: float) -> Principal:
        """Whose a token is.

        Args:
            head: its header, which anybody can have written.
            now: `time.monotonic` [s].

        Raises:
            AccessError: not a token that this issuer gave out for us, or no more.
            PendingError: its key is being fetched.
        """
        claims = self._claims(token, head, now)
        self._check_claims(claims)
        subject = claims.get(self.entry.subject)
        if not isinstance(subject, str) or not 0 < len(subject) <= 256:
            raise bad_credentials(f"the token's claim {self.entry.subject!r} names nobody")
        return Principal(
            name=subject,
            kind="token",
            rights=tuple(self._granted(claims)),
            digest=digest,
            until=float(claims["exp"]) + self.entry.leeway,
            bucket=self._bucket(subject),
        )

    def _claims(self, token: str, head: Mapping[str, Any], now: float) -> dict[str, Any]:
        import jwt

        entry, key = self.entry, self._key(head, now)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key.key,
                algorithms=[head["alg"]],  # one of the issuer's and the key's: see _key
                audience=list(entry.audiences),
                issuer=entry.issuer,
                leeway=entry.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.MissingRequiredClaimError as error:
            raise bad_credentials(f"the token has no claim {error.claim!r}") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise bad_credentials(f"the token {_said(error)}") from None
        return claims

    def _key(self, head: Mapping[str, Any], now: float) -> PublicKey:
        algorithm, kid = head.get("alg"), head.get("kid")
        if algorithm not in self.entry.algorithms:
            raise bad_credentials(f"the token's algorithm is none of {', '.join(self.entry.algorithms)}")
        if "crit" in head or not (kid is None or isinstance(kid, str)):
            raise bad_credentials("the token's header asks for what is not understood")
        found = self.keys.find(kid, algorithm)
        if found is not None:
            return found
        fetching = self.keys.fetch_soon(now)
        if fetching is not None:
            raise PendingError(fetching)
        if not self.keys.fetched:
            raise AccessError(
                Code.UNAVAILABLE, "the issuer's keys could not be fetched", reason="issuer_keys", retry_after=5.0
            )
        raise bad_credentials("the token is signed with a key that its issuer does not name")

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        for name, wanted in self.entry.claims.items():
            good = wanted if isinstance(wanted, tuple) else (wanted,)
            told = claims.get(name)
            # 1 == True, and no claim of the one kind may stand for the other
            if not any(one == given and type(one) is type(given) for given in _each(told) for one in good):
                raise bad_credentials(f"the token's claim {name!r} is not what is asked for")

    def _granted(self, claims: Mapping[str, Any]) -> Iterator[Rights]:
        told = claims.get(self.entry.scope_claim)
        held = set(told.split(" ")) if isinstance(told, str) else {one for one in _each(told) if isinstance(one, str)}
        return (rights for scope, rights in self._rights if not scope or scope in held)

    def _bucket(self, subject: str) -> Bucket | None:
        if self._limit is None:
            return None
        bucket = self._buckets.pop(subject, None) or Bucket(*self._limit)
        if len(self._buckets) >= MOST_SUBJECTS:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[subject] = bucket
        return bucket


def _each(told: Any) -> list[Any]:
    return told if isinstance(told, list) else [told]


def _said(error: Exception) -> str:
    import jwt

    for kind, text in (
        (jwt.ExpiredSignatureError, "has expired"),
        (jwt.ImmatureSignatureError, "is not valid yet"),
        (jwt.InvalidAudienceError, "is for another audience"),
        (jwt.InvalidIssuerError, "is of another issuer"),
        (jwt.InvalidSignatureError, "is not signed by its issuer"),
    ):
        if isinstance(error, kind):
            return text
    return "is malformed"


class Tokens:
    """All trusted issuers, and the tokens of theirs that were verified before.

    Args:
        fetch: gets an issuer's keys; blocks.
        before: of the document before: issuers that it has unchanged go on with their keys and counts.
    """

    def __init__(
        self,
        entries: tuple[IssuerEntry, ...],
        workers: int,
        fetch: Fetch | None = None,
        before: Tokens | None = None,
    ) -> None:
        self._known: dict[bytes, Principal] = {}
        self._issuers: dict[str, Issuer] = {}
        for entry in entries:
            old = before._issuers.pop(entry.issuer, None) if before is not None else None
            keys = old.keys if old is not None else KeySet(entry.issuer, fetch)
            keys.changed = self._known.clear
            same = old is not None and old.entry == entry
            self._issuers[entry.issuer] = old if old is not None and same else Issuer(entry, keys, workers)
        if before is not None:
            before.close()

    def __bool__(self) -> bool:
        return bool(self._issuers)

    def recall(self, digest: bytes) -> Principal | None:
        """Whose a token is that was verified before, if it is remembered. It may have ended."""
        return self._known.get(digest)

    def read(self, token: bytes, digest: bytes, now: float) -> Principal:
        """Whose a token is; it is remembered.

        Raises:
            AccessError: as Issuer.read, or no token of a trusted issuer.
        """
        import jwt

        text = token.decode("ascii")
        try:
            loose = jwt.decode_complete(text, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise bad_credentials("the token is neither an API key that is known nor a JWT") from None
        told = loose["payload"].get("iss")
        issuer = self._issuers.get(told) if isinstance(told, str) else None
        if issuer is None:
            raise bad_credentials("the token is of an issuer that is not trusted")
        found = issuer.read(text, loose["header"], digest, now)
        if len(self._known) >= MOST_TOKENS:
            del self._known[next(iter(self._known))]
        self._known[digest] = found
        return found

    def forget(self, digest: bytes) -> None:
        self._known.pop(digest, None)

    def renew(self, now: float) -> list[asyncio.Task[None]]:
        """Begin to fetch keys that are due."""
        tasks = (
            issuer.keys.fetch_soon(now, least=RENEW_SECONDS if issuer.keys.fetched else AGAIN_SECONDS)
            for issuer in self._issuers.values()
        )
        return [task for task in tasks if task is not None]

    def close(self) -> None:
        for issuer in self._issuers.values():
            issuer.keys.close()
