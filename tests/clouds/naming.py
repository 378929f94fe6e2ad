"""Physical names as the providers give them: from the logical name and a suffix, where the program gives none."""

from __future__ import annotations

import difflib
import re
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.clouds import wheels
from tests.clouds.values import plain
from tests.clouds.world import digest

_SPECIAL = {
    "aws:s3/bucket:Bucket": "bucket",
    "aws:eks/nodeGroup:NodeGroup": "nodeGroupName",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "name",
    "azure-native:network:Subnet": "subnetName",
    "azure-native:authorization:RoleDefinition": "roleDefinitionId",
    "gcp:serviceaccount/account:Account": "accountId",
}
_UNNAMED = frozenset({"aws:ec2/launchTemplate:LaunchTemplate.keyName"})
_LOWER = frozenset({"aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"})
_ANYWHERE = ("resourceGroupName", "displayName", "friendlyName", "dnsName", "groupShortName", "workloadProfileName")


RULES: dict[str, str] = {
    "aws:s3/bucket:Bucket": r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "aws:iam/role:Role": r"[\w+=,.@-]{1,64}",
    "aws:iam/instanceProfile:InstanceProfile": r"[\w+=,.@-]{1,128}",
    "aws:iam/policy:Policy": r"[\w+=,.@-]{1,128}",
    "aws:ecr/repository:Repository": r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*",
    "aws:lb/loadBalancer:LoadBalancer": r"(?!internal-)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?",
    "aws:lb/targetGroup:TargetGroup": r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?",
    "aws:sagemaker/model:Model": r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}",
    "aws:sagemaker/endpoint:Endpoint": r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}",
    "aws:eks/cluster:Cluster": r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}",
    "aws:eks/nodeGroup:NodeGroup": r"[0-9A-Za-z][A-Za-z0-9_-]{0,62}",
    "aws:lambda/function:Function": r"[a-zA-Z0-9_-]{1,64}",
    "aws:scheduler/schedule:Schedule": r"[0-9a-zA-Z_.-]{1,64}",
    "gcp:storage/bucket:Bucket": r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]",
    "gcp:container/cluster:Cluster": r"[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?",
    "gcp:container/nodePool:NodePool": r"[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?",
    "gcp:vertex/aiEndpoint:AiEndpoint": r"[1-9][0-9]{0,9}",
    "azure-native:storage:StorageAccount": r"[a-z0-9]{3,24}",
    "azure-native:containerregistry:Registry": r"[a-zA-Z0-9]{5,50}",
    "azure-native:keyvault:Vault": r"[a-zA-Z](?!.*--)[a-zA-Z0-9-]{1,22}[a-zA-Z0-9]",
    "azure-native:containerservice:AgentPool": r"[a-z][a-z0-9]{0,11}",
    "azure-native:machinelearningservices:Workspace": r"[a-zA-Z0-9][\w-]{2,32}",
    "azure-native:machinelearningservices:Compute": r"[a-zA-Z][a-zA-Z0-9-]{0,14}[a-zA-Z0-9]",
    "azure-native:machinelearningservices:OnlineEndpoint": r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]",
    "azure-native:machinelearningservices:OnlineDeployment": r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]",
    "azure-native:storage:BlobContainer": r"[a-z0-9](?:-?[a-z0-9]){2,62}",
    "gcp:serviceaccount/account:Account": r"[a-z](?:[-a-z0-9]{4,28}[a-z0-9])",
}
"""What the services' API references allow as a name. Not checked against a cloud."""

_COMPUTE = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"
_LONGEST = {
    "aws:s3/bucket:Bucket": 63,
    "aws:iam/role:Role": 64,
    "aws:lb/loadBalancer:LoadBalancer": 32,
    "aws:lb/targetGroup:TargetGroup": 32,
    "aws:lambda/function:Function": 64,
    "aws:sagemaker/model:Model": 63,
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": 63,
}
"""Where the providers cut a made-up name short."""


def wrong_name(token: str, name: str) -> str | None:
    """What is wrong with a physical name, or None."""
    rule = RULES.get(token) or (_COMPUTE if token.startswith("gcp:compute/") and name_key(token) else None)
    if rule is None or re.fullmatch(rule, name):
        return None
    return f"{name!r} ({len(name)} characters) is no name that the cloud allows: {rule}"


@cache
def name_key(token: str) -> str | None:
    """The input that is the physical name, required or not."""
    if token in _SPECIAL:
        return _SPECIAL[token]
    package, expected = token.split(":")[0], wheels.inputs(token) or {}
    if package != "azure-native":
        return "name" if "name" in expected else None
    kind = token.rpartition(":")[2]
    if kind == "ResourceGroup":
        return "resourceGroupName"
    own = kind[0].lower() + kind[1:] + "Name"
    found = [key for key in expected if key.endswith("Name") and key not in _ANYWHERE and not expected[key].is_required]
    if own in found or not found:
        return own if own in found else ("name" if "name" in expected else None)
    exact = [key for key in found if key in ("resourceName", "ruleName", "vmName", "accountName")]
    near = difflib.get_close_matches(own, found, 1, cutoff=0.4)
    return near[0] if near else (exact or found)[0]


def with_name(token: str, logical: str, inputs: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    """The inputs with the physical name filled in, as the provider's Check does."""
    made = dict(inputs)
    if token.startswith("kubernetes:"):
        return _kubernetes(made, logical, suffix)
    key = name_key(token)
    if key is None or made.get(key) is not None or f"{token}.{key}" in _UNNAMED:
        return made
    expected = (wheels.inputs(token) or {}).get(key)
    if expected is None or expected.is_required:
        return made
    made[key] = _made(token, logical, plain(made), suffix)
    return made


def _made(token: str, logical: str, inputs: Mapping[str, Any], suffix: str) -> str:
    if token.startswith("azure-native:"):
        if token.rpartition(":")[2] in ("RoleAssignment", "RoleDefinition"):
            return str(uuid.UUID(digest(token, logical, suffix)[:32]))
        return f"{logical}{suffix[:8]}"
    prefix = inputs.get("namePrefix") or inputs.get("bucketPrefix")
    longest = _LONGEST.get(token, 63 if token.startswith("gcp:") else 255)
    made = f"{prefix}{suffix[:8]}" if isinstance(prefix, str) else f"{logical[: longest - 8]}-{suffix[:7]}"
    return made.lower() if token in _LOWER or token.startswith("gcp:") else made


def _kubernetes(inputs: dict[str, Any], logical: str, suffix: str) -> dict[str, Any]:
    metadata = inputs.get("metadata")
    if metadata is None:
        metadata = {}
    if isinstance(metadata, dict) and metadata.get("name") is None:
        lower = re.sub(r"[^a-z0-9.-]", "-", logical.lower())
        inputs["metadata"] = {**metadata, "name": f"{lower}-{suffix[:8]}"}
    return inputs


def physical(token: str, logical: str, inputs: Mapping[str, Any]) -> str:
    """The physical name of checked inputs; the logical one where there is none."""
    if token.startswith("kubernetes:"):
        metadata = plain(inputs.get("metadata") or {})
        return str(metadata["name"]) if isinstance(metadata, dict) else logical
    key = name_key(token)
    found = plain(inputs.get(key)) if key else None
    return found if isinstance(found, str) else logical
