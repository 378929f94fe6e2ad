"""Google's REST interfaces: JSON requests with a token, retries where they help, long operations, errors of ours."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from skylift.clouds import gcp_token
from skylift.errors import (
    ConflictError,
    CredentialsError,
    InputError,
    NotFoundError,
    ProvisionError,
    SkyliftError,
    UnreachableError,
)

_TRIES = 5
_AGAIN = (429, 500, 502, 503, 504)
_TIMEOUT_S = 60


class Client:
    """One service.

    Args:
        base: beginning of its addresses, with the version: `https://us-central1-aiplatform.googleapis.com/v1`.
        project: that requests count against, which whoever asks must have the right to use; empty for their own.
    """

    def __init__(self, base: str, project: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._base, self._project, self._pause = base.rstrip("/"), project, pause

    def get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask("PATCH", path, body)

    def delete(self, path: str) -> dict[str, Any]:
        return self._ask("DELETE", path)

    def wait(self, operation: dict[str, Any], *, seconds: float) -> dict[str, Any]:
        """The response of a long operation.

        Raises:
            ProvisionError: it failed.
            UnreachableError: it was not done in time; it goes on at Google.
        """
        end, pause = time.monotonic() + seconds, 1.0
        while not operation.get("done"):
            if time.monotonic() > end:
                raise UnreachableError(
                    f"{operation['name']} was not done within {seconds / 60:.0f} minutes",
                    hint="it goes on at Google: do the same again later, which picks it up",
                )
            self._pause(pause)
            pause = min(pause * 1.5, 20.0)
            operation = self.get(operation["name"])
        if "error" in operation:
            raise failure(operation["error"].get("code", 0), operation["error"].get("message", ""))
        response: dict[str, Any] = operation.get("response", {})
        return response

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        for attempt in range(_TRIES):
            status, text = self._once(method, path, body)
            if status < 400:
                found: dict[str, Any] = json.loads(text) if text else {}
                return found
            if status == 401 and attempt == 0:
                gcp_token.forget()
            elif status not in _AGAIN or attempt == _TRIES - 1:
                raise _refused(status, text)
            else:
                self._pause(random.uniform(0.5, 1.0) * 2**attempt)  # noqa: S311
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, str]:
        request = urllib.request.Request(  # noqa: S310  # https, or a test's own server
            f"{self._base}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {gcp_token.token()}",
                "Content-Type": "application/json",
                **({"X-Goog-User-Project": self._project} if self._project else {}),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # https, or a test's own server
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 503, json.dumps({"error": {"message": f"{request.host} does not answer: {error}"}})


def failure(code: int, message: str) -> SkyliftError:
    """The error of a failed operation, by Google's RPC codes: https://cloud.google.com/apis/design/errors"""
    lower = message.lower()
    if "quota" in lower:
        return ProvisionError(
            f"a quota is used up: {message}", hint="ask for more, choose another region, or set accelerator: cpu"
        )
    if code == 8 or "resources available" in lower or "stockout" in lower:
        return ProvisionError(
            f"Google has no such machines free: {message}", hint="try later, or choose another region or accelerator"
        )
    if code == 7:
        return CredentialsError(
            f"not allowed: {message}", hint="`skylift permissions STACK --as up` prints what is needed"
        )
    return ProvisionError(
        f"Google could not do it: {message}", hint="the endpoint's log tells more: `skylift logs --endpoint`"
    )


def _refused(status: int, text: str) -> SkyliftError:
    try:
        message = str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = " ".join(text.split())[:200]
    if status == 401:
        return CredentialsError(
            f"Google does not know who asks: {message}", hint="gcloud auth application-default login"
        )
    if status == 403:
        return failure(7, message)
    if status == 404:
        return NotFoundError(f"Google has it not: {message}")
    if status == 409:
        return ConflictError(f"it is there already, or somebody is at it: {message}")
    if status == 429:
        return failure(8, message)
    if status >= 500:
        return UnreachableError(f"Google does not answer: {message}", hint="try again later")
    return InputError(f"Google refuses it: {message}")
