"""Who this machine is at AWS, without AWS's libraries: keys from the places that its SDKs look at, in their order.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html. Profiles of people are left out: this is for servers.
Keys stay in memory. Not checked against a cloud.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

from skylift.clouds.asking import NEAR, ask
from skylift.clouds.s3 import Keys
from skylift.errors import CredentialsError

_EARLY = timedelta(minutes=5)
_HINT = "give this machine, pod or task a role: docs/permissions.md names its rights"


class MachineKeys:
    """Args:
    environment: AWS's own variables.
    """

    def __init__(self, environment: Mapping[str, str], region: str) -> None:
        self._environment, self._region = environment, region
        self._kept: Keys | None = None
        self._until = datetime.max.replace(tzinfo=UTC)

    def get(self) -> Keys:
        """Keys that hold for five minutes at least.

        Raises:
            CredentialsError: this machine has no role, or may not take it.
            UnreachableError: who gives them out does not answer.
        """
        if self._kept is None or datetime.now(UTC) > self._until - _EARLY:
            self._kept, self._until = self._fresh()
        return self._kept

    def forget(self) -> None:
        """Drop what is kept, as after it was refused."""
        self._kept = None

    def _fresh(self) -> tuple[Keys, datetime]:
        known = self._environment
        if known.get("AWS_ACCESS_KEY_ID") and known.get("AWS_SECRET_ACCESS_KEY"):
            keys = Keys(known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"], known.get("AWS_SESSION_TOKEN", ""))
            return keys, datetime.max.replace(tzinfo=UTC)
        if known.get("AWS_WEB_IDENTITY_TOKEN_FILE") and known.get("AWS_ROLE_ARN"):
            return self._by_web_identity()
        if known.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or known.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            return self._by_container()
        return self._by_machine()

    def _by_web_identity(self) -> tuple[Keys, datetime]:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"""
        known = self._environment
        base = known.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{self._region}.amazonaws.com{_suffix(self._region)}"
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": known["AWS_ROLE_ARN"],
            "RoleSessionName": known.get("AWS_ROLE_SESSION_NAME", "skylift"),
            "WebIdentityToken": _text_of(known["AWS_WEB_IDENTITY_TOKEN_FILE"]),
        }
        status, text = ask("POST", f"{base.rstrip('/')}/", {}, urlencode(form).encode())
        if status != 200:
            raise CredentialsError(f"AWS does not give the role {form['RoleArn']}: status {status}", hint=_HINT)
        found = {one.tag.rpartition("}")[2]: one.text or "" for one in ElementTree.fromstring(text).iter()}  # noqa: S314  # STS's own answer, over TLS
        return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]), _time(found["Expiration"])

    def _by_container(self) -> tuple[Keys, datetime]:
        """https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
        known = self._environment
        relative = known.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        url = f"http://169.254.170.2{relative}" if relative else known["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in NEAR:
            raise CredentialsError(f"{parts.hostname} would be asked for AWS keys without TLS", hint=_HINT)
        file, token = (known.get(f"AWS_CONTAINER_AUTHORIZATION_TOKEN{end}", "") for end in ("_FILE", ""))
        token = _text_of(file) if file else token
        return _of_json(*ask("GET", url, {"Authorization": token} if token else {}, seconds=5))

    def _by_machine(self) -> tuple[Keys, datetime]:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html"""
        known = self._environment
        if known.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise CredentialsError("there are no AWS keys here", hint=_HINT)
        base = known.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
        lasting = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        status, token = ask("PUT", f"{base}/latest/api/token", lasting, b"", seconds=3)
        at, told = f"{base}/latest/meta-data/iam/security-credentials/", {"X-aws-ec2-metadata-token": token}
        status, role = ask("GET", at, told, seconds=3) if status == 200 else (status, "")
        if status != 200:
            raise CredentialsError("this machine has no role at AWS", hint=_HINT)
        return _of_json(*ask("GET", at + role.strip(), told, seconds=3))


def _of_json(status: int, text: str) -> tuple[Keys, datetime]:
    try:
        found: dict[str, Any] = json.loads(text) if status == 200 else {}
        return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["Token"]), _time(found["Expiration"])
    except (ValueError, KeyError, TypeError):
        raise CredentialsError(f"AWS gives this machine no keys: status {status}", hint=_HINT) from None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from None


def _suffix(region: str) -> str:
    return ".cn" if region.startswith("cn-") else ""
