"""Who this machine is at Azure, without Azure's libraries: tokens of its managed or federated identity.

Looked at in the order of Azure's own libraries: workload identity of a cluster, an identity endpoint of the service (App Service and
Container Apps, Azure ML), the machine's metadata. Tokens stay in memory. Not checked against a cloud.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from skylift.clouds.asking import ask
from skylift.errors import CredentialsError

_EARLY_S = 300
_HINT = "give this machine or pod a managed identity: docs/permissions.md names its rights"


class MachineToken:
    """A token for one resource.

    Args:
        resource: such as `https://vault.azure.net`.
        environment: Azure's own variables.
    """

    def __init__(self, resource: str, environment: Mapping[str, str]) -> None:
        self._resource, self._environment = resource, environment
        self._kept, self._until = "", 0.0

    def get(self) -> str:
        """A token that holds for five minutes at least.

        Raises:
            CredentialsError: this machine has no identity.
            UnreachableError: who gives tokens out does not answer.
        """
        if time.time() > self._until - _EARLY_S:
            self._kept, self._until = self._fresh()
        return self._kept

    @property
    def until(self) -> float:
        """When the token that `get` returned ends [s since 1970]."""
        return self._until

    def forget(self) -> None:
        """Drop what is kept, as after it was refused."""
        self._until = 0.0

    def _fresh(self) -> tuple[str, float]:
        known = self._environment
        if known.get("AZURE_FEDERATED_TOKEN_FILE") and known.get("AZURE_TENANT_ID"):
            return self._by_federation()
        for at, secret, header, version in (
            ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "X-IDENTITY-HEADER", "2019-08-01"),
            ("MSI_ENDPOINT", "MSI_SECRET", "secret", "2017-09-01"),
        ):
            if known.get(at):
                client = "clientid" if version == "2017-09-01" else "client_id"
                told = {header: known[secret]} if known.get(secret) else {"Metadata": "true"}
                return self._asked(known[at], version, client, told)
        base = known.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://169.254.169.254").rstrip("/")
        return self._asked(f"{base}/metadata/identity/oauth2/token", "2018-02-01", "client_id", {"Metadata": "true"})

    def _asked(self, url: str, version: str, client: str, headers: Mapping[str, str]) -> tuple[str, float]:
        """https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token,
        https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference"""
        asked = {"api-version": version, "resource": self._resource}
        # Azure ML says with a variable of its own which of several identities is meant.
        told = self._environment.get("DEFAULT_IDENTITY_CLIENT_ID") or self._environment.get("AZURE_CLIENT_ID")
        if told:
            asked[client] = told
        return _read(*ask("GET", f"{url}?{urlencode(asked)}", headers, seconds=5))

    def _by_federation(self) -> tuple[str, float]:
        """https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow (with a federated credential)"""
        known = self._environment
        path = known["AZURE_FEDERATED_TOKEN_FILE"]
        try:
            assertion = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CredentialsError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from None
        form = {
            "grant_type": "client_credentials",
            "client_id": known.get("AZURE_CLIENT_ID", ""),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
            "scope": f"{self._resource}/.default",
        }
        base = known.get("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com").rstrip("/")
        return _read(*ask("POST", f"{base}/{known['AZURE_TENANT_ID']}/oauth2/v2.0/token", {}, urlencode(form).encode()))


def _read(status: int, text: str) -> tuple[str, float]:
    try:
        found: dict[str, Any] = json.loads(text) if status == 200 else {}
        # `expires_on` is a number or a text of seconds since 1970; the federated answer has `expires_in`.
        until = float(found["expires_on"]) if "expires_on" in found else time.time() + float(found["expires_in"])
        return str(found["access_token"]), until
    except (ValueError, KeyError, TypeError):
        raise CredentialsError(f"Azure gives this machine no token: status {status}", hint=_HINT) from None
