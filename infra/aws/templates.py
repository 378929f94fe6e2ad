"""Launch templates: what a machine is, before there is one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from skylift import catalog

ROOT_DEVICE = "/dev/xvda"
"""Of all images in images.py."""
SERVING_DISK_GIB = {"cpu": 60, "gpu": 150}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One kind of machine.

    Args:
        image: id of the machine image.
        profile: ARN of the instance profile.
        tags: beside those of the stack.
    """

    shape: catalog.Shape
    spot: bool
    image: pulumi.Input[str]
    profile: pulumi.Input[str]
    group: pulumi.Input[str]
    disk_gib: int
    script: str
    tags: Mapping[str, str]


def template(parent: Component, name: str, machine: Machine) -> aws.ec2.LaunchTemplate:
    """A launch template; costs nothing. IMDSv2 only, one hop (AWS-EC2-01), no public address (AWS-EC2-02), encrypted disks
    (AWS-EC2-03), gone when it shuts down. The boot script carries no secret (AWS-EC2-04)."""
    tags = {**parent.context.tags, **machine.tags, "Name": name}
    spot = aws.ec2.LaunchTemplateInstanceMarketOptionsArgs(
        market_type="spot",
        spot_options=aws.ec2.LaunchTemplateInstanceMarketOptionsSpotOptionsArgs(spot_instance_type="one-time"),
    )
    return aws.ec2.LaunchTemplate(
        name,
        description=f"Skylift stack {parent.context.stack}: {name}",
        image_id=machine.image,
        instance_type=machine.shape.machine,
        instance_initiated_shutdown_behavior="terminate",
        instance_market_options=spot if machine.spot else None,
        iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(arn=machine.profile),
        network_interfaces=[
            aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                device_index=0,
                associate_public_ip_address="false",
                delete_on_termination="true",
                security_groups=[machine.group],
            )
        ],
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            http_put_response_hop_limit=1,
            instance_metadata_tags="enabled",
        ),
        block_device_mappings=[_disk(machine.disk_gib)],
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags) for kind in ("instance", "volume")
        ],
        user_data=base64.b64encode(machine.script.encode()).decode(),
        update_default_version=True,
        opts=parent.child(),
    )


def _disk(gib: int) -> aws.ec2.LaunchTemplateBlockDeviceMappingArgs:
    ebs = aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
        encrypted="true", volume_type="gp3", volume_size=gib, delete_on_termination="true"
    )
    return aws.ec2.LaunchTemplateBlockDeviceMappingArgs(device_name=ROOT_DEVICE, ebs=ebs)
