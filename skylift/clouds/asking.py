"""One HTTP question: its status and what was answered. Metadata servers are asked past any proxy."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from skylift.errors import CredentialsError, UnreachableError

NEAR = ("127.0.0.1", "::1", "localhost", "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")
"""Hosts that nobody else can be, and that may be asked without TLS."""
MOST_BYTES = 16 << 20


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is sent here is secret, and urllib would send it on to whatever host an answer names."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def ask(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, *, seconds: float = 10.0
) -> tuple[int, str]:
    """
    Args:
        url: https, or http to one of NEAR.

    Raises:
        CredentialsError: an address to which nothing secret may be sent.
        UnreachableError: no answer.
    """
    parts = urlsplit(url)
    is_near = parts.scheme == "http" and parts.hostname in NEAR
    if parts.scheme != "https" and not is_near:
        raise CredentialsError(
            f"{parts.scheme}://{parts.hostname} would be asked without TLS", hint="give an https address"
        )
    request = urllib.request.Request(url, method=method, data=body, headers=dict(headers))  # noqa: S310  # looked at above
    opener = urllib.request.build_opener(_NoRedirects, *([urllib.request.ProxyHandler({})] if is_near else []))
    try:
        with opener.open(request, timeout=seconds) as answer:
            return answer.status, answer.read(MOST_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(MOST_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            f"{parts.hostname} does not answer: {error}",
            hint="check the network, and whether this machine has an identity",
        ) from None
