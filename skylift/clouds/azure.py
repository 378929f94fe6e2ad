"""Azure's resource manager, read-only: what a stack's checks ask that Pulumi's provider has no question for."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from skylift.errors import CredentialsError, InputError, NotFoundError, SkyliftError, UnreachableError

URL = "SKYLIFT_ARM_URL"
"""Environment variable that leads elsewhere: a sovereign cloud, or a simulation."""

_PUBLIC = "https://management.azure.com"
_TRIES = 3
_TIMEOUT_S = 20
_AGAIN = (429, 500, 502, 503, 504)


class Client:
    """Args:
    token: for the resource manager. It stays in memory, is sent to the manager's own address alone, and no error repeats it.
    """

    def __init__(self, token: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._token, self._pause = token, pause
        self._base = os.environ.get(URL, _PUBLIC).rstrip("/")

    def get(self, path: str, version: str) -> dict[str, Any]:
        """One resource.

        Args:
            path: such as `/subscriptions/…/locations/eastus/usages`.
            version: of the interface, `api-version`.

        Raises:
            CredentialsError: not allowed, or signed in no more.
            NotFoundError: there is no such thing.
            UnreachableError: no answer, after a few tries.
        """
        return self._ask(f"{self._base}{path}?api-version={version}")

    def list(self, path: str, version: str) -> list[dict[str, Any]]:
        """Everything that a path lists, page by page; raises what get() does."""
        found: list[dict[str, Any]] = []
        url = f"{self._base}{path}?api-version={version}"
        while url:
            page = self._ask(url)
            found += page.get("value") or []
            url = page.get("nextLink") or ""
            if url and not url.startswith(f"{self._base}/"):
                raise UnreachableError(f"Azure names a next page elsewhere than {self._base}", hint="try again later")
        return found

    def _ask(self, url: str) -> dict[str, Any]:
        for attempt in range(_TRIES):
            status, text = self._once(url)
            if status < 400:
                return _object(text)
            if status not in _AGAIN or attempt == _TRIES - 1:
                raise _refused(status, text)
            self._pause(2.0**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, url: str) -> tuple[int, str]:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._token}"})  # noqa: S310  # https, or a test's own server
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # as above
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 503, json.dumps({"error": {"message": f"{request.host} does not answer: {error}"}})


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnreachableError("what answers is not Azure's resource manager", hint=f"look at the proxy, or at {URL}")
    return found


def _refused(status: int, text: str) -> SkyliftError:
    try:
        message = str(json.loads(text)["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        message = " ".join(text.split())[:200]
    if status == 401:
        return CredentialsError(
            f"Azure does not know who asks: {message}", hint="run `az login`, then this command again"
        )
    if status == 403:
        return CredentialsError(
            f"not allowed: {message}", hint="`skylift permissions STACK --as up` prints what is needed"
        )
    if status == 404:
        return NotFoundError(f"Azure has it not: {message}")
    if status in _AGAIN:
        return UnreachableError(f"Azure does not answer: {message}", hint="try again later")
    return InputError(f"Azure refuses the question: {message}")
