"""Questions to Azure, read-only, each asked once, with its refusals told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_azure_native as azure

from infra.context import Context
from skylift.errors import CredentialsError, ProvisionError, SettingsError

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


def refused(error: Exception, context: Context) -> CredentialsError | ProvisionError | SettingsError:
    """What kept Azure from answering, as an error that says what to do."""
    text = str(error)
    short = text.strip().splitlines()[-1][:300] if text.strip() else type(error).__name__
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
