"""What who runs `skylift up` must be allowed: of the resource types that the settings lead to, from rights_table.py. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infra.aws.grants_data import key_of
from infra.aws.names import PARTITION, Names
from infra.aws.rights_table import ACTIONS, NOT_NARROWED
from infra.aws.trust import wanted
from infra.grants import Grant

BUCKET = tuple(token for token in ACTIONS if token.startswith("s3/bucket") and not token.endswith("Notification"))
NETWORK = (
    "ec2/vpc:Vpc",
    "ec2/subnet:Subnet",
    "ec2/routeTable:RouteTable",
    "ec2/routeTableAssociation:RouteTableAssociation",
    "ec2/vpcEndpoint:VpcEndpoint",
    "ec2/defaultSecurityGroup:DefaultSecurityGroup",
)
INTERNET = ("ec2/internetGateway:InternetGateway", "ec2/route:Route", "ec2/natGateway:NatGateway", "ec2/eip:Eip")
FIREWALL = tuple(token for token in ACTIONS if token.startswith(("ec2/securityGroup", "vpc/securityGroup")))
ROLES = ("iam/role:Role", "iam/rolePolicy:RolePolicy", "iam/rolePolicyAttachment:RolePolicyAttachment")
WATCH = tuple(token for token in ACTIONS if token.startswith(("cloudwatch/event", "sns/")))
OF_KIND = {
    "vm": (
        "lambda/",
        "cloudwatch/event",
        "ec2/launchTemplate",
        "autoscaling/group",
        "autoscaling/policy",
        "lb/",
        "ssm/",
        "cloudwatch/logMetricFilter",
    ),
    "cluster": ("eks/", "ec2/launchTemplate", "autoscaling/tag", "cloudwatch/logMetricFilter"),
    "managed": ("sagemaker/", "appautoscaling/"),
}
UNNAMED = (
    "ec2",
    "elasticloadbalancing",
    "cloudwatch",
    "events",
    "sns",
    "kms",
    "sagemaker",
    "application-autoscaling",
)
"""Services whose things have names of AWS' or Pulumi's own."""
ENDS = ("Delete", "Release", "Schedule", "Remove", "Detach", "Disassociate", "Deregister", "Disable")
UNTAGGED = {"kms:DeleteAlias"}
"""An alias has no tags; its own name narrows it."""
_LINKED = {
    "vm": ("autoscaling", "elasticloadbalancing"),
    "cluster": ("eks", "eks-nodegroup", "autoscaling", "elasticloadbalancing"),
    "managed": ("sagemaker.application-autoscaling",),
}
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html"""
_PASSED_TO = {"vm": ("ec2", "lambda"), "cluster": ("eks", "ec2", "pods.eks"), "managed": ("sagemaker",)}


def types(names: Names) -> tuple[str, ...]:
    """The resource types that the settings may lead to: what is referenced needs none."""
    context, settings = names.context, names.context.settings
    kind = settings.kind
    found: list[str] = [*FIREWALL, "cloudwatch/logGroup:LogGroup", "cloudwatch/metricAlarm:MetricAlarm"]
    makes_network = settings.network.id is None
    if names.keep.made or names.work.made or (context.is_prod and makes_network):
        found += BUCKET
    if names.keep.made:
        found.append("cloudtrail/trail:Trail")
    if context.encryption_key == "stack":
        found += ["kms/key:Key", "kms/alias:Alias"]
    if settings.registry is None:
        found += ["ecr/repository:Repository", "ecr/lifecyclePolicy:LifecyclePolicy"]
    if makes_network:
        found += [*NETWORK, *INTERNET] + (["ec2/flowLog:FlowLog"] if context.is_prod else [])
    if makes_roles(names):
        found += [*ROLES] + (["iam/instanceProfile:InstanceProfile"] if kind == "vm" else [])
    if settings.secrets or any(endpoint.api_keys for endpoint in settings.endpoints.values()):
        found.append("secretsmanager/secret:Secret")
    if settings.alerts.emails:
        found += [*WATCH] + (["s3/bucketNotification:BucketNotification"] if kind == "vm" else [])
    if settings.budget.monthly is not None:
        found.append("budgets/budget:Budget")
    found += [token for token in ACTIONS if token.startswith(OF_KIND[kind])]
    return tuple(dict.fromkeys(found))


def makes_roles(names: Names) -> bool:
    """Whether one of the stack's identities is not given."""
    return any(getattr(names.context.settings.identities, who, None) is None for who in wanted(names))


def up(names: Names) -> Iterator[Grant]:
    """Rights of who runs `up`. Creating an identity needs IAM; passing one to a service needs `iam:PassRole` even where it is given."""
    narrow: dict[str, set[str]] = {}
    wide: set[str] = {"sts:GetCallerIdentity", "ec2:DescribeAvailabilityZones", "ec2:DescribeInstanceTypeOfferings"}
    wide |= {"servicequotas:GetServiceQuota", "servicequotas:ListServiceQuotas"}
    wide |= {"ec2:DescribeVpcs", "ec2:DescribeVpcAttribute", "ec2:DescribeSubnets"}
    for token in types(names):
        service, actions = ACTIONS[token]
        prefix = service.partition("-profile")[0]
        for action in actions.split():
            if action.startswith(NOT_NARROWED.get(service, ("?",))):
                wide.add(f"{prefix}:{action}")
            else:
                narrow.setdefault(service, set()).add(f"{prefix}:{action}")
    if names.context.settings.disposable and "s3" in narrow:
        yield Grant(
            who="up",
            what="empty the buckets of a disposable stack",
            actions=("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"),
            on=tuple(arn for bucket in _buckets(names) for arn in (bucket, f"{bucket}/*")),
        )
    for service, allowed in sorted(narrow.items()):
        yield from _narrowed(names, service, allowed)
    yield Grant(
        who="up",
        what="look at the account before anything is made",
        actions=tuple(sorted(wide)),
        on=("*",),
        wide="AWS offers no narrower resource for these",
    )
    yield from _passing(names)
    yield from _referenced(names)


def _narrowed(names: Names, service: str, allowed: set[str]) -> Iterator[Grant]:
    """Where AWS or Pulumi gives the names, what ends a thing's life asks for the stack's tag on it."""
    on, ours = _where(names, service), {"aws:ResourceTag/skylift-stack": names.context.tags["skylift-stack"]}
    ending = {action for action in allowed if service in UNNAMED and action.partition(":")[2].startswith(ENDS)}
    ending -= UNTAGGED
    yield Grant(
        who="up",
        what=f"make and change what the stack has of {service}",
        actions=_sorted(allowed - ending),
        on=on,
        wide="AWS or Pulumi names what is made, so neither its name nor its tags are known before"
        if service in UNNAMED
        else "",
    )
    if ending:
        what, condition = f"remove what carries the stack's tag of {service}", {"StringEquals": ours}
        yield Grant(who="up", what=what, actions=_sorted(ending), on=on, condition=condition)


def _sorted(actions: set[str]) -> tuple[str, ...]:
    return tuple(sorted(actions))


def _passing(names: Names) -> Iterator[Grant]:
    kind = names.context.settings.kind
    yield Grant(
        who="up",
        what="give the stack's identities to the services that run it",
        actions=("iam:PassRole",),
        on=tuple(dict.fromkeys(names.role_arn(who) for who in wanted(names))),
        condition={"StringEquals": {"iam:PassedToService": [f"{one}.amazonaws.com" for one in _PASSED_TO[kind]]}},
    )
    if makes_roles(names):
        services = [f"{one}.amazonaws.com" for one in _LINKED[kind]]
        yield Grant(
            who="up",
            what="make the roles that services link to an account, the first time they are used in it",
            actions=("iam:CreateServiceLinkedRole",),
            on=(names.arn("iam", "role/aws-service-role/*", regional=False),),
            condition={"StringEquals": {"iam:AWSServiceName": services}},
        )
    if kind == "vm":
        yield Grant(
            who="up",
            what="read which machine image is the newest",
            actions=("ssm:GetParameter",),
            on=(f"arn:{PARTITION}:ssm:{names.context.region}::parameter/aws/service/*",),
            wide="AWS' own public parameters, which belong to no account",
        )


def _referenced(names: Names) -> Iterator[Grant]:
    """To look at what is given. Who may not read identities is not held up."""
    settings, key = names.context.settings, key_of(names)
    given = [who for who in settings.identities.names() if getattr(settings.identities, who) is not None]
    if given:
        on = tuple(names.arn("iam", f"role/{names.role_name(who)}", regional=False) for who in given)  # type: ignore[arg-type]
        yield Grant(who="up", what="look at the identities that are given", actions=("iam:GetRole",), on=on)
    buckets = tuple(bucket.arn for bucket in (names.keep, names.work) if not bucket.made)
    if buckets:
        actions = ("s3:ListBucket", "s3:GetBucketLocation")
        yield Grant(who="up", what="look at the buckets that are given", actions=actions, on=buckets)
    if settings.registry is not None:
        on = tuple(names.repository_arn(kind) for kind in ("training", "serving"))
        yield Grant(who="up", what="look at the registry that is given", actions=("ecr:DescribeRepositories",), on=on)
    if key is not None:
        # https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
        yield Grant(
            who="up",
            what="let services use the key for what they keep",
            actions=("kms:CreateGrant", "kms:DescribeKey", "kms:RetireGrant"),
            on=(key[0],),
            condition=key[1],
        )


def _buckets(names: Names) -> tuple[str, ...]:
    made = [bucket.arn for bucket in (names.keep, names.work) if bucket.made]
    return (*made, names.audit_bucket.arn)


def _where(names: Names, service: str) -> tuple[str, ...]:
    """The stack's own things by their names where they have one; by type where AWS or Pulumi gives the name."""
    base, context = names.context.base, names.context
    auto = {
        "s3": _buckets(names),
        "ecr": tuple(names.repository_arn(kind) for kind in ("training", "serving")),
        "iam": tuple(names.arn("iam", f"role/{names.role(who)}", regional=False) for who in wanted(names)),
        "iam-profile": tuple(
            names.arn("iam", f"{kind}/{names.role(who)}", regional=False)
            for who in wanted(names)
            for kind in ("role", "instance-profile")
        ),
        "kms": (names.arn("kms", "key/*"), names.arn("kms", names.key_alias)),
        "logs": tuple(names.arn("logs", f"log-group:{group}*") for group in _log_groups(names)),
        "secretsmanager": (names.arn("secretsmanager", f"secret:{base}/*"),),
        "ssm": (names.arn("ssm", f"parameter/skylift/{base}/*"),),
        "cloudtrail": (names.arn("cloudtrail", f"trail/{names.trail}"),),
        "lambda": (names.arn("lambda", f"function:{names.reaper}"),),
        "budgets": (names.arn("budgets", "budget/*", regional=False),),
        "sns": (names.arn("sns", "*"),),
        "cloudwatch": (names.arn("cloudwatch", "alarm:*"),),
        "events": (names.arn("events", "rule/*"),),
        "autoscaling": (names.group_arn(f"{base}-*"),),
        "elasticloadbalancing": tuple(
            names.arn("elasticloadbalancing", f"{kind}/*") for kind in ("loadbalancer", "targetgroup", "listener")
        ),
        "sagemaker": tuple(names.arn("sagemaker", f"{kind}/*") for kind in ("model", "endpoint-config", "endpoint")),
        "application-autoscaling": (names.arn("application-autoscaling", "scalable-target/*"),),
        "eks": tuple(
            names.arn("eks", f"{kind}/{names.cluster}{rest}")
            for kind, rest in (
                ("cluster", ""),
                ("nodegroup", "/*"),
                ("addon", "/*"),
                ("access-entry", "/*"),
                ("podidentityassociation", "/*"),
            )
        )
        if context.settings.kind == "cluster"
        else (),
        "ec2": (*(names.arn("ec2", f"{kind}/*") for kind in _EC2), f"arn:{PARTITION}:ec2:{context.region}::image/*"),
    }
    return auto[service]


_EC2 = (
    "vpc",
    "subnet",
    "route-table",
    "internet-gateway",
    "natgateway",
    "elastic-ip",
    "vpc-endpoint",
    "vpc-flow-log",
    "security-group",
    "security-group-rule",
    "network-interface",
    "launch-template",
    "instance",
    "volume",
)


def _log_groups(names: Names) -> tuple[str, ...]:
    kind = names.context.settings.kind
    if kind == "vm":
        return names.log_group, f"/aws/lambda/{names.reaper}"
    if kind == "cluster":
        return names.pod_logs, names.pod_metrics, f"/aws/eks/{names.cluster}/"
    return (f"/aws/sagemaker/Endpoints/{names.context.base}-",)
