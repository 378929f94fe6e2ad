"""Which changed inputs replace a resource, for the simulated providers.

Google's rows are the schema that pulumi-gcp itself carries (replacements.csv). AWS's say what the argument reference of the Terraform AWS
provider, which pulumi-aws wraps, marks with "Forces new resource" (or its source with ForceNew): the page is website/docs/r/<page> in
github.com/hashicorp/terraform-provider-aws. Azure's are the list that pulumi-azure-native is generated with
(provider/pkg/gen/replacement.go in github.com/pulumi/pulumi-azure-native) and the parameters of a resource's path, all of which replace.
Kubernetes' are forceNewProperties in provider/pkg/provider/diff.go of github.com/pulumi/pulumi-kubernetes.
None is checked against a cloud.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from tests.clouds import naming, wheels

ALL_BUT_TAGS: Final = "*"

AWS: Final[dict[str, tuple[str, str]]] = {
    # token: (page of the Terraform provider, inputs)
    "s3/bucket:Bucket": ("s3_bucket", "bucket bucketPrefix objectLockEnabled"),
    "s3/bucketVersioning:BucketVersioning": ("s3_bucket_versioning", "bucket expectedBucketOwner"),
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3_bucket_server_side_encryption_configuration",
        "bucket expectedBucketOwner",
    ),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("s3_bucket_public_access_block", "bucket"),
    "s3/bucketOwnershipControls:BucketOwnershipControls": ("s3_bucket_ownership_controls", "bucket"),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("s3_bucket_lifecycle_configuration", "bucket"),
    "s3/bucketPolicy:BucketPolicy": ("s3_bucket_policy", "bucket"),
    "ecr/repository:Repository": ("ecr_repository", "name encryptionConfigurations"),
    "ecr/lifecyclePolicy:LifecyclePolicy": ("ecr_lifecycle_policy", "repository"),
    "iam/role:Role": ("iam_role", "name namePrefix path"),
    "iam/rolePolicy:RolePolicy": ("iam_role_policy", "name namePrefix role"),
    "iam/rolePolicyAttachment:RolePolicyAttachment": ("iam_role_policy_attachment", "role policyArn"),
    "iam/instanceProfile:InstanceProfile": ("iam_instance_profile", "name namePrefix path"),
    "iam/policy:Policy": ("iam_policy", "name namePrefix path description"),
    "iam/openIdConnectProvider:OpenIdConnectProvider": ("iam_openid_connect_provider", "url"),
    "ec2/vpc:Vpc": ("vpc", "cidrBlock ipv4IpamPoolId ipv4NetmaskLength"),
    "ec2/subnet:Subnet": ("subnet", "availabilityZone availabilityZoneId cidrBlock vpcId ipv6Native outpostArn"),
    "ec2/securityGroup:SecurityGroup": ("security_group", "description name namePrefix vpcId"),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": ("vpc_security_group_ingress_rule", "securityGroupId"),
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": ("vpc_security_group_egress_rule", "securityGroupId"),
    "ec2/routeTable:RouteTable": ("route_table", "vpcId"),
    "ec2/routeTableAssociation:RouteTableAssociation": ("route_table_association", "subnetId gatewayId"),
    "ec2/route:Route": ("route", "routeTableId destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId"),
    "ec2/vpcEndpoint:VpcEndpoint": ("vpc_endpoint", "serviceName serviceRegion vpcEndpointType vpcId"),
    "ec2/natGateway:NatGateway": ("nat_gateway", "allocationId connectivityType privateIp subnetId vpcId"),
    "ec2/eip:Eip": ("eip", "domain address networkBorderGroup publicIpv4Pool"),
    "ec2/launchTemplate:LaunchTemplate": ("launch_template", "name namePrefix"),
    "ec2/instance:Instance": (
        "instance",
        "ami availabilityZone subnetId keyName privateIp tenancy instanceMarketOptions",
    ),
    "ec2/flowLog:FlowLog": ("flow_log", ALL_BUT_TAGS),
    "autoscaling/group:Group": ("autoscaling_group", "name namePrefix"),
    "autoscaling/policy:Policy": ("autoscaling_policy", "name autoscalingGroupName"),
    "autoscaling/lifecycleHook:LifecycleHook": ("autoscaling_lifecycle_hook", "name autoscalingGroupName"),
    "lb/loadBalancer:LoadBalancer": ("lb", "internal loadBalancerType name namePrefix customerOwnedIpv4Pool"),
    "lb/targetGroup:TargetGroup": (
        "lb_target_group",
        "name namePrefix port protocol protocolVersion targetType vpcId ipAddressType",
    ),
    "lb/listener:Listener": ("lb_listener", "loadBalancerArn"),
    "cloudwatch/logGroup:LogGroup": ("cloudwatch_log_group", "name namePrefix logGroupClass"),
    "cloudwatch/metricAlarm:MetricAlarm": ("cloudwatch_metric_alarm", "name"),
    "cloudwatch/eventRule:EventRule": ("cloudwatch_event_rule", "name namePrefix eventBusName"),
    "cloudwatch/eventTarget:EventTarget": ("cloudwatch_event_target", "rule targetId eventBusName"),
    "sns/topic:Topic": ("sns_topic", "name namePrefix fifoTopic"),
    "sns/topicSubscription:TopicSubscription": ("sns_topic_subscription", "endpoint protocol topic"),
    "budgets/budget:Budget": ("budgets_budget", "accountId name namePrefix"),
    "eks/cluster:Cluster": (
        "eks_cluster",
        "name roleArn bootstrapSelfManagedAddons encryptionConfig outpostConfig"
        " accessConfig.bootstrapClusterCreatorAdminPermissions kubernetesNetworkConfig.ipFamily"
        " kubernetesNetworkConfig.serviceIpv4Cidr",
    ),
    "eks/nodeGroup:NodeGroup": (
        "eks_node_group",
        "amiType capacityType clusterName diskSize instanceTypes nodeGroupName nodeGroupNamePrefix nodeRoleArn"
        " remoteAccess subnetIds launchTemplate.id launchTemplate.name",
    ),
    "eks/addon:Addon": ("eks_addon", "addonName clusterName"),
    "eks/podIdentityAssociation:PodIdentityAssociation": (
        "eks_pod_identity_association",
        "clusterName namespace serviceAccount",
    ),
    "eks/accessEntry:AccessEntry": ("eks_access_entry", "clusterName principalArn type"),
    "eks/accessPolicyAssociation:AccessPolicyAssociation": ("eks_access_policy_association", ALL_BUT_TAGS),
    "sagemaker/model:Model": ("sagemaker_model", ALL_BUT_TAGS),
    "sagemaker/endpointConfiguration:EndpointConfiguration": ("sagemaker_endpoint_configuration", ALL_BUT_TAGS),
    "sagemaker/endpoint:Endpoint": ("sagemaker_endpoint", "name"),
    "sagemaker/modelPackageGroup:ModelPackageGroup": (
        "sagemaker_model_package_group",
        "modelPackageGroupName modelPackageGroupDescription",
    ),
    "appautoscaling/target:Target": ("appautoscaling_target", "resourceId scalableDimension serviceNamespace"),
    "appautoscaling/policy:Policy": ("appautoscaling_policy", "name resourceId scalableDimension serviceNamespace"),
    "lambda/function:Function": ("lambda_function", "name packageType"),
    "lambda/permission:Permission": ("lambda_permission", ALL_BUT_TAGS),
    "scheduler/schedule:Schedule": ("scheduler_schedule", "name namePrefix groupName"),
    "kms/key:Key": ("kms_key", "customerMasterKeySpec keyUsage multiRegion customKeyStoreId"),
    "kms/alias:Alias": ("kms_alias", "name namePrefix"),
    "secretsmanager/secret:Secret": ("secretsmanager_secret", "name namePrefix"),
    "secretsmanager/secretVersion:SecretVersion": (
        "secretsmanager_secret_version",
        "secretId secretString secretBinary",
    ),
    "cloudtrail/trail:Trail": ("cloudtrail", "name"),
    "ssm/parameter:Parameter": ("ssm_parameter", "name"),
    "sqs/queue:Queue": ("sqs_queue", "name namePrefix fifoQueue"),
}

AZURE: Final[dict[str, str]] = {
    "authorization:RoleAssignment": "principalId scope",
    "automation:JobSchedule": "parameters",
    "containerservice:ManagedCluster": (
        "diskEncryptionSetID dnsPrefix fqdnSubdomain linuxProfile location nodeResourceGroup windowsProfile"
        " networkProfile.serviceCidr networkProfile.serviceCidrs networkProfile.podCidr networkProfile.podCidrs"
        " networkProfile.dnsServiceIP networkProfile.networkMode networkProfile.networkPlugin"
        " networkProfile.networkPluginMode networkProfile.networkDataplane networkProfile.networkPolicy"
        " networkProfile.outboundType networkProfile.ipFamilies"
    ),
    "containerservice:AgentPool": "gpuInstanceProfile vmSize",
    "network:PrivateEndpoint": "subnet location",
    "network:PublicIPAddress": "location publicIPAddressVersion publicIPPrefix sku",
    "network:VirtualNetwork": "location",
    "resources:ResourceGroup": "location",
    "storage:StorageAccount": "isHnsEnabled location",
    "web:WebApp": "location kind",
    # marked with x-ms-mutability [create, read] in the service's specification
    "machinelearningservices:OnlineEndpoint": "properties.authMode",
    "machinelearningservices:OnlineDeployment": (
        "properties.endpointComputeType properties.instanceType properties.modelMountPath"
    ),
    "machinelearningservices:EnvironmentVersion": "properties",
    "machinelearningservices:Workspace": "hbiWorkspace",
}

KUBERNETES: Final[dict[str, str]] = {
    "apps/v1:Deployment": "spec.selector",
    "apps/v1:DaemonSet": "spec.selector",
    "batch/v1:Job": "spec.selector spec.template",
    "core/v1:ConfigMap": "data binaryData",
    "core/v1:Secret": "data stringData type",
    "core/v1:Service": "spec.clusterIP",
    "core/v1:PersistentVolumeClaim": "spec",
    "rbac.authorization.k8s.io/v1:RoleBinding": "roleRef",
    "rbac.authorization.k8s.io/v1:ClusterRoleBinding": "roleRef",
    "storage.k8s.io/v1:StorageClass": "parameters provisioner",
}


@cache
def rules(token: str) -> frozenset[str]:
    """Paths that replace; `*` for all but tags."""
    package, _, rest = token.partition(":")
    match package:
        case "gcp":
            return _google().get(token, _names(token))
        case "aws":
            listed = AWS.get(rest)
            place = frozenset({"region"} & (wheels.inputs(token) or {}).keys())
            return place | (frozenset(listed[1].split()) if listed else _names(token))
        case "azure-native":
            return frozenset(AZURE.get(rest, "").split()) | _path_parameters(token)
        case "kubernetes":
            return frozenset(KUBERNETES.get(rest, "").split()) | {
                "metadata.name",
                "metadata.namespace",
                "kind",
                "apiVersion",
            }
        case _:
            return frozenset()


def replaces(token: str, paths: Iterable[str]) -> list[str]:
    """Those of the changed paths (`spec.selector.matchLabels`, `disks[0].boot`) that replace the resource."""
    marked = rules(token)
    if ALL_BUT_TAGS in marked:
        return [path for path in paths if not path.startswith("tags")]
    return [path for path in paths if any(_within(path, rule) for rule in marked)]


def _within(path: str, rule: str) -> bool:
    bare = re.sub(r"\[\d+\]", "", path)
    # a whole object that appears or goes takes what is marked inside with it
    return bare == rule or bare.startswith(f"{rule}.") or rule.startswith(f"{bare}.")


def _names(token: str) -> frozenset[str]:
    key = naming.name_key(token)
    return frozenset({key} if key else ())


def _path_parameters(token: str) -> frozenset[str]:
    expected = wheels.inputs(token) or {}
    own = _names(token)
    parents = {name for name, field in expected.items() if field.is_required and name.endswith("Name")}
    scopes = {"scope", "resourceUri"} & expected.keys()
    version = {"version"} if token.endswith("Version") and "version" in expected else set()
    # TrackedResource, which all regional resources extend, marks the location so
    place = {"location"} & expected.keys()
    return frozenset(own | parents | scopes | version | place)


@cache
def _google() -> dict[str, frozenset[str]]:
    text = (Path(__file__).parent / "replacements.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["token"]: frozenset(row["inputs_that_replace"].split()) for row in csv.DictReader(lines)}
