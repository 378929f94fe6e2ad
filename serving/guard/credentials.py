"""Which credential a request brings."""

from __future__ import annotations

import re
from collections.abc import Mapping

from serving.guard.refusals import bad_credentials

MOST_BYTES = 16 * 1024
"""Of a credential: tokens with many groups in them stay below 8 KiB, the most that common proxies pass on."""

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)[ \t]*")
_TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")


def credential(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The token that was sent, or None. `X-API-Key` comes first: proxies and clouds use `Authorization` for themselves.

    Args:
        headers: names in lower case.

    Raises:
        AccessError: one of the two is there and malformed, or of another scheme than Bearer.
    """
    told = headers.get(b"x-api-key")
    if told is not None:
        token = told.strip(b" \t")
        if len(token) > MOST_BYTES or not _TOKEN.fullmatch(token):
            raise bad_credentials("the header X-API-Key holds no token")
        return token
    told = headers.get(b"authorization")
    return None if told is None else bearer(told)


def bearer(value: bytes) -> bytes:
    """The token of an `Authorization` header's value, by https://www.rfc-editor.org/rfc/rfc6750#section-2.1.

    Raises:
        AccessError: no such value.
    """
    found = _BEARER.fullmatch(value) if len(value) <= MOST_BYTES else None
    if found is None:
        raise bad_credentials("the header Authorization is not of the form `Bearer TOKEN`")
    return found[1]
