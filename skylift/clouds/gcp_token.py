"""Who one is at Google, without Google's libraries: the application default credentials, in the order that Google looks for them.

https://cloud.google.com/docs/authentication/application-default-credentials. Keys of service accounts are refused: they never expire,
and everything here works by impersonation or federation instead. Tokens stay in memory."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skylift.errors import CredentialsError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_OAUTH = "https://oauth2.googleapis.com/token"
_EARLY_S = 300
_SIGN_IN = "gcloud auth application-default login"

_lock = threading.Lock()
_kept: dict[str, tuple[str, float]] = {}


def token() -> str:
    """An access token, kept until five minutes before it expires.

    Raises:
        CredentialsError: nobody is signed in, or the sign-in has expired.
    """
    where = _file()
    key = str(where)
    with _lock:
        found, until = _kept.get(key, ("", 0.0))
        if time.time() < until - _EARLY_S:
            return found
        found, seconds = _metadata() if where is None else _from_file(where)
        _kept[key] = (found, time.time() + seconds)
        return found


def forget() -> None:
    """Drop kept tokens, as after the server refused one."""
    with _lock:
        _kept.clear()


def _file() -> Path | None:
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    folder = os.environ.get("CLOUDSDK_CONFIG")
    usual = (Path(folder) if folder else Path.home() / ".config" / "gcloud") / "application_default_credentials.json"
    return usual if usual.is_file() else None


def _from_file(path: Path) -> tuple[str, float]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CredentialsError(f"{path} cannot be read as credentials: {error}", hint=f"`{_SIGN_IN}`") from None
    return _of(given, str(path))


def _of(given: Mapping[str, Any], where: str) -> tuple[str, float]:
    kind = given.get("type")
    if kind == "authorized_user":
        return _answer(
            _OAUTH,
            {key: given[key] for key in ("client_id", "client_secret", "refresh_token")}
            | {"grant_type": "refresh_token"},
        )
    if kind == "external_account":
        return _federated(given, where)
    if kind == "impersonated_service_account":
        source, _ = _of(given["source_credentials"], where)
        return _impersonated(given["service_account_impersonation_url"], source)
    hint = "sign in as a person, or let CI federate: https://cloud.google.com/iam/docs/workload-identity-federation"
    if kind == "service_account":
        raise CredentialsError(f"{where} holds the key of a service account, which skylift does not use", hint=hint)
    raise CredentialsError(f"{where} holds credentials of the unknown kind {kind!r}", hint=hint)


def _federated(given: Mapping[str, Any], where: str) -> tuple[str, float]:
    """A token of another issuer (GitHub, GitLab, a cluster) for one of Google's."""
    answer = _answer(
        given["token_url"],
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "audience": given["audience"],
            "scope": SCOPE,
            "subject_token_type": given["subject_token_type"],
            "subject_token": _subject(given.get("credential_source", {}), where),
        },
    )
    url = given.get("service_account_impersonation_url")
    return _impersonated(url, answer[0]) if url else answer


def _subject(source: Mapping[str, Any], where: str) -> str:
    if "file" in source:
        try:
            text = Path(source["file"]).read_text(encoding="utf-8")
        except OSError as error:
            raise CredentialsError(f"{where}: {source['file']} cannot be read: {error.strerror}", hint="") from None
    elif "url" in source:
        text = _ask(_request(source["url"], headers=dict(source.get("headers", {}))))
    else:
        raise CredentialsError(
            f"{where} names a source of tokens that skylift does not know", hint="use one of kind file or url"
        )
    form = source.get("format", {})
    return str(json.loads(text)[form["subject_token_field_name"]]) if form.get("type") == "json" else text.strip()


def _impersonated(url: str, source: str) -> tuple[str, float]:
    request = _request(
        url,
        data=json.dumps({"scope": [SCOPE], "lifetime": "3600s"}).encode(),
        headers={"Authorization": f"Bearer {source}", "Content-Type": "application/json"},
    )
    return str(json.loads(_ask(request))["accessToken"]), 3600.0


def _metadata() -> tuple[str, float]:
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    try:
        text = _ask(_request(url, headers={"Metadata-Flavor": "Google"}), seconds=3)
    except CredentialsError:
        raise CredentialsError("nobody is signed in to Google Cloud", hint=f"`{_SIGN_IN}`") from None
    answer = json.loads(text)
    return str(answer["access_token"]), float(answer["expires_in"])


def _answer(url: str, form: Mapping[str, str]) -> tuple[str, float]:
    answer = json.loads(_ask(_request(url, data=urllib.parse.urlencode(form).encode())))
    return str(answer["access_token"]), float(answer.get("expires_in", 3600))


def _request(url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> urllib.request.Request:
    """Addresses come from files that others wrote: no `file:` among them."""
    if not url.startswith(("https://", "http://")):
        raise CredentialsError(f"credentials name {url!r}, which is no address to ask", hint=f"`{_SIGN_IN}`")
    return urllib.request.Request(url, data=data, headers=dict(headers or {}))  # noqa: S310  # looked at above


def _ask(request: urllib.request.Request, seconds: float = 30) -> str:
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310  # the schemes of Google's own files
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        what = (
            "the Google sign-in has expired" if "invalid_grant" in said else f"Google refused the sign-in: {said[:200]}"
        )
        raise CredentialsError(what, hint=f"`{_SIGN_IN}`") from None
    except OSError as error:
        host = request.host
        raise CredentialsError(
            f"{host}, which gives out tokens, does not answer: {error}", hint="check the network"
        ) from None
