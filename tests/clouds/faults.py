"""Errors as the clouds word them, and the faults that tests inject into simulated clouds. The texts are those that users quote in
public issues of the providers; they are not checked against a cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KINDS: Final = ("quota", "capacity", "throttling", "denied", "halfway", "slow", "consistency")

RETRIED: Final = frozenset({"throttling", "consistency"})
"""Faults that the providers themselves try again after, so that a program sees nothing of them."""

TEXTS: Final = {
    "aws": {
        "quota": "operation error: https response error StatusCode: 400, api error VcpuLimitExceeded: You have requested more vCPU"
        " capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type belongs to.",
        "capacity": "api error InsufficientInstanceCapacity: We currently do not have sufficient capacity in the Availability Zone"
        " you requested (us-east-1a).",
        "throttling": "api error ThrottlingException: Rate exceeded",
        "denied": "https response error StatusCode: 403, api error AccessDenied: User: arn:aws:iam::123456789012:user/simulated is"
        " not authorized to perform this operation because no identity-based policy allows it",
        "halfway": "waiting for creation: unexpected state 'FAILED', wanted target 'ACTIVE'. last error: InternalFailure",
        "slow": "waiting for creation: timeout while waiting for state to become 'ACTIVE' (last state: 'CREATING')",
        "consistency": "api error InvalidParameterValueException: The role defined for the function cannot be assumed",
    },
    "sagemaker": {
        "quota": "api error ResourceLimitExceeded: The account-level service limit 'ml.g5.xlarge for endpoint usage' is 0"
        " Instances, with current utilization of 0 Instances and a request delta of 1 Instances.",
        "capacity": "unexpected state 'Failed', wanted target 'InService'. last error: CapacityError: Unable to provision requested"
        " ML compute capacity.",
    },
    "gcp": {
        "quota": "googleapi: Error 403: Quota 'NVIDIA_L4_GPUS' exceeded. Limit: 0.0 in region us-central1., quotaExceeded",
        "capacity": "Error waiting for operation: The zone 'projects/example-project/zones/us-central1-a' does not have enough"
        " resources available to fulfill the request. (ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS)",
        "throttling": "googleapi: Error 429: Quota exceeded for quota metric 'Queries', rateLimitExceeded",
        "denied": "googleapi: Error 403: Required permission is missing for 'projects/example-project'., forbidden",
        "halfway": "Error waiting for creating: Error code 13, message: an internal error has occurred",
        "slow": "Error waiting to create: timeout while waiting for state to become 'done: true' (last state: 'done: false')",
        "consistency": "googleapi: Error 400: Service account does not exist., invalid",
    },
    "azure-native": {
        "quota": 'Code="OperationNotAllowed" Message="Operation could not be completed as it results in exceeding approved'
        ' standardNCASv3_T4Family Cores quota. Additional details - Deployment Model: Resource Manager, Current Limit: 0."',
        "capacity": 'Code="SkuNotAvailable" Message="The requested VM size is currently not available in location eastus."',
        "throttling": 'Code="TooManyRequests" Message="The request is being throttled."',
        "denied": 'Code="AuthorizationFailed" Message="The client does not have authorization to perform action over scope or the'
        ' scope is invalid."',
        "halfway": 'Code="InternalServerError" Message="Long running operation failed with status Failed."',
        "slow": "polling after CreateOrUpdate: context deadline exceeded",
        "consistency": 'Code="PrincipalNotFound" Message="Principal does not exist in the directory."',
    },
    "kubernetes": {
        "quota": "pods is forbidden: exceeded quota: compute, requested: requests.nvidia.com/gpu=1, used: 0, limited: 0",
        "capacity": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        "throttling": "the server has received too many requests and has asked us to try again later",
        "denied": 'is forbidden: User "simulated" cannot create resource in API group at the cluster scope',
        "halfway": "the object was made but failed to become ready: Minimum number of live Pods was not attained",
        "slow": "timed out waiting for the condition",
        "consistency": "the server could not find the requested resource",
    },
}

ABSENT: Final = {
    "aws": "couldn't find resource",
    "gcp": "googleapi: Error 404: The resource was not found, notFound",
    "azure-native": 'Status=404 Code="ResourceNotFound" Message="The Resource was not found."',
}

MISSING: Final = {
    "aws": "unable to validate AWS credentials. Details: No valid credential sources found. failed to refresh cached credentials,"
    " no EC2 IMDS role found, operation error ec2imds: GetMetadata, access disabled to EC2 IMDS via client option",
    "gcp": "google: could not find default credentials. See"
    " https://cloud.google.com/docs/authentication/external/set-up-adc for more information",
    "azure-native": "failed to load Azure credentials: Azure CLI: please run 'az login' to set up an account",
    "kubernetes": "configured Kubernetes cluster is unreachable: unable to load Kubernetes client configuration from kubeconfig file",
}

EXPIRED: Final = {
    "aws": "unable to validate AWS credentials. Details: operation error STS: GetCallerIdentity, https response error StatusCode:"
    " 403, api error ExpiredToken: The security token included in the request is expired",
    "gcp": 'oauth2: "invalid_grant" "Token has been expired or revoked."',
    "azure-native": "failed to acquire a token: AADSTS700082: The refresh token has expired due to inactivity. Please run 'az login'",
    "kubernetes": "Unauthorized: the server has asked for the client to provide credentials",
}


@dataclass
class Fault:
    """One error to come."""

    token: str
    on: str
    error: str
    times: int
    name: str | None = None

    def fits(self, operation: str, token: str, name: str) -> bool:
        same = self.token in (token, token.rpartition(":")[2])
        return self.times > 0 and self.on == operation and same and self.name in (None, name)


def text(token: str, error: str) -> str:
    package = token.split(":")[0]
    special = TEXTS.get(token.split(":")[1].split("/")[0], {})
    return special.get(error) or TEXTS.get(package, TEXTS["kubernetes"])[error]
