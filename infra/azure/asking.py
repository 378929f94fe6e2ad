"""Questions to Azure, read-only, each asked once, with its refusals told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_azure_native as azure

from infra.context import Context
from skylift.clouds.azure import Client
from skylift.errors import CredentialsError, NotFoundError, ProvisionError, SettingsError, SkyliftError

_SIGN_IN = (
    "az login",
    "AADSTS",
    "DefaultAzureCredential",
    "InvalidAuthenticationToken",
    "ExpiredAuthenticationToken",
    "no valid",
)
_FORBIDDEN = ("AuthorizationFailed", "does not have authorization")
_ELSEWHERE = ("SubscriptionNotFound", "InvalidSubscriptionId")
_MISSING = ("NotFound", "not found", "404")


class Answers:
    """What a stack's provider says."""

    def __init__(self, options: pulumi.InvokeOptions) -> None:
        self._options = options
        self._client: Client | None = None

    def tenant(self, context: Context) -> str:
        """The tenant that the sign-in is of.

        Raises:
            CredentialsError: nobody is signed in, or to another subscription.
        """
        try:
            config = azure.authorization.get_client_config(opts=self._options)
        except Exception as error:
            raise refused(error, context) from None
        if config.subscription_id.lower() != context.account.lower():
            raise CredentialsError(
                f"the sign-in works in subscription {config.subscription_id}, and skylift:account is {context.account}",
                hint=f"run `az account set --subscription {context.account}`, or mend skylift:account",
                details={"found": config.subscription_id, "wanted": context.account},
            )
        return config.tenant_id

    def find(self, context: Context, ask: Callable[[pulumi.InvokeOptions], Any]) -> Any:
        """What a question finds; None where there is no such thing.

        Raises:
            CredentialsError: the sign-in is over, or may not look.
        """
        try:
            return ask(self._options)
        except Exception as error:
            if any(word in str(error) for word in _MISSING):
                return None
            raise refused(error, context) from None

    def listed(self, path: str, version: str, what: str) -> list[dict[str, Any]] | None:
        """What a path of the resource manager lists; None, with a note, where it cannot be asked: that alone holds nobody back."""
        try:
            return self._manager().list(path, version)
        except Exception as error:
            return self._unasked(what, error)

    def there(self, path: str, version: str) -> bool | None:
        """Whether there is such a resource; None, with a note, where it cannot be asked."""
        try:
            self._manager().get(path, version)
        except NotFoundError:
            return False
        except Exception as error:
            return self._unasked(path, error)
        return True

    def _manager(self) -> Client:
        """The provider's own sign-in for questions that the provider lacks. The token is in no output, no state and no log."""
        if self._client is None:
            self._client = Client(azure.authorization.get_client_token(opts=self._options).token)
        return self._client

    @staticmethod
    def _unasked(what: str, error: Exception) -> None:
        told = error.message if isinstance(error, SkyliftError) else _short(str(error)) or type(error).__name__
        pulumi.log.info(f"not looked at before anything is made: {what} ({told})")


def refused(error: Exception, context: Context) -> CredentialsError | ProvisionError | SettingsError:
    """What kept Azure from answering, as an error that says what to do."""
    text = str(error)
    short = _short(text) or type(error).__name__
    if any(word in text for word in _ELSEWHERE):
        return SettingsError(
            f"skylift:account = {context.account!r} is no subscription that this sign-in reaches",
            hint="set skylift:account to one of `az account list --output table`, or `az login` to the tenant that has it",
            details={"key": "skylift:account", "value": context.account},
        )
    if any(word in text for word in _SIGN_IN):
        return CredentialsError(f"Azure refuses the sign-in: {short}", hint="run `az login`, then this command again")
    if any(word in text for word in _FORBIDDEN):
        return CredentialsError(
            f"the sign-in may not look at what the settings name: {short}",
            hint=f"`skylift permissions {context.stack} --as up` prints what it needs",
        )
    return ProvisionError(f"Azure did not answer: {short}", hint="try again; if it stays so, look at status.azure.com")


def _short(text: str) -> str:
    return text.strip().splitlines()[-1][:300] if text.strip() else ""
