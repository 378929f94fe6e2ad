"""What binds the resources of a simulated cloud to one another: what cannot go while something refers to it, and which names are taken.

Kept to the traps that a stack's destroy and its replacements can fall into; the words are those of the services' errors as users quote
them, and are not checked against a cloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.clouds import naming
from tests.clouds.values import Secret, plain


@dataclass
class Stored:
    """One resource that is there."""

    token: str
    id: str
    name: str
    """Its logical name in the stack; empty for what no stack made."""
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    salt: str = ""
    is_filled: bool = False
    """Whether it holds what its own delete will not remove: objects, images, deployed models."""
    is_foreign: bool = False
    """Whether it was there before any stack."""
    is_broken: bool = False
    """Whether its creation was not brought to an end."""
    order: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.token.rpartition(":")[2]

    @property
    def physical(self) -> str:
        return naming.physical(self.token, self.name or self.id, self.inputs)


@dataclass(frozen=True)
class Bond:
    """`victim` cannot be deleted while a `holder` refers to it."""

    victim: str
    holders: str
    said: str
    where: str = ""
    """The input of the holder that counts, where not every one does."""


BONDS: Final = (
    # AWS
    Bond(
        "aws:ec2/vpc:Vpc",
        "Subnet SecurityGroup InternetGateway VpcEndpoint RouteTable",
        "api error DependencyViolation: The vpc '{id}' has dependencies and cannot be deleted.",
    ),
    Bond(
        "aws:ec2/subnet:Subnet",
        "NatGateway VpcEndpoint LoadBalancer Instance Group aws:eks/cluster:Cluster NodeGroup Function",
        "api error DependencyViolation: The subnet '{id}' has dependencies and cannot be deleted.",
    ),
    Bond(
        "aws:ec2/securityGroup:SecurityGroup",
        "VpcEndpoint LoadBalancer Instance aws:eks/cluster:Cluster Function",
        "api error DependencyViolation: resource {id} has a dependent object",
    ),
    Bond(
        "aws:ec2/securityGroup:SecurityGroup",
        "SecurityGroupIngressRule SecurityGroupEgressRule",
        "api error DependencyViolation: resource {id} has a dependent object",
        where="referencedSecurityGroupId",
    ),
    Bond("aws:ec2/eip:Eip", "NatGateway", "api error InvalidIPAddress.InUse: Address {id} is in use."),
    Bond(
        "aws:ec2/routeTable:RouteTable",
        "RouteTableAssociation",
        "api error DependencyViolation: The routeTable '{id}' has dependencies and cannot be deleted.",
    ),
    Bond(
        "aws:ec2/routeTable:RouteTable",
        "VpcEndpoint",
        "api error DependencyViolation: The routeTable '{id}' has dependencies",
    ),
    Bond(
        "aws:iam/role:Role",
        "RolePolicyAttachment",
        "api error DeleteConflict: Cannot delete entity, must detach all policies first.",
    ),
    Bond(
        "aws:iam/role:Role", "RolePolicy", "api error DeleteConflict: Cannot delete entity, must delete policies first."
    ),
    Bond(
        "aws:iam/role:Role",
        "InstanceProfile",
        "api error DeleteConflict: Cannot delete entity, must remove roles from instance profile first.",
    ),
    Bond(
        "aws:iam/policy:Policy",
        "RolePolicyAttachment",
        "api error DeleteConflict: Cannot delete a policy attached to entities.",
    ),
    Bond(
        "aws:eks/cluster:Cluster",
        "NodeGroup",
        "api error ResourceInUseException: Cluster has nodegroups attached",
    ),
    Bond(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "Endpoint",
        "api error ValidationException: Cannot delete endpoint configuration {id}: an endpoint uses it",
    ),
    Bond(
        "aws:sagemaker/model:Model",
        "EndpointConfiguration",
        "api error ValidationException: Cannot delete model {id}: an endpoint configuration names it",
    ),
    Bond(
        "aws:lb/targetGroup:TargetGroup",
        "Listener ListenerRule",
        "api error ResourceInUse: Target group '{id}' is currently in use by a listener or a rule",
    ),
    # Google Cloud
    Bond(
        "gcp:compute/network:Network",
        "Subnetwork Firewall Router gcp:container/cluster:Cluster Route",
        "googleapi: Error 400: The network resource '{id}' is already being used by '{holder}', resourceInUseByAnotherResource",
    ),
    Bond(
        "gcp:compute/subnetwork:Subnetwork",
        "Instance gcp:container/cluster:Cluster ForwardingRule Address RegionInstanceGroupManager",
        "googleapi: Error 400: The subnetwork resource '{id}' is already being used by '{holder}', resourceInUseByAnotherResource",
    ),
    *(
        Bond(
            f"gcp:compute/{kind[0].lower()}{kind[1:]}:{kind}",
            holders,
            "googleapi: Error 400: The resource '{id}' is already being used by '{holder}', resourceInUseByAnotherResource",
        )
        for kind, holders in {
            "InstanceTemplate": "RegionInstanceGroupManager InstanceGroupManager",
            "RegionInstanceTemplate": "RegionInstanceGroupManager",
            "RegionHealthCheck": "RegionBackendService RegionInstanceGroupManager",
            "HealthCheck": "RegionBackendService RegionInstanceGroupManager BackendService",
            "RegionInstanceGroupManager": "RegionBackendService RegionAutoscaler",
            "RegionBackendService": "ForwardingRule RegionUrlMap",
            "RegionUrlMap": "RegionTargetHttpsProxy RegionTargetHttpProxy",
            "RegionTargetHttpsProxy": "ForwardingRule",
            "RegionTargetHttpProxy": "ForwardingRule",
            "RegionSslCertificate": "RegionTargetHttpsProxy",
            "Address": "ForwardingRule RouterNat",
        }.items()
    ),
    Bond(
        "gcp:monitoring/notificationChannel:NotificationChannel",
        "AlertPolicy",
        "googleapi: Error 400: Cannot delete notification channel {id}: it is used by an alerting policy, FAILED_PRECONDITION",
    ),
    # Azure
    Bond(
        "azure-native:network:Subnet",
        "NetworkInterface ManagedCluster AgentPool PrivateEndpoint VirtualMachineScaleSet LoadBalancer BastionHost",
        'Code="InUseSubnetCannotBeDeleted" Message="Subnet {name} is in use by {holder} and cannot be deleted."',
    ),
    Bond(
        "azure-native:network:VirtualNetwork",
        "VirtualNetworkLink",
        'Code="InUseVirtualNetworkCannotBeDeleted" Message="Virtual network {name} is in use by {holder}."',
    ),
    Bond(
        "azure-native:network:NetworkSecurityGroup",
        "Subnet NetworkInterface",
        'Code="InUseNetworkSecurityGroupCannotBeDeleted" Message="Network security group {name} cannot be deleted: it is in use"',
    ),
    Bond(
        "azure-native:network:NatGateway",
        "Subnet",
        'Code="NatGatewayInUseBySubnet" Message="NAT gateway {name} cannot be deleted: {holder} uses it."',
    ),
    Bond(
        "azure-native:network:PublicIPAddress",
        "NatGateway LoadBalancer BastionHost NetworkInterface",
        'Code="PublicIPAddressCannotBeDeleted" Message="Public IP address {name} can not be deleted: {holder} uses it."',
    ),
    Bond(
        "azure-native:privatedns:PrivateZone",
        "VirtualNetworkLink",
        'Code="CannotDeleteResource" Message="Can not delete resource before nested resources are deleted."',
    ),
)

FILLED: Final = {
    "aws:s3/bucket:Bucket": (
        "forceDestroy",
        "api error BucketNotEmpty: The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
    ),
    "aws:ecr/repository:Repository": (
        "forceDelete",
        "api error RepositoryNotEmptyException: The repository with name '{name}' cannot be deleted because it still contains images",
    ),
    "gcp:storage/bucket:Bucket": (
        "forceDestroy",
        "Error trying to delete bucket {name} containing objects without `force_destroy` set to true",
    ),
    "gcp:vertex/aiEndpoint:AiEndpoint": (
        "",
        'googleapi: Error 400: Endpoint "{id}" has deployed or being deployed DeployedModel(s)., FAILED_PRECONDITION',
    ),
}
"""What cannot be deleted while it holds something: the input that allows it all the same, and the error."""

CASCADES: Final = frozenset(
    {
        "azure-native:resources:ResourceGroup",
        "azure-native:network:VirtualNetwork",
        "azure-native:storage:StorageAccount",
        "azure-native:machinelearningservices:Workspace",
        "azure-native:machinelearningservices:OnlineEndpoint",
        "azure-native:containerservice:ManagedCluster",
        "azure-native:keyvault:Vault",
        "azure-native:automation:AutomationAccount",
    }
)
"""What takes all whose path begins with its own along."""

SOFT: Final = {
    "azure-native:keyvault:Vault": 'Code="ConflictError" Message="A vault with the same name already exists in deleted state. You need'
    ' to either recover or purge existing key vault."',
    "azure-native:machinelearningservices:Workspace": 'Code="BadRequest" Message="Soft-deleted workspace exists. Please purge or'
    ' recover it."',
}
"""What keeps its name for a while after it is gone."""

TAKEN: Final = {
    "aws:s3/bucket:Bucket": "api error BucketAlreadyOwnedByYou: the bucket {name} already exists",
    "aws:iam": "api error EntityAlreadyExists: {kind} with name {name} already exists.",
    "aws:sagemaker": 'api error ValidationException: Cannot create already existing {kind} "{name}".',
    "aws:ecr": "api error RepositoryAlreadyExistsException: The repository with name '{name}' already exists in the registry",
    "aws:eks": "api error ResourceInUseException: {kind} already exists with name: {name}",
    "aws:cloudwatch": "api error ResourceAlreadyExistsException: The specified {kind} already exists: {name}",
    "aws": "api error AlreadyExists: {kind} {name} already exists",
    "gcp": "googleapi: Error 409: The resource '{id}' already exists, alreadyExists",
    "azure-native": 'cannot create already existing resource "{id}"',
    "kubernetes": '{kind} "{name}" already exists',
}

IDEMPOTENT: Final = re.compile(
    r"aws:(s3/bucket[A-Z]|iam/rolePolicy|autoscaling/(tag|policy)|appautoscaling|cloudwatch/(eventTarget|metricAlarm)|ssm|sns/topicPolicy)"
    r"|gcp:.*(iammember|iAMAuditConfig|service:Service$)|azure-native:(storage:(BlobServiceProperties|ManagementPolicy)|monitor:DiagnosticSetting)",
    re.IGNORECASE,
)
"""What a second creation overwrites instead of being refused."""


EXCLUSIVE: Final = {
    "aws:ec2/natGateway:NatGateway": (
        "allocationId",
        "api error Resource.AlreadyAssociated: Elastic IP address [{0}] is already associated",
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (
        "subnetId",
        "api error Resource.AlreadyAssociated: the specified association conflicts with an existing association of {0}",
    ),
    "aws:ec2/route:Route": (
        "routeTableId destinationCidrBlock",
        "api error RouteAlreadyExists: The route identified by {1} already exists.",
    ),
    "aws:lb/listener:Listener": (
        "loadBalancerArn port",
        "api error DuplicateListener: A listener already exists on this port for this load balancer {0}",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "securityGroupId ipProtocol fromPort toPort cidrIpv4 cidrIpv6 referencedSecurityGroupId prefixListId",
        "api error InvalidPermission.Duplicate: the specified rule already exists",
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "securityGroupId ipProtocol fromPort toPort cidrIpv4 cidrIpv6 referencedSecurityGroupId prefixListId",
        "api error InvalidPermission.Duplicate: the specified rule already exists",
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": (
        "clusterName namespace serviceAccount",
        "api error ResourceInUseException: Association already exists for {1}/{2}",
    ),
    "aws:eks/accessEntry:AccessEntry": (
        "clusterName principalArn",
        "api error ResourceInUseException: The specified access entry resource is already in use on this cluster.",
    ),
    "gcp:compute/forwardingRule:ForwardingRule": (
        "ipAddress ports portRange",
        "googleapi: Error 400: Invalid value for field 'resource.IPAddress': '{0}'. Specified IP address is in-use, invalid",
    ),
    "azure-native:network:NatGateway": (
        "publicIpAddresses",
        'Code="PublicIPAddressInUse" Message="Resource uses a public IP address that is allocated to another resource."',
    ),
    "azure-native:authorization:RoleAssignment": (
        "scope principalId roleDefinitionId",
        'Code="RoleAssignmentExists" Message="The role assignment already exists."',
    ),
}
"""Inputs of which no two resources of a type can have the same values, and the error."""


def occupied(token: str, inputs: Mapping[str, Any], others: Iterable[Stored]) -> str | None:
    """Why the resource cannot stand beside the others although its name is free."""
    others = list(others)
    if token == "aws:lb/listener:Listener":
        groups = {text for _, text in texts(inputs) if ":targetgroup/" in text}
        for one in others:
            elsewhere = one.inputs.get("loadBalancerArn") != inputs.get("loadBalancerArn")
            if one.token == token and elsewhere and groups & {text for _, text in texts(one.inputs)}:
                return (
                    "api error TargetGroupAssociationLimit: The following target groups cannot be associated with more than one"
                    f" load balancer: {', '.join(sorted(groups))}"
                )
    if token not in EXCLUSIVE:
        return None
    keys, said = EXCLUSIVE[token][0].split(), EXCLUSIVE[token][1]
    values = [plain(inputs.get(key)) for key in keys]
    if values[0] is None or not any(
        one.token == token and [plain(one.inputs.get(key)) for key in keys] == values for one in others
    ):
        return None
    return said.format(*values)


def displaced(stored: Stored, inputs: Mapping[str, Any], others: Iterable[Stored]) -> str | None:
    """Why a resource cannot be updated so: a load balancer stays in its network."""
    if stored.token != "aws:lb/loadBalancer:LoadBalancer":
        return None
    networks = {one.id: one.inputs.get("vpcId") for one in others if one.kind == "Subnet"}
    before, after = (
        {networks.get(one) for one in plain(given.get("subnets") or [])} for given in (stored.inputs, inputs)
    )
    if None in before | after or before == after:
        return None
    return "api error InvalidConfigurationRequest: subnets of another VPC than the load balancer's are not allowed"


def identities(stored: Stored) -> set[str]:
    """How others may refer to it. On Azure by its path alone."""
    if stored.token.startswith("azure-native:"):
        return {stored.id}
    found = {stored.id, stored.physical} | {
        str(stored.outputs[key])
        for key in ("arn", "selfLink", "url", "email", "instanceGroup", "keyId")
        if stored.outputs.get(key)
    }
    return {one for one in found if len(one) > 2}


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts in inputs, with the first step of their path."""
    match value:
        case Secret():
            yield from texts(value.value, path)
        case str():
            yield path, value
        case Mapping():
            for key, item in value.items():
                yield from texts(item, path or str(key))
        case list():
            for item in value:
                yield from texts(item, path)


def refers(holder: Stored, victim: Stored, where: str = "") -> bool:
    known = identities(victim)
    return any(
        text in known or any(text.endswith(f"/{one}") for one in known if one.startswith("projects/"))
        for path, text in texts(holder.inputs)
        if not where or path == where
    )


def refusal(victim: Stored, others: Iterable[Stored]) -> str | None:
    """Why the resource cannot be deleted now, as its cloud would say."""
    others = list(others)
    for bond in BONDS:
        if bond.victim != victim.token:
            continue
        wanted = bond.holders.split()
        for holder in others:
            same_cloud = holder.token.split(":")[0] == victim.token.split(":")[0]
            named = holder.token in wanted or holder.kind in wanted
            if same_cloud and named and holder is not victim and refers(holder, victim, bond.where):
                return bond.said.format(id=victim.id, name=victim.physical, holder=holder.id)
    return _full(victim) or _special(victim, others)


def _full(victim: Stored) -> str | None:
    if not victim.is_filled or victim.token not in FILLED:
        return None
    allows, said = FILLED[victim.token]
    if allows and plain(victim.inputs.get(allows)):
        return None
    return said.format(id=victim.id, name=victim.physical)


def _special(victim: Stored, others: list[Stored]) -> str | None:
    match victim.token:
        case "gcp:container/cluster:Cluster" if victim.inputs.get("deletionProtection", True):
            return "Cannot destroy cluster because deletion_protection is set to true. Set it to false to proceed with cluster deletion."
        case "aws:ec2/internetGateway:InternetGateway":
            network = victim.inputs.get("vpcId")
            inside = {one.id for one in others if one.kind == "Subnet" and one.inputs.get("vpcId") == network}
            if any(one.kind == "NatGateway" and one.inputs.get("subnetId") in inside for one in others):
                return f"api error DependencyViolation: Network {network} has some mapped public address(es)."
        case "azure-native:machinelearningservices:OnlineDeployment":
            for one in others:
                traffic = one.extra.get("traffic") or plain(one.inputs.get("properties") or {}).get("traffic") or {}
                if (
                    one.kind == "OnlineEndpoint"
                    and victim.id.startswith(f"{one.id}/")
                    and traffic.get(victim.physical, 0) > 0
                ):
                    return (
                        f'Code="BadRequest" Message="Deployment {victim.physical} has traffic and cannot be deleted."'
                    )
    return None


def taken(token: str, name: str, identifier: str, inputs: Mapping[str, Any], others: Iterable[Stored]) -> str | None:
    """Why the resource cannot be created beside the others, as its cloud would say."""
    key = naming.name_key(token)
    if IDEMPOTENT.match(token) or (key is None and not token.startswith(("kubernetes:", "gcp:", "azure-native:"))):
        return None
    physical = naming.physical(token, name, inputs)
    for one in others:
        same_name = one.token == token and one.physical == physical and _scope(one.inputs) == _scope(inputs)
        if one.id == identifier or (token.startswith("aws:") and same_name):
            kind = re.sub(r"(?<=[a-z])([A-Z])", r" \1", one.kind).lower()
            said = next(text for start, text in TAKEN.items() if token.startswith(start))
            return said.format(name=physical, id=identifier, kind=kind)
    return None


_SCOPES = (
    "clusterName",
    "role",
    "autoscalingGroupName",
    "logGroupName",
    "region",
    "eventBusName",
    "path",
    "vpcId",
    "rule",
)


def _scope(inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(plain(inputs.get(key)) for key in _SCOPES)
