"""What the reaper's identity may do, for the components that grant it."""

from __future__ import annotations

from infra.boot.grants import Grant
from infra.boot.spec import Cloud

_AWS = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html"
_GOOGLE = "https://cloud.google.com/compute/docs/reference/rest/v1/regionInstanceGroupManagers"
_AZURE = "https://learn.microsoft.com/azure/role-based-access-control/permissions/compute"

ACTIONS: dict[Cloud, tuple[Grant, ...]] = {
    "aws": (
        Grant(
            actions=("autoscaling:DescribeAutoScalingGroups",),
            resource="*",
            why="find run groups (AWS offers no narrower resource for this action)",
            source=_AWS,
        ),
        Grant(
            actions=("autoscaling:DeleteAutoScalingGroup",),
            resource="arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{group}",
            condition={"StringEquals": {"aws:ResourceTag/skylift-stack": "{stack}"}},
            why="remove run groups of the stack that are past their end",
            source=_AWS,
        ),
    ),
    # Google offers no condition for groups: they have neither labels nor a place in the list of
    # https://cloud.google.com/iam/docs/conditions-resource-attributes. The function itself looks at the stack's label.
    "gcp": (
        Grant(
            actions=("compute.instanceGroupManagers.list", "compute.instanceGroupManagers.delete"),
            resource="projects/{account}",
            why="find and remove run groups that are past their end",
            source=_GOOGLE,
        ),
    ),
    # Azure's conditions look at blobs only: the scope is the resource group that holds nothing but run groups.
    "azure": (
        Grant(
            actions=(
                "Microsoft.Compute/virtualMachineScaleSets/read",
                "Microsoft.Compute/virtualMachineScaleSets/delete",
            ),
            resource="{group}",
            why="find and remove run groups that are past their end",
            source=_AZURE,
        ),
    ),
}
