"""The nodes of an EKS cluster: a system pool, and for each pool and endpoint nodes of their own that begin at none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra.aws.platform import Platform
from infra.component import Component
from infra.kubernetes.naming import GPU
from skylift.catalog import Shape

SYSTEM_DISK_GIB = 50
TEMPLATE = "k8s.io/cluster-autoscaler/node-template"
"""Beginning of the tags by which the cluster autoscaler knows a node that does not exist yet:
https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md"""


@dataclass(frozen=True, kw_only=True)
class NodesArgs:
    """One group of nodes.

    Args:
        cluster: name of the cluster.
        machines: EC2 types in order of preference.
        gpus: of one node.
        taint: key and value, effect NoSchedule; None for nodes that anything may use.
    """

    platform: Platform
    cluster: pulumi.Input[str]
    machines: Sequence[str]
    least: int
    most: int
    gpus: int = 0
    spot: bool = False
    disk_gib: int = SYSTEM_DISK_GIB
    labels: Mapping[str, str] = field(default_factory=dict)
    taint: tuple[str, str] | None = None


class Nodes(Component):
    """A managed node group behind a launch template: encrypted disks, metadata by session token and one hop only (AWS-EC2-01), so that
    no pod borrows the node's identity. GPU nodes run Amazon Linux 2023 with NVIDIA's driver (not tried on hardware). How many nodes
    there are belongs to the autoscaler and is ignored by `up`; at none they cost nothing.

    Attributes:
        group: the node group.
    """

    def __init__(self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        template = self._template(name, args)
        self.group = aws.eks.NodeGroup(
            f"{name}-nodes",
            cluster_name=args.cluster,
            node_role_arn=args.platform.identity.arns["nodes"],
            # In zones that sell it: a group that spans another would ask there, too, and wait.
            subnet_ids=args.platform.network.subnets_with(args.machines[0]),
            ami_type="AL2023_x86_64_NVIDIA" if args.gpus else "AL2023_x86_64_STANDARD",
            capacity_type="SPOT" if args.spot else "ON_DEMAND",
            instance_types=list(args.machines),
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=args.least, max_size=args.most, desired_size=args.least
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels=dict(args.labels),
            taints=[aws.eks.NodeGroupTaintArgs(key=args.taint[0], value=args.taint[1], effect="NO_SCHEDULE")]
            if args.taint
            else [],
            # The autoscaler changes it all day.
            opts=self.child(ignore_changes=["scalingConfig.desiredSize"]),
        )
        self._tell_the_autoscaler(name, args)
        self.register_outputs({"group": self.group.node_group_name})

    def _template(self, name: str, args: NodesArgs) -> aws.ec2.LaunchTemplate:
        tags = dict(self.context.tags)
        return aws.ec2.LaunchTemplate(
            f"{name}-template",
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_size=args.disk_gib, volume_type="gp3", encrypted="true", delete_on_termination="true"
                    ),
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "volume")
            ],
            opts=self.child(),
        )

    def _tell_the_autoscaler(self, name: str, args: NodesArgs) -> None:
        """Tags of the node group do not reach the Auto Scaling group that it makes."""
        told = {f"{TEMPLATE}/label/{key}": value for key, value in args.labels.items()}
        if args.taint:
            told[f"{TEMPLATE}/taint/{args.taint[0]}"] = f"{args.taint[1]}:NoSchedule"
        if args.gpus:
            told[f"{TEMPLATE}/resources/{GPU}"] = str(args.gpus)
        group = self.group.resources.apply(_scaling_group)
        for index, (key, value) in enumerate(sorted(told.items())):
            tag = aws.autoscaling.TagTagArgs(key=key, value=value, propagate_at_launch=False)
            aws.autoscaling.Tag(f"{name}-tag-{index}", autoscaling_group_name=group, tag=tag, opts=self.child())


def _scaling_group(made: Sequence[aws.eks.outputs.NodeGroupResource]) -> str:
    groups = made[0].autoscaling_groups
    assert groups, "EKS tells the group of every node group that is active"
    return str(groups[0].name)


def group_shapes(shapes: Sequence[Shape]) -> list[list[Shape]]:
    """Shapes that one node group may mix: the autoscaler takes all nodes of a group for alike, so CPUs, memory and GPUs must agree."""
    mixed: list[list[Shape]] = []
    for shape in shapes:
        alike = (shape.cpus, shape.memory_gib, shape.count)
        found = next((one for one in mixed if (one[0].cpus, one[0].memory_gib, one[0].count) == alike), None)
        if found is None:
            mixed.append([shape])
        else:
            found.append(shape)
    return mixed
