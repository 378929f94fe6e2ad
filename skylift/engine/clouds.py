"""What clouds and their Pulumi providers say when they refuse, turned into errors of ours with the fix.

The texts are those of the providers (pulumi-aws 7, pulumi-gcp 10, pulumi-azure-native 3) and of the services' APIs; quota and capacity
are told apart, because only one of them is mended by asking for more.
"""

from __future__ import annotations

import re

from skylift.errors import (
    CapacityError,
    ConflictError,
    CredentialsError,
    ProvisionError,
    QuotaError,
    SettingsError,
    SkyliftError,
)

_URN = re.compile(r"urn:pulumi:[^\s'\"]+::([\w-]+:[\w/.-]+:\w+|[\w$:./-]+)::([\w.-]+)")

_SIGN_IN = (
    (
        r"No valid credential sources found|unable to validate AWS credentials|NoCredentialProviders"
        r"|Invalid credentials configured",
        "no AWS credentials were found",
        "sign in: `aws sso login`, or set AWS_PROFILE; `aws sts get-caller-identity` shows who you are",
    ),
    (
        r"ExpiredToken|security token included in the request is expired|token has expired and refresh failed",
        "the AWS credentials have expired",
        "sign in again: `aws sso login`",
    ),
    (
        r"could not find default credentials|no credentials loaded for the Google Cloud",
        "no Google credentials were found",
        "sign in: `gcloud auth application-default login`",
    ),
    (
        r"invalid_grant|invalid_rapt|Reauthentication (?:is )?(?:needed|failed)",
        "the Google credentials have expired",
        "sign in again: `gcloud auth application-default login`",
    ),
    (
        r"AADSTS700082|AADSTS50173|AADSTS70043|refresh token has expired|ExpiredAuthenticationToken",
        "the Azure credentials have expired",
        "sign in again: `az login`",
    ),
    (
        r"[Pp]lease run 'az login'|obtain a token.*[Aa]zure|could not configure AzureCli|DefaultAzureCredential",
        "no Azure credentials were found",
        "sign in: `az login`, then `az account set --subscription ACCOUNT`",
    ),
)
_QUOTA = re.compile(
    r"VcpuLimitExceeded|MaxSpotInstanceCountExceeded|ResourceLimitExceeded|QUOTA_EXCEEDED|quotaExceeded|QuotaExceeded"
    r"|OutOfQuota|exceed(?:ing|ed|s)? (?:approved )?[\w ]*[Qq]uota|Quota '[\w-]+' exceeded|LimitExceededException"
)
_CAPACITY = re.compile(
    r"InsufficientInstanceCapacity|InsufficientCapacity|CapacityError|ZONE_RESOURCE_POOL_EXHAUSTED|stockout|SkuNotAvailable"
    r"|AllocationFailed|ZonalAllocationFailed|OverconstrainedAllocationRequest|OutOfCapacity"
)
_DENIED = re.compile(
    r"AccessDenied|UnauthorizedOperation|is not authorized to perform|AuthorizationFailed|PERMISSION_DENIED"
    r"|Required '[\w.]+' permission|does not have authorization|Permission '?[\w.]+'? denied|Error 403"
)
_THROTTLED = re.compile(
    r"Throttling|Rate exceeded|rateLimitExceeded|RATE_LIMIT_EXCEEDED|TooManyRequests|RequestLimitExceeded"
)
_ELSEWHERE = re.compile(r"SubscriptionNotFound|InvalidSubscriptionId|InvalidAuthenticationTokenTenant|CONSUMER_INVALID")
_IN_USE = re.compile(r"resourceInUseByAnotherResource|is already being used by '")
_SOFT_VAULT = re.compile(r"already exists in deleted state|vault .{0,80}recently deleted but not purged")
_SOFT_WORKSPACE = re.compile(r"Soft-deleted workspace exists")
_REPLACED = re.compile(r"unable to replace resource \"?(\S+?)\"? as it is currently marked for protection")
_PROTECTED = re.compile(r"(?:cannot be deleted|refusing to delete).{0,200}?protect", re.DOTALL)


def cloud_failure(text: str, stack: str) -> SkyliftError | None:
    """The error for what a cloud said, or None if it is none of the known kinds."""
    details = {"stack": stack, "said": text[:2000]}
    for pattern, message, hint in _SIGN_IN:
        if re.search(pattern, text):
            return CredentialsError(f"{message}: {_short(text)}", hint=hint, details=details)
    if _ELSEWHERE.search(text):
        return SettingsError(
            f"skylift:account is no project or subscription that this sign-in reaches: {_short(text)}",
            hint=f"mend skylift:account in stacks/Pulumi.{stack}.yaml, or sign in to where it is: `gcloud projects list` and "
            "`az account list` show what there is",
            details={**details, "key": "skylift:account"},
        )
    if _REPLACED.search(" ".join(text.split())):
        return replaced(stack, _resource(text))
    if _PROTECTED.search(text):
        return protected(stack, _resource(text))
    if _SOFT_VAULT.search(text) or _SOFT_WORKSPACE.search(text):
        return _held_softly(stack, text, details)
    if _QUOTA.search(text):
        return QuotaError(
            f"the account's quota does not allow it: {_short(text)}",
            hint="raise the quota that is named, choose another region, or set `accelerator: cpu`; then `skylift up` goes on",
            details=details,
        )
    if _IN_USE.search(text):
        return ConflictError(
            f"something that is to go is still in use: {_short(text)}",
            hint="most often a run that is at work holds its template. All else is done: when the run has ended "
            f"(`skylift runs -s {stack}`), `skylift up {stack}` takes away what is left",
            details=details,
        )
    if _CAPACITY.search(text):
        return CapacityError(
            f"the cloud has none of these machines free: {_short(text)}",
            hint="give more `zones` or `machines` in the stack's settings, or try again later; a higher quota does not help",
            details=details,
        )
    if _DENIED.search(text):
        return CredentialsError(
            f"not allowed: {_short(text)}",
            hint=f"`skylift permissions {stack} --as up` prints the rights that `up` needs; give them to whoever runs it",
            details=details,
        )
    if _THROTTLED.search(text):
        return ProvisionError(
            f"the cloud asks for fewer calls: {_short(text)}",
            hint=f"run `skylift up {stack}` again; it goes on where it stopped",
            details=details,
        )
    return None


def _held_softly(stack: str, text: str, details: dict[str, str]) -> ConflictError:
    """Azure keeps what was deleted, and its name with it, for days: of vaults what the vault says, of workspaces 14."""
    if _SOFT_VAULT.search(text):
        return ConflictError(
            f"a deleted key vault still holds its name: {_short(text)}",
            hint="`az keyvault list-deleted` names it, `az keyvault purge --name NAME` lets the name go, then `skylift up` goes on; "
            "a vault with purge protection (that of `encryption_key: stack`) cannot be purged: wait out its retention, or set another "
            "`skylift:name_prefix`",
            details=details,
        )
    return ConflictError(
        f"a deleted Azure ML workspace still holds its name: {_short(text)}",
        hint="`az ml workspace delete --permanently-delete --name NAME --resource-group GROUP` lets the name go (the portal's list "
        f"of recently deleted workspaces names both), then `skylift up {stack}` goes on",
        details=details,
    )


def protected(stack: str, resource: str = "") -> ConflictError:
    """The error for a `down` that would take data away."""
    what = f"{resource} holds" if resource else "its buckets, registry and keys hold"
    return ConflictError(
        f"stack {stack!r} is protected: {what} what cannot be made again",
        hint=f"`skylift down {stack} --compute` takes away everything else; to delete the data too, set `skylift:disposable: true` in "
        f"stacks/Pulumi.{stack}.yaml, run `skylift up {stack}`, then `skylift down {stack}`",
        details={"stack": stack},
    )


def replaced(stack: str, resource: str) -> ConflictError:
    """The error for a changed setting that would make anew what holds data."""
    return ConflictError(
        f"a changed setting would replace {resource}, and what it holds would be lost",
        hint=f"take the change back; if the data may go, set `skylift:disposable: true` in stacks/Pulumi.{stack}.yaml, run "
        f"`skylift up {stack}`, and change the other setting then",
        details={"stack": stack, "resource": resource},
    )


def _resource(text: str) -> str:
    found = _URN.search(text)
    return found[2] if found else ""


def _short(text: str) -> str:
    """The cloud's own sentence, without the engine's frame around it."""
    clean = re.sub(r"\s+", " ", text).strip()
    clean = re.sub(
        r"^(?:\w+ (?:urn:\S+ )?failed:? ?|creating urn:\S+:? |1 error occurred: \* |error: |rpc error: )+", "", clean
    )
    return clean if len(clean) <= 400 else clean[:400] + "…"
