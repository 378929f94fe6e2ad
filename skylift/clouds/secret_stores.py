"""Secrets in a cloud's store, read as the machine's own identity. Values stay in memory, and no error repeats them.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html,
https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access,
https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret. Not checked against a cloud.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from skylift.clouds import gcp, s3
from skylift.clouds.asking import ask
from skylift.clouds.aws_keys import MachineKeys
from skylift.clouds.azure_identity import MachineToken
from skylift.errors import CredentialsError, NotFoundError, SkyliftError, UnreachableError

FORMS = (
    "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME, projects/PROJECT/secrets/NAME or "
    "https://VAULT.vault.azure.net/secrets/NAME"
)
AZURE_URL = "SKYLIFT_KEY_VAULT_URL"
"""Environment variable that leads elsewhere than to the vault's own address: a simulation."""
GCP_URL = "SKYLIFT_SECRET_MANAGER_URL"
"""Likewise for Secret Manager's."""

_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:\S+")
_GCP = re.compile(
    r"(?:https://secretmanager\.googleapis\.com/v1/)?(projects/[^/\s]+/secrets/[^/\s]+)(?:/versions/([^/\s:]+))?"
)
_AZURE = re.compile(
    r"https://[a-z0-9-]+\.(vault\.azure\.net|vault\.azure\.cn|vault\.usgovcloudapi\.net)/secrets/[0-9A-Za-z-]+(?:/[0-9a-f]{32})?"
)
_NONE_YET = "put a value in: docs/serving-access.md tells how"


class Secret(Protocol):
    """Args:
    where: its name, which is no secret.
    """

    @property
    def where(self) -> str: ...

    def read(self) -> bytes:
        """The newest value.

        Raises:
            NotFoundError: there is no such secret, or none has a value yet.
            CredentialsError: this machine may not read it.
            UnreachableError: no answer.
        """
        ...


def find(where: str, environment: Mapping[str, str]) -> Secret | None:
    """The secret that is meant, or None where `where` is no secret's name."""
    if _ARN.fullmatch(where):
        return AwsSecret(where, environment)
    if _GCP.fullmatch(where):
        return GcpSecret(where, environment)
    if _AZURE.fullmatch(where):
        return AzureSecret(where, environment)
    return None


class AwsSecret:
    """An entry of Secrets Manager, by its ARN, with or without the six characters at its end."""

    def __init__(self, where: str, environment: Mapping[str, str]) -> None:
        found = _ARN.fullmatch(where)
        assert found
        self.where, self._region = where, found[1]
        self._keys = MachineKeys(environment, self._region)
        suffix = ".cn" if self._region.startswith("cn-") else ""
        usual = f"https://secretsmanager.{self._region}.amazonaws.com{suffix}"
        told = environment.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or environment.get("AWS_ENDPOINT_URL")
        self._base = (told or usual).rstrip("/") + "/"

    def read(self) -> bytes:
        body = json.dumps({"SecretId": self.where}).encode()
        more = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.GetSecretValue"}
        headers = s3.signed(
            "POST",
            self._base,
            "",
            body,
            self._keys.get(),
            self._region,
            datetime.now(UTC),
            service="secretsmanager",
            more=more,
        )
        status, text = ask("POST", self._base, headers, body)
        answer = _object(text)
        if status != 200:
            raise self._refused(status, str(answer.get("__type", "")).rpartition("#")[2])
        if "SecretString" in answer:
            return str(answer["SecretString"]).encode()
        return base64.b64decode(answer.get("SecretBinary", ""))

    def _refused(self, status: int, kind: str) -> SkyliftError:
        if kind == "ResourceNotFoundException":
            return NotFoundError(f"{self.where} is not there, or has no value yet", hint=_NONE_YET)
        if status in (400, 401, 403) and kind != "ThrottlingException":
            self._keys.forget()
            return CredentialsError(f"AWS does not let {self.where} be read: {kind or status}", hint=_MAY)
        return _silent(self.where, status)


class GcpSecret:
    """An entry of Secret Manager; its newest version unless another is named."""

    def __init__(self, where: str, environment: Mapping[str, str]) -> None:
        found = _GCP.fullmatch(where)
        assert found
        self.where = f"{found[1]}/versions/{found[2] or 'latest'}"
        base = environment.get(GCP_URL, "https://secretmanager.googleapis.com/v1")
        self._client = gcp.Client(base, "")

    def read(self) -> bytes:
        try:
            answer = self._client.get(f"{self.where}:access")
        except NotFoundError:
            raise NotFoundError(f"{self.where} is not there, or has no value yet", hint=_NONE_YET) from None
        return base64.b64decode(answer.get("payload", {}).get("data", ""))


class AzureSecret:
    """An entry of a Key Vault; its newest version unless another is named."""

    def __init__(self, where: str, environment: Mapping[str, str]) -> None:
        found = _AZURE.fullmatch(where)
        assert found
        self.where = where
        self._token = MachineToken(f"https://{found[1]}", environment)
        base = environment.get(AZURE_URL)
        self._url = f"{base.rstrip('/')}{urlsplit(where).path}" if base else where

    def read(self) -> bytes:
        told = {"Authorization": f"Bearer {self._token.get()}"}
        status, text = ask("GET", f"{self._url}?api-version=7.4", told)
        answer = _object(text)
        if status == 200:
            return str(answer.get("value", "")).encode()
        error = answer.get("error")
        inner = error.get("innererror") if isinstance(error, dict) else None
        if status == 404 or (isinstance(inner, dict) and inner.get("code") == "SecretDisabled"):
            raise NotFoundError(f"{self.where} is not there, or has no value yet", hint=_NONE_YET)
        if status in (401, 403):
            self._token.forget()
            raise CredentialsError(f"Azure does not let {self.where} be read: status {status}", hint=_MAY)
        raise _silent(self.where, status)


_MAY = "docs/permissions.md names the rights of the serving identity"


def _silent(where: str, status: int) -> UnreachableError:
    return UnreachableError(f"{where} cannot be read now: status {status}", hint="it is tried again by itself")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
