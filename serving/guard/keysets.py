"""An issuer's public keys: found by its discovery document, fetched beside the requests, exchanged as it rotates them.

https://openid.net/specs/openid-connect-discovery-1_0.html, https://www.rfc-editor.org/rfc/rfc7517
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from serving import log
from skylift.artifacts.access import LOOPBACK
from skylift.errors import UnreachableError

RENEW_SECONDS = 300.0
"""Between two looks at the keys, so that a new one is known before the first token comes with it."""
AGAIN_SECONDS = 30.0
"""At least so long between two fetches, whatever tokens name."""
_FETCH_SECONDS = 5.0
_ALL_SECONDS = 15.0
_MOST_BYTES = 1 << 20
_RSA_BITS = 2048

Fetch = Callable[[str], "list[Any]"]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a set.

    Args:
        algorithms: that it may be used with.
        key: of the cryptography package.
        mark: equal for equal keys.
    """

    kid: str | None
    algorithms: frozenset[str]
    key: Any
    mark: str


class KeySet:
    """The keys of one issuer. Lives in the event loop's thread, fetches in another.

    Args:
        fetch: gets the keys' JSON objects; blocks.

    Attributes:
        fetched: whether keys were ever had.
        changed: is called when a key that was there is gone, or is another one.
    """

    def __init__(self, issuer: str, fetch: Fetch | None = None) -> None:
        self.issuer = issuer
        self.fetched = False
        self.changed: Callable[[], None] = lambda: None
        self._fetch = fetch or fetch_keys
        self._keys: tuple[PublicKey, ...] = ()
        self._tried = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key that a token's head names; where it names none, the only one that fits."""
        fitting = [key for key in self._keys if algorithm in key.algorithms and (kid is None or key.kid == kid)]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None

    def fetch_soon(self, now: float, *, least: float = AGAIN_SECONDS) -> asyncio.Task[None] | None:
        """The fetch that is under way, or a new one unless the last began less than `least` s ago."""
        if self._task is not None and not self._task.done():
            return self._task
        if now - self._tried < least:
            return None
        self._tried = now
        self._task = asyncio.get_running_loop().create_task(self._renew())
        return self._task

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _renew(self) -> None:
        try:
            found = await asyncio.wait_for(asyncio.to_thread(self._fetch, self.issuer), _ALL_SECONDS)
            keys = usable(found)
            if not keys:
                raise UnreachableError(f"{self.issuer} names no public key that can be used")
        except (UnreachableError, TimeoutError) as error:
            self._say(str(error) or "no answer in time")
            return
        self._say("")
        old, self._keys, self.fetched = {key.mark for key in self._keys}, keys, True
        if not old <= {key.mark for key in keys}:
            self.changed()

    def _say(self, problem: str) -> None:
        """Log a failure once, and its end."""
        if problem != self._said:
            self._said = problem
            if problem:
                log.event("issuer_unreachable", issuer=self.issuer, error=problem, keys=len(self._keys))
            else:
                log.event("issuer_reached", issuer=self.issuer)


def usable(found: Sequence[Any]) -> tuple[PublicKey, ...]:
    """Public keys for signatures among a set's members; what is something else is passed over, as RFC 7517 (section 5) asks."""
    return tuple(key for one in found if isinstance(one, dict) and (key := _public(one)) is not None)


def _public(plain: Mapping[str, Any]) -> PublicKey | None:
    from jwt import PyJWTError

    operations = plain.get("key_ops")
    if plain.get("use", "sig") != "sig" or "d" in plain:
        return None
    if isinstance(operations, list) and "verify" not in operations:
        return None
    try:
        key, algorithms = _read(plain)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if "alg" in plain:
        algorithms = algorithms & {plain["alg"]} if isinstance(plain["alg"], str) else frozenset()
    kid = plain.get("kid")
    if not algorithms or not (kid is None or isinstance(kid, str)):
        return None
    return PublicKey(kid, algorithms, key, json.dumps(plain, sort_keys=True))


def _read(plain: Mapping[str, Any]) -> tuple[Any, frozenset[str]]:
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    kind = plain.get("kty")
    if kind == "RSA":
        key: Any = RSAAlgorithm.from_jwk(dict(plain))
        names = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
        return key, frozenset(names if key.key_size >= _RSA_BITS else ())
    if kind == "EC":
        curves = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
        return ECAlgorithm.from_jwk(dict(plain)), frozenset({curves[plain["crv"]]})
    if kind == "OKP":
        return OKPAlgorithm.from_jwk(dict(plain)), frozenset({"EdDSA"})
    raise ValueError("a key of another kind")


def fetch_keys(issuer: str) -> list[Any]:
    """The members of an issuer's key set, over https (plain http on loopback alone), without following redirects.

    Raises:
        UnreachableError: no answer, or one that is no such document.
    """
    about = _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if about.get("issuer") != issuer:
        raise UnreachableError(f"the discovery document of {issuer} is of another issuer")
    where = about.get("jwks_uri")
    if not isinstance(where, str) or not is_safe(where):
        raise UnreachableError(f"{issuer} names no https address of its keys")
    keys = _get(where).get("keys")
    if not isinstance(keys, list):
        raise UnreachableError(f"{where} holds no key set")
    return keys


def is_safe(url: str) -> bool:
    """Whether nobody on the way can change what an address answers."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.scheme == "https" or _is_loopback(url))
    except ValueError:
        return False


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _get(url: str) -> dict[str, Any]:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if _is_loopback(url):
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "skylift"})  # noqa: S310  # https or loopback
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_FETCH_SECONDS) as answer:
            raw = answer.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise UnreachableError(f"{url} answers {error.code}") from None
    except Exception as error:  # sockets, TLS and HTTP each have errors of their own
        raise UnreachableError(f"{url} does not answer: {type(error).__name__}: {error}") from None
    return _object(url, raw)


def _object(url: str, raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if len(raw) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnreachableError(f"{url} answers no JSON object of at most {_MOST_BYTES >> 20} MiB")
    return found
