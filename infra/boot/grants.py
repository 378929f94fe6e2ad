"""What the boot script asks of the identity of a training machine, beside pulling the image and writing its report.

A serving machine removes nothing, so its identity needs none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Actions on resources. Braces name what the caller fills in: `{stack}`, `{region}`, `{account}`, `{group}`.

    Args:
        actions: exact names, never a wildcard.
        resource: ARN pattern on AWS, the level of the binding on Google, the scope on Azure.
        condition: on AWS operator -> key -> value; on Google `{"expression": CEL}`; empty where the cloud offers none.
        why: what the action is for, as a sentence without subject.
        source: the provider's page that names action and condition.
    """

    actions: tuple[str, ...]
    resource: str
    why: str
    source: str
    condition: Mapping[str, Any] = field(default_factory=dict)


ACTIONS: dict[Literal["aws", "gcp", "azure"], tuple[Grant, ...]] = {
    "aws": (
        Grant(
            actions=("autoscaling:TerminateInstanceInAutoScalingGroup",),
            resource="arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{group}",
            condition={"StringEquals": {"aws:ResourceTag/skylift-stack": "{stack}"}},
            why="take its own machine out of the run group",
            source="https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html",
        ),
        Grant(
            actions=("ec2:TerminateInstances",),
            resource="arn:aws:ec2:{region}:{account}:instance/*",
            condition={"StringEquals": {"aws:ResourceTag/skylift-stack": "{stack}"}},
            why="remove its own machine where the group does not",
            source="https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html",
        ),
    ),
    "gcp": (
        Grant(
            actions=("compute.instanceGroupManagers.update",),
            resource="projects/{account}",
            why="take its own machine out of the run group",
            source="https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/deleteInstances",
        ),
        Grant(
            actions=("compute.instances.delete",),
            resource="projects/{account}",
            condition={
                "expression": 'resource.type == "compute.googleapis.com/Instance" && '
                'resource.name.extract("/instances/{name}").startsWith("{group}")'
            },
            why="remove its own machine where the group does not",
            source="https://cloud.google.com/iam/docs/conditions-resource-attributes",
        ),
    ),
    "azure": (
        Grant(
            actions=("Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete",),
            resource="{group}",
            why="remove its own machine from the run group",
            source="https://learn.microsoft.com/azure/role-based-access-control/permissions/compute",
        ),
    ),
}
