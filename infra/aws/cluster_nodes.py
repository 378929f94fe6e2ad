"""The nodes of an EKS cluster: a system pool, and for each pool and endpoint nodes of their own that begin at none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.platform import Platform
from infra.component import Component
from infra.kubernetes.naming import GPU
from infra.kubernetes.nodes import NodesPlan

TEMPLATE = "k8s.io/cluster-autoscaler/node-template"
"""Beginning of the tags by which the cluster autoscaler knows a node that does not exist yet:
https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md"""


@dataclass(frozen=True, kw_only=True)
class NodesArgs:
    """
    Args:
        cluster: name of the cluster.
    """

    platform: Platform
    cluster: pulumi.Input[str]
    plan: NodesPlan


class Nodes(Component):
    """A managed node group behind a launch template: encrypted disks, metadata by session token and one hop only (AWS-EC2-01), so that
    no pod borrows the node's identity. GPU nodes run Amazon Linux 2023 with NVIDIA's driver (not tried on hardware). How many nodes
    there are belongs to the autoscaler and is ignored by `up`; at none they cost nothing.

    Attributes:
        group: the node group.
    """

    def __init__(self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        plan, template = args.plan, self._template(name, args.plan.disk_gib)
        self.group = aws.eks.NodeGroup(
            f"{name}-nodes",
            cluster_name=args.cluster,
            node_role_arn=args.platform.identity.arns["nodes"],
            # In zones that sell it: a group that spans another would ask there, too, and wait.
            subnet_ids=args.platform.network.subnets_with(plan.machines[0]),
            ami_type="AL2023_x86_64_NVIDIA" if plan.gpus else "AL2023_x86_64_STANDARD",
            capacity_type="SPOT" if plan.spot else "ON_DEMAND",
            instance_types=list(plan.machines),
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=plan.least, max_size=plan.most, desired_size=plan.least
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels=dict(plan.labels),
            taints=[aws.eks.NodeGroupTaintArgs(key=plan.taint[0], value=plan.taint[1], effect="NO_SCHEDULE")]
            if plan.taint
            else [],
            # The autoscaler changes it all day.
            opts=self.child(ignore_changes=["scalingConfig.desiredSize"]),
        )
        self._tell_the_autoscaler(name, plan)
        self.register_outputs({"group": self.group.node_group_name})

    def _template(self, name: str, disk_gib: int) -> aws.ec2.LaunchTemplate:
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
                        volume_size=disk_gib, volume_type="gp3", encrypted="true", delete_on_termination="true"
                    ),
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "volume")
            ],
            opts=self.child(),
        )

    def _tell_the_autoscaler(self, name: str, plan: NodesPlan) -> None:
        """Tags of the node group do not reach the Auto Scaling group that it makes."""
        told = {f"{TEMPLATE}/label/{key}": value for key, value in plan.labels.items()}
        if plan.taint:
            told[f"{TEMPLATE}/taint/{plan.taint[0]}"] = f"{plan.taint[1]}:NoSchedule"
        if plan.gpus:
            told[f"{TEMPLATE}/resources/{GPU}"] = str(plan.gpus)
        group = self.group.resources.apply(_scaling_group)
        for index, (key, value) in enumerate(sorted(told.items())):
            tag = aws.autoscaling.TagTagArgs(key=key, value=value, propagate_at_launch=False)
            aws.autoscaling.Tag(f"{name}-tag-{index}", autoscaling_group_name=group, tag=tag, opts=self.child())


def _scaling_group(made: Sequence[aws.eks.outputs.NodeGroupResource]) -> str:
    groups = made[0].autoscaling_groups
    assert groups, "EKS tells the group of every node group that is active"
    return str(groups[0].name)
