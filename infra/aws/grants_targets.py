"""Rights that one target alone asks for: machines, clusters, managed services."""

from __future__ import annotations

from collections.abc import Iterator

from infra import boot, reaper
from infra.aws.grants_data import key_of, pull, write_logs
from infra.aws.names import PARTITION, Names
from infra.grants import Grant, Who

SAGEMAKER_JOBS = "/aws/sagemaker/TrainingJobs"
"""The account's, of all its training jobs: the service gives it that name, so no stack makes or removes it."""


def managed_policy(name: str) -> str:
    """A policy of AWS' own; it stands among a grant's actions as a predefined role does on Google."""
    return f"arn:{PARTITION}:iam::aws:policy/{name}"


def machines(names: Names) -> Iterator[Grant]:
    """Target ec2."""
    tagged = {"StringEquals": {"aws:ResourceTag/skylift-stack": names.context.tags["skylift-stack"]}}
    runs = (names.group_arn(f"{names.run_groups}*"),)
    yield from _host(names)
    yield from pull(names, "serving", "serving")
    yield write_logs(names, "serving", names.log_group)
    yield Grant(
        who="serving",
        what="let callers reach the endpoint through Session Manager",
        actions=(managed_policy("AmazonSSMManagedInstanceCore"),),
        on=("*",),
        wide="AWS' own policy of the Session Manager agent",
    )
    yield from _run_groups(names, runs, tagged)
    groups = tuple(names.group_arn(names.group(endpoint)) for endpoint in names.context.endpoints)
    if groups:
        yield Grant(
            who="releaser",
            what="change the size of an endpoint within its bounds",
            actions=("autoscaling:SetDesiredCapacity",),
            on=groups,
            condition=tagged,
        )
    for who in ("releaser", "caller"):
        yield _describe(who, "see endpoints", "autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances")
    yield from _tunnel(names)
    yield from _boot(names)
    for right in reaper.ACTIONS["aws"]:
        yield from _given(names, "reaper", right)
    yield write_logs(names, "reaper", f"/aws/lambda/{names.reaper}")


def _host(names: Names) -> Iterator[Grant]:
    yield from pull(names, "host", "training")
    yield write_logs(names, "host", names.log_group)
    yield Grant(
        who="host",
        what="hand the run its own credentials, narrowed to it",
        actions=("sts:AssumeRole",),
        on=(names.role_arn("training"),),
    )
    yield Grant(
        who="host",
        what="be inspected through Session Manager",
        actions=(managed_policy("AmazonSSMManagedInstanceCore"),),
        on=("*",),
        wide="AWS' own policy of the Session Manager agent",
    )


def _boot(names: Names) -> Iterator[Grant]:
    """What the boot script itself asks for, in both of its modes."""
    for right in boot.ACTIONS["aws"]:
        yield from _given(names, "host", right)


def _given(names: Names, who: Who, right: boot.Grant) -> Iterator[Grant]:
    """A grant as another room wrote it, with the stack's names in its braces."""
    words = {
        "stack": names.context.tags["skylift-stack"],
        "region": names.context.region,
        "account": names.context.account,
        "group": f"{names.run_groups}*",
        "keep": names.keep.arn.rpartition(":")[2],
        "work": names.work.arn.rpartition(":")[2],
        "log_group": names.log_group,
    }
    condition = {
        operator: {key: value.format_map(words) for key, value in pairs.items()}
        for operator, pairs in right.condition.items()
    }
    on = right.resource.format_map(words)
    wide = right.why if on == "*" else ""
    yield Grant(who=who, what=right.why, actions=right.actions, on=(on,), condition=condition, wide=wide)


def _run_groups(names: Names, runs: tuple[str, ...], tagged: dict[str, dict[str, str]]) -> Iterator[Grant]:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html"""
    requested = {"StringEquals": {"aws:RequestTag/skylift-stack": names.context.tags["skylift-stack"]}}
    started = ("instance", "volume", "network-interface")
    used = ("subnet/*", "security-group/*", "image/*")
    yield Grant(
        who="launcher",
        what="make run groups, tagged as the stack's",
        actions=("autoscaling:CreateAutoScalingGroup", "autoscaling:CreateOrUpdateTags"),
        on=runs,
        condition=requested,
    )
    yield Grant(
        who="launcher",
        what="resize and remove run groups",
        actions=("autoscaling:UpdateAutoScalingGroup", "autoscaling:DeleteAutoScalingGroup"),
        on=runs,
        condition=tagged,
    )
    yield Grant(
        who="launcher",
        what="use the stack's templates",
        actions=("ec2:RunInstances",),
        on=(_ec2(names, "launch-template/*"),),
        condition=tagged,
    )
    yield Grant(
        who="launcher",
        what="start machines as a template says",
        actions=("ec2:RunInstances",),
        on=tuple(_ec2(names, kind) for kind in (*started, *used)),
        condition={"ArnLike": {"ec2:LaunchTemplate": names.arn("ec2", "launch-template/*")}},
    )
    yield Grant(
        who="launcher",
        what="tag the machines that it starts",
        actions=("ec2:CreateTags",),
        on=tuple(_ec2(names, kind) for kind in started),
        condition={"StringEquals": {"ec2:CreateAction": "RunInstances"}},
    )
    yield _pass(names, "host", "ec2.amazonaws.com")
    actions = (
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeInstances",
    )
    yield _describe(
        "launcher", "follow run groups", *actions, "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeSubnets"
    )
    yield _read_logs(names, names.log_group)


def _tunnel(names: Names) -> Iterator[Grant]:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html"""
    document = f"arn:{PARTITION}:ssm:{names.context.region}::document/AWS-StartPortForwardingSessionToRemoteHost"
    yield Grant(
        who="caller",
        what="open a tunnel to an endpoint through one of its machines",
        actions=("ssm:StartSession",),
        on=(names.arn("ec2", "instance/*"),),
        condition={
            "StringEquals": {
                "ssm:resourceTag/skylift-stack": names.context.tags["skylift-stack"],
                "ssm:resourceTag/skylift-role": "serving",
            },
            "BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"},
        },
    )
    yield Grant(who="caller", what="forward a port only, no shell", actions=("ssm:StartSession",), on=(document,))
    yield Grant(
        who="caller",
        what="keep and end its own sessions",
        actions=("ssm:TerminateSession", "ssm:ResumeSession"),
        on=(names.arn("ssm", "session/${aws:userid}-*"),),
    )


def cluster(names: Names) -> Iterator[Grant]:
    """Target eks. Inside of the cluster Kubernetes' own rights hold; here is what AWS asks for beside."""
    own = {
        "cluster": ("AmazonEKSClusterPolicy",),
        "nodes": ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy"),
    }
    persons: tuple[Who, ...] = ("launcher", "releaser", "caller")
    for who, policies in own.items():
        yield Grant(
            who="cluster" if who == "cluster" else "nodes",
            what="run the control plane" if who == "cluster" else "be nodes of a cluster",
            actions=tuple(managed_policy(policy) for policy in policies),
            on=("*",),
            wide="AWS' own policies of EKS",
        )
    on = (names.arn("eks", f"cluster/{names.cluster}"),)
    for person in persons:
        yield Grant(who=person, what="find the cluster's API server", actions=("eks:DescribeCluster",), on=on)
    yield _read_logs(names, names.pod_logs)
    yield write_logs(names, "logs", names.pod_logs, names.pod_metrics, create=True)
    yield Grant(
        who="logs",
        what="tell metrics which disks its nodes have",
        actions=("ec2:DescribeVolumes", "ec2:DescribeTags"),
        on=("*",),
        wide="these actions know no resource",
    )
    yield from _autoscaler(names)


def _autoscaler(names: Names) -> Iterator[Grant]:
    """https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md (its full policy, without
    what node groups of other clusters need)."""
    owned = f"aws:ResourceTag/k8s.io/cluster-autoscaler/{names.cluster}"
    yield Grant(
        who="autoscaler",
        what="see the cluster's node groups and what their machines are",
        actions=(
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLaunchConfigurations",
            "autoscaling:DescribeScalingActivities",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:GetInstanceTypesFromInstanceRequirements",
        ),
        on=("*",),
        wide="these actions know no resource",
    )
    yield Grant(
        who="autoscaler",
        what="read labels and taints of node groups that stand at none",
        actions=("eks:DescribeNodegroup",),
        on=(names.arn("eks", f"nodegroup/{names.cluster}/*"),),
    )
    yield Grant(
        who="autoscaler",
        what="add and remove nodes of this cluster",
        actions=("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"),
        on=(names.group_arn("eks-*"),),
        condition={"StringEquals": {owned: "owned"}},
    )


def managed(names: Names) -> Iterator[Grant]:
    """Target sagemaker."""
    jobs = (names.arn("sagemaker", f"training-job/{names.training_jobs}*"),)
    endpoints = tuple(names.endpoint_arn(endpoint) for endpoint in names.context.endpoints)
    yield from pull(names, "training", "training")
    yield from pull(names, "serving", "serving")
    yield write_logs(names, "training", SAGEMAKER_JOBS, create=True)
    if endpoints:
        groups = [f"/aws/sagemaker/Endpoints/{names.endpoint(endpoint)}" for endpoint in names.context.endpoints]
        yield write_logs(names, "serving", *groups)
    for who in ("training", "serving"):
        yield from _interfaces(names, who)
        yield from _disks(names, who)
    yield from _jobs(names, jobs)
    if endpoints:
        yield from _served(names, endpoints)


def _jobs(names: Names, jobs: tuple[str, ...]) -> Iterator[Grant]:
    requested = {"StringEquals": {"aws:RequestTag/skylift-stack": names.context.tags["skylift-stack"]}}
    yield Grant(
        who="launcher",
        what="start training jobs, tagged as the stack's",
        actions=("sagemaker:CreateTrainingJob", "sagemaker:AddTags"),
        on=jobs,
        condition=requested,
    )
    yield Grant(
        who="launcher",
        what="follow and stop training jobs",
        actions=("sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"),
        on=jobs,
    )
    yield _describe("launcher", "list training jobs", "sagemaker:ListTrainingJobs")
    yield _pass(names, "training", "sagemaker.amazonaws.com")
    yield _read_logs(names, SAGEMAKER_JOBS)


def _served(names: Names, endpoints: tuple[str, ...]) -> Iterator[Grant]:
    by_exposure: dict[str, list[str]] = {}
    for endpoint in names.context.endpoints.values():
        by_exposure.setdefault(endpoint.exposure, []).append(names.endpoint_arn(endpoint.name))
    for exposure, on in sorted(by_exposure.items()):
        yield Grant(
            who="caller",
            what="call endpoints" + (" from the stack's network" if exposure == "private" else ""),
            actions=("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"),
            on=tuple(on),
            condition=_from_network(names) if exposure == "private" else {},
        )
    yield Grant(
        who="releaser",
        what="see endpoints and change their size",
        actions=("sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"),
        on=endpoints,
    )


def _disks(names: Names, who: Who) -> Iterator[Grant]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html (KMS keys of volumes)"""
    key = key_of(names)
    if key is not None:
        yield Grant(
            who=who,
            what="let the service use the key for the disks of its machines",
            actions=("kms:CreateGrant",),
            on=(key[0],),
            condition={**key[1], "Bool": {"kms:GrantIsForAWSResource": "true"}},
        )


def _from_network(names: Names) -> dict[str, dict[str, str]]:
    """The id of a network that `up` makes is not known before: its addresses stand for it. Both keys exist only in requests that come
    through an endpoint of a VPC: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    network = names.context.settings.network
    if network.id is not None:
        return {"StringEquals": {"aws:SourceVpc": network.id}}
    return {"IpAddress": {"aws:VpcSourceIp": network.cidr}}


def _interfaces(names: Names, who: Who) -> Iterator[Grant]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html (VPC configuration)"""
    yield Grant(
        who=who,
        what="have network interfaces in the stack's subnets",
        actions=(
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
        ),
        on=tuple(_ec2(names, kind) for kind in ("network-interface", "subnet/*", "security-group/*")),
    )
    seen = ("NetworkInterfaces", "Vpcs", "DhcpOptions", "Subnets", "SecurityGroups")
    yield _describe(who, "see the network it is put into", *(f"ec2:Describe{what}" for what in seen))


def _pass(names: Names, role: Who, service: str) -> Grant:
    return Grant(
        who="launcher",
        what=f"give machines the {role} identity and no other",
        actions=("iam:PassRole",),
        on=(names.role_arn(role),),
        condition={"StringEquals": {"iam:PassedToService": service}},
    )


def _read_logs(names: Names, group: str) -> Grant:
    actions = ("logs:GetLogEvents", "logs:FilterLogEvents", "logs:DescribeLogStreams")
    on = (names.arn("logs", f"log-group:{group}"), names.arn("logs", f"log-group:{group}:*"))
    return Grant(who="launcher", what="read logs", actions=actions, on=on)


def _describe(who: Who, what: str, *actions: str) -> Grant:
    return Grant(who=who, what=what, actions=actions, on=("*",), wide="AWS offers no narrower resource for these")


def _ec2(names: Names, kind: str) -> str:
    """Images belong to no account in their ARNs."""
    if kind == "image/*":
        return f"arn:{PARTITION}:ec2:{names.context.region}::image/*"
    return names.arn("ec2", kind if "/" in kind else f"{kind}/*")
