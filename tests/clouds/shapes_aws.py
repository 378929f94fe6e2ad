"""Computed outputs of simulated AWS resources. Forms of identifiers are those of the service authorization reference's ARN tables;
values are invented and not checked against a cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.clouds.world import MOMENT, Facts

Shape = Callable[[Facts], tuple[str, dict[str, Any]]]

_EC2 = {
    "Vpc": ("vpc", "vpc"),
    "Subnet": ("subnet", "subnet"),
    "RouteTable": ("rtb", "route-table"),
    "RouteTableAssociation": ("rtbassoc", "route-table-association"),
    "VpcEndpoint": ("vpce", "vpc-endpoint"),
    "NatGateway": ("nat", "natgateway"),
    "Eip": ("eipalloc", "elastic-ip"),
    "InternetGateway": ("igw", "internet-gateway"),
    "SecurityGroup": ("sg", "security-group"),
    "SecurityGroupIngressRule": ("sgr", "security-group-rule"),
    "SecurityGroupEgressRule": ("sgr", "security-group-rule"),
    "LaunchTemplate": ("lt", "launch-template"),
    "Instance": ("i", "instance"),
    "FlowLog": ("fl", "vpc-flow-log"),
    "PlacementGroup": ("pg", "placement-group"),
}
"""Of EC2 the prefix of the identifier and the word in the ARN."""

_ARNS = {
    "aws:ecr/repository:Repository": "ecr:{r}:{a}:repository/{n}",
    "aws:iam/role:Role": "iam::{a}:role{path}{n}",
    "aws:iam/instanceProfile:InstanceProfile": "iam::{a}:instance-profile{path}{n}",
    "aws:iam/policy:Policy": "iam::{a}:policy{path}{n}",
    "aws:autoscaling/group:Group": "autoscaling:{r}:{a}:autoScalingGroup:{u}:autoScalingGroupName/{n}",
    "aws:autoscaling/policy:Policy": "autoscaling:{r}:{a}:scalingPolicy:{u}:policyName/{n}",
    "aws:lb/loadBalancer:LoadBalancer": "elasticloadbalancing:{r}:{a}:loadbalancer/app/{n}/{x}",
    "aws:lb/targetGroup:TargetGroup": "elasticloadbalancing:{r}:{a}:targetgroup/{n}/{x}",
    "aws:lb/listener:Listener": "elasticloadbalancing:{r}:{a}:listener/app/{n}/{x}",
    "aws:cloudwatch/logGroup:LogGroup": "logs:{r}:{a}:log-group:{n}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:{r}:{a}:alarm:{n}",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "cloudwatch:{r}:{a}:alarm:{n}",
    "aws:cloudwatch/dashboard:Dashboard": "cloudwatch::{a}:dashboard/{n}",
    "aws:cloudwatch/eventRule:EventRule": "events:{r}:{a}:rule/{n}",
    "aws:sns/topic:Topic": "sns:{r}:{a}:{n}",
    "aws:sqs/queue:Queue": "sqs:{r}:{a}:{n}",
    "aws:budgets/budget:Budget": "budgets::{a}:budget/{n}",
    "aws:eks/cluster:Cluster": "eks:{r}:{a}:cluster/{n}",
    "aws:eks/nodeGroup:NodeGroup": "eks:{r}:{a}:nodegroup/{clusterName}/{n}/{u}",
    "aws:eks/addon:Addon": "eks:{r}:{a}:addon/{clusterName}/{addonName}/{u}",
    "aws:sagemaker/model:Model": "sagemaker:{r}:{a}:model/{n}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "sagemaker:{r}:{a}:endpoint-config/{n}",
    "aws:sagemaker/endpoint:Endpoint": "sagemaker:{r}:{a}:endpoint/{n}",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "sagemaker:{r}:{a}:model-package-group/{modelPackageGroupName}",
    "aws:appautoscaling/target:Target": "application-autoscaling:{r}:{a}:scalable-target/{x}",
    "aws:appautoscaling/policy:Policy": "autoscaling:{r}:{a}:scalingPolicy:{u}:resource/{resourceId}:policyName/{n}",
    "aws:lambda/function:Function": "lambda:{r}:{a}:function:{n}",
    "aws:scheduler/schedule:Schedule": "scheduler:{r}:{a}:schedule/default/{n}",
    "aws:kms/key:Key": "kms:{r}:{a}:key/{u}",
    "aws:kms/alias:Alias": "kms:{r}:{a}:{n}",
    "aws:secretsmanager/secret:Secret": "secretsmanager:{r}:{a}:secret:{n}-{x6}",
    "aws:ssm/parameter:Parameter": "ssm:{r}:{a}:parameter/{n}",
    "aws:cloudtrail/trail:Trail": "cloudtrail:{r}:{a}:trail/{n}",
    "aws:resourcegroups/group:Group": "resource-groups:{r}:{a}:group/{n}",
    "aws:sns/topicSubscription:TopicSubscription": "sns:{r}:{a}:{x}:{u}",
}

_BY_ARN = frozenset(
    {
        "aws:autoscaling/policy:Policy.never",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:lb/targetGroup:TargetGroup",
        "aws:lb/listener:Listener",
        "aws:sns/topic:Topic",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:secretsmanager/secret:Secret",
        "aws:iam/policy:Policy",
        "aws:cloudtrail/trail:Trail",
    }
)
"""Whose identifier is the ARN."""


def shape(facts: Facts) -> tuple[str, dict[str, Any]]:
    told: dict[str, Any] = {}
    identifier = _identifier(facts)
    arn = _arn(facts)
    if arn:
        told["arn"] = arn
        if facts.token in _BY_ARN:
            identifier = arn
    special = _SPECIAL.get(facts.token)
    if special:
        told |= special(facts)
    return str(told.pop("id", identifier)), told


def region(facts: Facts) -> str:
    return str(facts.get("region", facts.world.region))


def _identifier(facts: Facts) -> str:
    kind = facts.token.rpartition(":")[2]
    if facts.token.startswith(("aws:ec2/", "aws:vpc/")) and kind in _EC2:
        return f"{_EC2[kind][0]}-0{facts.hex(16)}"
    if facts.token.startswith("aws:s3/bucket") and isinstance(facts.get("bucket"), str):
        return str(facts.get("bucket"))
    return facts.name if facts.name != facts.logical else f"{facts.logical}-{facts.hex(8)}"


def _arn(facts: Facts) -> str | None:
    kind = facts.token.rpartition(":")[2]
    if facts.token.startswith(("aws:ec2/", "aws:vpc/")) and kind in _EC2:
        return f"arn:aws:ec2:{region(facts)}:{facts.world.account}:{_EC2[kind][1]}/{_identifier(facts)}"
    form = _ARNS.get(facts.token)
    if form is None:
        return None
    words = {key: value for key, value in facts.inputs.items() if isinstance(value, str)}
    words |= {"r": region(facts), "a": facts.world.account, "n": facts.name, "u": facts.uuid()}
    words |= {"x": facts.hex(16), "x6": facts.hex(6), "path": facts.get("path", "/")}
    return "arn:aws:" + form.format_map(_Forgiving(words))


class _Forgiving(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _bucket(facts: Facts) -> dict[str, Any]:
    name, place = facts.name, region(facts)
    return {
        "id": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegion": place,
        "region": place,
        "bucketRegionalDomainName": f"{name}.s3.{place}.amazonaws.com",
        "hostedZoneId": "Z3AQBSTGFYJSTF",
    }


def _cluster(facts: Facts) -> dict[str, Any]:
    place, mark = region(facts), facts.hex(32).upper()
    return {
        "id": facts.name,
        "endpoint": f"https://{mark}.gr7.{place}.eks.amazonaws.com",
        "certificateAuthority": {"data": "c2ltdWxhdGVkIGNlcnRpZmljYXRl"},
        "identities": [{"oidcs": [{"issuer": f"https://oidc.eks.{place}.amazonaws.com/id/{mark}"}]}],
        "platformVersion": "eks.1",
        "status": "ACTIVE",
        "createdAt": MOMENT,
        "version": facts.get("version", "1.33"),
        "vpcConfig": {
            **facts.get("vpcConfig", {}),
            "clusterSecurityGroupId": f"sg-0{facts.hex(16, 'group')}",
            "vpcId": f"vpc-0{facts.hex(16, 'vpc')}",
        },
    }


def _balancer(facts: Facts) -> dict[str, Any]:
    inner = "internal-" if facts.get("internal") else ""
    return {
        "dnsName": f"{inner}{facts.name}-{facts.number(10)}.{region(facts)}.elb.amazonaws.com",
        "arnSuffix": f"app/{facts.name}/{facts.hex(16)}",
        "zoneId": "Z35SXDOTRQ7X7K",
        "vpcId": f"vpc-0{facts.hex(16, 'vpc')}",
    }


def _key(facts: Facts) -> dict[str, Any]:
    return {"id": facts.uuid(), "keyId": facts.uuid()}


def _unique(prefix: str) -> Callable[[Facts], dict[str, Any]]:
    return lambda facts: {"uniqueId": prefix + facts.hex(17).upper(), "createDate": MOMENT}


def _function(facts: Facts) -> dict[str, Any]:
    arn = _arn(facts)
    return {
        "version": "$LATEST",
        "qualifiedArn": f"{arn}:1",
        "invokeArn": f"arn:aws:apigateway:{region(facts)}:lambda:path/2015-03-31/functions/{arn}/invocations",
        "lastModified": MOMENT,
        "sourceCodeSize": 1024,
    }


_SPECIAL: dict[str, Callable[[Facts], dict[str, Any]]] = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:lb/targetGroup:TargetGroup": lambda facts: {"arnSuffix": f"targetgroup/{facts.name}/{facts.hex(16)}"},
    "aws:kms/key:Key": _key,
    "aws:iam/role:Role": _unique("AROA"),
    "aws:iam/instanceProfile:InstanceProfile": _unique("AIPA"),
    "aws:lambda/function:Function": _function,
    "aws:ecr/repository:Repository": lambda facts: {
        "registryId": facts.world.account,
        "repositoryUrl": f"{facts.world.account}.dkr.ecr.{region(facts)}.amazonaws.com/{facts.name}",
    },
    "aws:ec2/launchTemplate:LaunchTemplate": lambda facts: {"latestVersion": 1, "defaultVersion": 1},
    "aws:ec2/eip:Eip": lambda facts: {"allocationId": f"eipalloc-0{facts.hex(16)}", "publicIp": "203.0.113.10"},
    "aws:ec2/natGateway:NatGateway": lambda facts: {"publicIp": "203.0.113.10", "privateIp": "10.0.0.10"},
    "aws:ec2/vpc:Vpc": lambda facts: {
        "ownerId": facts.world.account,
        "defaultSecurityGroupId": f"sg-0{facts.hex(16, 'default')}",
        "mainRouteTableId": f"rtb-0{facts.hex(16, 'main')}",
        "defaultRouteTableId": f"rtb-0{facts.hex(16, 'main')}",
    },
    "aws:ec2/subnet:Subnet": lambda facts: {"ownerId": facts.world.account},
    "aws:eks/nodeGroup:NodeGroup": lambda facts: {
        "id": f"{facts.get('clusterName')}:{facts.name}",
        "status": "ACTIVE",
        "resources": [
            {"autoscalingGroups": [{"name": f"eks-{facts.name}-{facts.uuid()}"}], "remoteAccessSecurityGroupId": ""}
        ],
    },
    "aws:eks/addon:Addon": lambda facts: {
        "id": f"{facts.get('clusterName')}:{facts.get('addonName')}",
        "addonVersion": facts.get("addonVersion", "v1.0.0-eksbuild.1"),
    },
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": lambda facts: {"associationId": f"a-{facts.hex(17)}"},
    "aws:sqs/queue:Queue": lambda facts: {
        "id": f"https://sqs.{region(facts)}.amazonaws.com/{facts.world.account}/{facts.name}",
        "url": f"https://sqs.{region(facts)}.amazonaws.com/{facts.world.account}/{facts.name}",
    },
    "aws:iam/rolePolicy:RolePolicy": lambda facts: {"id": f"{facts.get('role')}:{facts.name}"},
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": lambda facts: {
        "arn": f"arn:aws:iam::{facts.world.account}:oidc-provider/{str(facts.get('url')).removeprefix('https://')}",
    },
    "aws:secretsmanager/secretVersion:SecretVersion": lambda facts: {
        "versionId": facts.uuid(),
        "arn": facts.get("secretId"),
    },
    "aws:budgets/budget:Budget": lambda facts: {
        "id": f"{facts.world.account}:{facts.name}",
        "accountId": facts.world.account,
    },
}
