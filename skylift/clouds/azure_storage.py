"""Tokens for Azure's storage from where obstore's own way does not look: the identity endpoint of Azure ML's containers.

Azure ML sets MSI_ENDPOINT and MSI_SECRET (https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication);
obstore asks IDENTITY_ENDPOINT, or the metadata server, which such a container does not reach. Elsewhere obstore's own way stays, on AWS
and Google too, whose containers it knows (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, the metadata server). `skylift.store.azure_credentials`
takes what is here. Not checked against a cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from skylift.clouds.azure_identity import MachineToken

if TYPE_CHECKING:
    from obstore.store import AzureBearerToken

RESOURCE = "https://storage.azure.com/"
_OTHER_WAYS = (
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
)
"""Who sets one of these means it, and obstore reads it."""


class StorageTokens:
    """A credential provider for obstore's AzureStore. Tokens are kept in memory until five minutes before they end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._token = MachineToken(RESOURCE, environment)

    def __call__(self) -> AzureBearerToken:
        """
        Raises:
            CredentialsError: this machine has no identity.
            UnreachableError: who gives tokens out does not answer.
        """
        token = self._token.get()
        return {"token": token, "expires_at": datetime.fromtimestamp(self._token.until, UTC)}


def provider(environment: Mapping[str, str]) -> StorageTokens | None:
    """Where obstore's own way would not find the identity."""
    if not environment.get("MSI_ENDPOINT") or any(environment.get(name) for name in _OTHER_WAYS):
        return None
    return StorageTokens(environment)
