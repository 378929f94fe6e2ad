"""What clouds say, and what a user is told."""

import pytest

from skylift.engine.failures import failure
from skylift.errors import CapacityError, ConflictError, CredentialsError, ProvisionError, QuotaError, SkyliftError

SAID = [
    (
        "pulumi:providers:aws resource 'aws' has a problem: No valid credential sources found. Please see https://…",
        CredentialsError,
        "aws sso login",
    ),
    (
        "unable to validate AWS credentials. Details: operation error STS: GetCallerIdentity, ExpiredToken: The security token",
        CredentialsError,
        "aws sso login",
    ),
    (
        "google: could not find default credentials. See https://…",
        CredentialsError,
        "gcloud auth application-default login",
    ),
    ('oauth2: "invalid_grant" "reauth related error (invalid_rapt)"', CredentialsError, "login"),
    ("AADSTS700082: The refresh token has expired due to inactivity.", CredentialsError, "az login"),
    (
        "1 error occurred: * creating EC2 Instance: VcpuLimitExceeded: You have requested more vCPU capacity than your current "
        "vCPU limit of 0 allows",
        QuotaError,
        "accelerator: cpu",
    ),
    (
        "googleapi: Error 403: Quota 'NVIDIA_L4_GPUS' exceeded. Limit: 0.0 in region us-central1., quotaExceeded",
        QuotaError,
        "quota",
    ),
    (
        'Code="OperationNotAllowed" Message="Operation could not be completed as it results in exceeding approved '
        'standardNCASv3_T4Family Cores quota."',
        QuotaError,
        "accelerator: cpu",
    ),
    (
        'Status=409 Code="ConflictError" Message="A vault with the same name already exists in deleted state. You need to either recover '
        'or purge existing key vault."',
        ConflictError,
        "az keyvault purge --name",
    ),
    (
        "Soft-deleted workspace exists. Please purge or recover it. https://aka.ms/wsoftdelete (Code:BadRequest)",
        ConflictError,
        "az ml workspace delete --permanently-delete",
    ),
    ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone does not have enough resources", CapacityError, "zones"),
    ("InsufficientInstanceCapacity: We currently do not have sufficient p5.48xlarge capacity", CapacityError, "zones"),
    ('Code="SkuNotAvailable" Message="The requested VM size is currently not available"', CapacityError, "machines"),
    (
        "AccessDenied: User: arn:aws:iam::123456789012:user/ada is not authorized to perform: s3:CreateBucket",
        CredentialsError,
        "skylift permissions prod --as up",
    ),
    ("googleapi: Error 403: Required 'compute.networks.create' permission for 'x'", CredentialsError, "--as up"),
    (
        'Code="AuthorizationFailed" Message="The client does not have authorization to perform action"',
        CredentialsError,
        "--as up",
    ),
    ("Throttling: Rate exceeded", ProvisionError, "skylift up prod"),
    (
        "Preview failed: resource urn:pulumi:prod::skylift::skylift:aws:Storage$aws:s3/bucket:Bucket::storage-keep cannot be deleted\n"
        "because it is protected. To unprotect the resource",
        ConflictError,
        "--compute",
    ),
]


@pytest.mark.parametrize(("said", "kind", "fix"), SAID, ids=[text[:30] for text, _, _ in SAID])
def test_a_refusal_of_a_cloud_comes_with_its_fix(said: str, kind: type[SkyliftError], fix: str) -> None:
    error = failure("prod", "up", [said, "update failed"], "", "log")
    assert type(error) is kind
    assert fix in error.hint


def test_a_protected_stack_names_what_holds_data() -> None:
    assert failure("prod", "destroy", [SAID[-1][0]], "", "log").message == (
        "stack 'prod' is protected: storage-keep holds what cannot be made again"
    )


def test_a_replacement_that_would_lose_data_names_the_setting_that_allows_it() -> None:
    said = (
        'unable to replace resource "urn:pulumi:prod::skylift::skylift:aws:Storage$aws:s3/bucket:Bucket::storage-keep"\n'
        "as it is currently marked for protection. To unprotect the resource, remove the `protect` flag"
    )
    error = failure("prod", "preview", [said], "", "log")
    assert type(error) is ConflictError
    assert error.message == "a changed setting would replace storage-keep, and what it holds would be lost"
    assert "skylift:disposable: true" in error.hint


def test_the_clouds_own_sentence_stays() -> None:
    error = failure("prod", "up", [SAID[5][0]], "", "log")
    assert "current vCPU limit of 0" in error.message
