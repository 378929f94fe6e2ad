"""Versions of objects in S3, which obstore does not know: found and deleted by S3's REST interface, signed here (SigV4).

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html, …/API_DeleteObjects.html. Not checked against a cloud.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from skylift.errors import CredentialsError, NotFoundError, SkyliftError, UnreachableError

_TRIES = 5
_AGAIN = (429, 500, 502, 503, 504)
_TIMEOUT_S = 60
_BATCH = 1000
"""Versions that one request deletes, S3's own limit."""


@dataclass(frozen=True)
class Keys:
    """Who asks."""

    access: str
    secret: str
    session: str = ""


class Versions:
    """Versions of a bucket that no listing shows, and marks of deletion.

    Args:
        environment: AWS's own variables: keys, region, endpoint.

    Raises:
        CredentialsError: no keys in the environment, and the AWS CLI gives none.
    """

    def __init__(
        self,
        bucket: str,
        environment: Mapping[str, str] | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        known = os.environ if environment is None else environment
        self._region = known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._endpoint = (known.get("AWS_ENDPOINT_URL_S3") or known.get("AWS_ENDPOINT_URL") or "").rstrip("/")
        self._bucket, self._keys, self._pause = bucket, _keys(known), pause

    def purge(self, prefix: str) -> tuple[int, list[str]]:
        """Delete old and deleted versions of objects whose keys begin so, for good; what is there in plain sight stays.

        Returns:
            How many are gone, and what S3 said of those that it keeps.

        Raises:
            CredentialsError: not allowed to list or delete versions.
            UnreachableError: no answer.
        """
        batch: list[tuple[str, str]] = []
        gone, kept = 0, list[str]()
        for version in [*self._list(prefix), None]:
            if version is not None:
                batch.append(version)
            if batch and (version is None or len(batch) == _BATCH):
                refused = self._delete(batch)
                gone, kept, batch = gone + len(batch) - len(refused), kept + refused, []
        return gone, kept

    def _list(self, prefix: str) -> Iterator[tuple[str, str]]:
        asked = {"versions": "", "prefix": prefix}
        while True:
            page = self._ask("GET", asked)
            for one in page:
                is_hidden = _name(one) == "Version" and _text(one, "IsLatest") != "true"
                if is_hidden or _name(one) == "DeleteMarker":
                    yield _text(one, "Key"), _text(one, "VersionId")
            if _text(page, "IsTruncated") != "true":
                return
            asked |= {
                "key-marker": _text(page, "NextKeyMarker"),
                "version-id-marker": _text(page, "NextVersionIdMarker"),
            }

    def _delete(self, versions: list[tuple[str, str]]) -> list[str]:
        objects = "".join(
            f"<Object><Key>{escape(key)}</Key><VersionId>{escape(id_)}</VersionId></Object>" for key, id_ in versions
        )
        answer = self._ask("POST", {"delete": ""}, f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode())
        return [f"{_text(one, 'Key')}: {_text(one, 'Code')}" for one in answer if _name(one) == "Error"]

    def _ask(self, method: str, asked: Mapping[str, str], body: bytes = b"") -> ElementTree.Element:
        for attempt in range(_TRIES):
            status, text, region = self._once(method, asked, body)
            if status == 200:
                return ElementTree.fromstring(text)  # noqa: S314  # S3's own answer, over TLS
            if region and region != self._region and attempt == 0:
                self._region = region  # the bucket lies elsewhere, and the answer says where
            elif status not in _AGAIN or attempt == _TRIES - 1:
                raise _refused(status, text, self._bucket)
            else:
                self._pause(random.uniform(0.5, 1.0) * 2**attempt)  # noqa: S311
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, asked: Mapping[str, str], body: bytes) -> tuple[int, str, str]:
        base = f"{self._endpoint}/{self._bucket}" if self._endpoint else self._address()
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(asked.items()))
        headers = signed(method, base, query, body, self._keys, self._region, datetime.now(UTC))
        if body:
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        request = urllib.request.Request(f"{base}?{query}", method=method, data=body or None, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # https, or the user's own endpoint
                return answer.status, answer.read().decode(), ""
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace"), error.headers.get("x-amz-bucket-region", "")
        except (OSError, http.client.HTTPException) as error:
            return 503, f"{request.host} does not answer: {error}", ""

    def _address(self) -> str:
        suffix = ".cn" if self._region.startswith("cn-") else ""
        return f"https://{self._bucket}.s3.{self._region}.amazonaws.com{suffix}/"


def signed(
    method: str,
    base: str,
    query: str,
    body: bytes,
    keys: Keys,
    region: str,
    at: datetime,
    *,
    service: str = "s3",
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Headers with the signature: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

    Args:
        more: headers, names in lower case, that are signed and returned with the others.
    """
    parts, day, moment = urlsplit(base), f"{at:%Y%m%d}", f"{at:%Y%m%dT%H%M%SZ}"
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": moment, **(more or {})}
    if keys.session:
        headers["x-amz-security-token"] = keys.session
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join([method, parts.path or "/", query, lines, names, digest])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    told = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope},SignedHeaders={names},Signature={signature}"
    return headers | {"Authorization": told}


def _keys(known: Mapping[str, str]) -> Keys:
    access, secret = known.get("AWS_ACCESS_KEY_ID"), known.get("AWS_SECRET_ACCESS_KEY")
    if access and secret:
        return Keys(access, secret, known.get("AWS_SESSION_TOKEN", ""))
    try:
        done = subprocess.run(
            ["aws", "configure", "export-credentials", "--format", "process"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        found = json.loads(done.stdout)
        return Keys(found["AccessKeyId"], found["SecretAccessKey"], found.get("SessionToken", ""))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        raise CredentialsError(
            "no AWS keys were found", hint="`aws sso login`, or export AWS_ACCESS_KEY_ID …"
        ) from None


def _refused(status: int, text: str, bucket: str) -> SkyliftError:
    reason = " ".join(text.split())[:200]
    if status in (401, 403):
        return CredentialsError(
            f"not allowed to delete versions in {bucket}", hint="the custodian may; see docs/permissions.md"
        )
    if status == 404:
        return NotFoundError(f"there is no bucket {bucket}")
    return UnreachableError(f"S3 does not answer for {bucket}: {reason}", hint="try again later")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element, name: str) -> str:
    return next((one.text or "" for one in element if _name(one) == name), "")
