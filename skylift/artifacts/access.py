"""Who may ask an endpoint what: the access document, which serving reads and `skylift keys` writes.

It holds hashes of API keys, trusted issuers of tokens and names of client certificates, no secret. One SHA-256 with the document's salt
is enough for keys: slow hashes make up for passwords that can be guessed, and nobody guesses 256 random bits
(https://pages.nist.gov/800-63-4/sp800-63b.html, look-up secrets of 112 bits or more). The salt keeps hashes of two documents from being
compared. Unlike other records it may hold no name that is not known: a slip in `models` would else allow all of them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from skylift.artifacts import records
from skylift.artifacts.records import Record
from skylift.errors import InputError, RecordError

Verb = Literal["predict", "metadata", "admin"]
"""predict: whatever computes. metadata: what is served and how it fares, /metrics too. admin: load, unload, reload."""
VERBS: tuple[Verb, ...] = ("predict", "metadata", "admin")
USUAL: tuple[Verb, ...] = ("predict", "metadata")

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Only such that a server can check without being able to sign."""
ALGORITHMS: tuple[Algorithm, ...] = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)

TOKEN_PREFIX = "skylift_"  # noqa: S105  # by which scanners for leaked secrets know one
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Pattern = Annotated[str, Meta(min_length=1, max_length=512)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Limited(_Strict, frozen=True, kw_only=True):
    """
    Args:
        rate: requests per second, of one replica; None for no limit.
        burst: how many may come at once; default: those of one second, at least 1.
    """

    rate: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class Allowed(Limited, frozen=True, kw_only=True):
    """What somebody may do, and how often.

    Args:
        models: patterns of names (`*`, `?`, `[ab]`); none means all models.
    """

    models: tuple[Pattern, ...] = ()
    verbs: Annotated[tuple[Verb, ...], Meta(min_length=1)] = USUAL


class KeyEntry(Allowed, frozen=True, kw_only=True):
    """One API key.

    Args:
        id: tells keys of one name apart; no part of the token.
        name: who asks, as logs and metrics name them. Several keys may have one name while one takes the other's place.
        sha256: of the document's salt and the token, in hex.
    """

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}$")]
    name: Name
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    created: datetime
    expires: datetime | None = None


class ScopeGrant(_Strict, frozen=True, kw_only=True):
    """What tokens with a scope may do.

    Args:
        scope: that a token must hold; empty for every token of the issuer.
        models: as in Allowed.
    """

    scope: str = ""
    models: tuple[Pattern, ...] = ()
    verbs: Annotated[tuple[Verb, ...], Meta(min_length=1)] = USUAL


class IssuerEntry(Limited, frozen=True, kw_only=True):
    """Whose tokens (OpenID Connect, RFC 9068) are believed. The rate is that of each subject.

    Args:
        issuer: https URL, exactly the tokens' `iss`; its keys are found by `/.well-known/openid-configuration`.
        audiences: of which a token must name one in `aud`.
        claims: that a token must hold as well: a value, or a list of those that will do. Where the token's own is a list, one must match.
        subject: claim that says who asks.
        scope_claim: claim with the scopes: words with spaces between, or a list.
        grants: what tokens may do; of several that fit, all hold.
        leeway: by how much clocks may differ [s].
    """

    issuer: Annotated[str, Meta(max_length=512)]
    audiences: Annotated[tuple[Name, ...], Meta(min_length=1)]
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ALGORITHMS
    claims: dict[str, bool | int | str | tuple[bool | int | str, ...]] = {}
    subject: Name = "sub"
    scope_claim: Name = "scope"
    grants: Annotated[tuple[ScopeGrant, ...], Meta(min_length=1)]
    leeway: Annotated[float, Meta(ge=0, le=300)] = 30.0


class CertificateEntry(Allowed, frozen=True, kw_only=True):
    """Whom a verified client certificate names.

    Args:
        match: patterns over `CN=…`, `DNS:…`, `URI:…`, `email:…`, `IP:…`; one must fit. `*` fits dots and slashes too.
    """

    name: Name
    match: Annotated[tuple[Annotated[str, Meta(pattern=r"^(CN=|DNS:|URI:|email:|IP:).")], ...], Meta(min_length=1)]


class AccessDocument(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole document. Who fits nothing in it is kept out.

    Args:
        salt: 16 random bytes or more, in hex.
    """

    salt: Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){16,64}$")]
    keys: tuple[KeyEntry, ...] = ()
    issuers: tuple[IssuerEntry, ...] = ()
    certificates: tuple[CertificateEntry, ...] = ()


class _Loose(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    salt: Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){16,64}$")]
    keys: tuple[Any, ...] = ()
    issuers: tuple[Any, ...] = ()
    certificates: tuple[Any, ...] = ()


Entry = TypeVar("Entry", KeyEntry, IssuerEntry, CertificateEntry)


def empty() -> AccessDocument:
    """A document that lets nobody in, with a salt of its own."""
    return AccessDocument(salt=secrets.token_hex(16))


def hash_token(salt: str, token: str) -> str:
    """What the document holds of a token: SHA-256 of salt and token, in hex."""
    return hashlib.sha256(bytes.fromhex(salt) + token.encode()).hexdigest()


def new_key(
    document: AccessDocument,
    name: str,
    *,
    models: Sequence[str] = (),
    verbs: Sequence[Verb] = USUAL,
    rate: float | None = None,
    burst: int | None = None,
    expires: datetime | None = None,
) -> tuple[str, KeyEntry]:
    """A token of 256 random bits, and what the document may know of it. The token can never be had again.

    Raises:
        InputError: a name, pattern, rate or time that the document could not hold.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    known = {key.id for key in document.keys}
    chosen = next(made for made in iter(lambda: secrets.token_hex(4), None) if made not in known)
    plain = {
        "id": chosen,
        "name": name,
        "sha256": hash_token(document.salt, token),
        "created": records.now(),
        "expires": expires,
        "models": tuple(models),
        "verbs": tuple(dict.fromkeys(verbs)),
        "rate": rate,
        "burst": burst,
    }
    mistakes: list[str] = []
    entries = list(_entries("key", [plain], KeyEntry, mistakes))
    if mistakes:
        raise InputError("; ".join(mistakes), hint="`skylift keys add --help` tells what each may be")
    return token, entries[0]


def decode(raw: bytes, where: str) -> AccessDocument:
    """Read a document.

    Args:
        where: its path or URL, for the error.

    Raises:
        InputError: not such a document; all mistakes of its entries are told at once, no value of a hash.
    """
    try:
        loose = records.decode(raw, _Loose, where)
    except RecordError as error:
        raise InputError(
            error.message.replace("_Loose", "access"),
            hint=error.hint or "`skylift keys add NAME` begins one; docs/serving-access.md shows all that it may hold",
        ) from None
    mistakes: list[str] = []
    document = AccessDocument(
        salt=loose.salt,
        keys=tuple(_entries("keys", loose.keys, KeyEntry, mistakes)),
        issuers=tuple(_entries("issuers", loose.issuers, IssuerEntry, mistakes)),
        certificates=tuple(_entries("certificates", loose.certificates, CertificateEntry, mistakes)),
    )
    mistakes += _across(document)
    if mistakes:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise InputError(
            f"{where} has {count}: {'; '.join(mistakes)}",
            hint="docs/serving-access.md shows what an access document may hold",
            details={"where": where, "mistakes": mistakes},
        )
    return document


def _entries(kind: str, given: Sequence[Any], into: type[Entry], mistakes: list[str]) -> Iterator[Entry]:
    for number, plain in enumerate(given):
        at = kind if kind == "key" else f"{kind}[{number}]"
        try:
            entry = msgspec.convert(plain, into)
        except msgspec.ValidationError as error:
            mistakes.append(_said(at, str(error)))
            continue
        mistakes += [f"{at}: {problem}" for problem in _problems(entry)]
        yield entry


def _said(at: str, problem: str) -> str:
    what, _, path = problem.partition(" - at `$")
    return f"{at}{path.rstrip('`')}: {what}"


def _problems(entry: KeyEntry | IssuerEntry | CertificateEntry) -> Iterator[str]:
    if entry.burst is not None and entry.rate is None:
        yield "burst says nothing without a rate"
    if isinstance(entry, KeyEntry) and entry.expires is not None and entry.expires.tzinfo is None:
        yield "expires has no time zone: put Z behind it for UTC"
    if isinstance(entry, IssuerEntry):
        yield from _issuer_problems(entry.issuer)


def _issuer_problems(issuer: str) -> Iterator[str]:
    try:
        parts = urlsplit(issuer)
        is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
        host = parts.hostname or ""
    except ValueError:
        yield "issuer is no URL"
        return
    if not host or not is_plain:
        yield "issuer is no URL such as https://accounts.example.org"
    elif parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        yield f"issuer {issuer} is not https: who can change its answers could sign any token"


def _across(document: AccessDocument) -> Iterator[str]:
    for what, found in (
        ("id of keys", [key.id for key in document.keys]),
        ("hash of keys", [key.sha256 for key in document.keys]),
        ("issuer", [one.issuer for one in document.issuers]),
        ("name of certificates", [one.name for one in document.certificates]),
    ):
        if len(set(found)) < len(found):
            yield f"one {what} is there twice"


def is_expired(key: KeyEntry, now: datetime | None = None) -> bool:
    return key.expires is not None and key.expires <= (now or datetime.now(UTC))
