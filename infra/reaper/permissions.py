"""What the reaper's identity may do, for the components that grant it."""

from __future__ import annotations

from infra.boot.grants import Grant
from infra.boot.spec import Cloud

ACTIONS: dict[Cloud, tuple[Grant, ...]] = {
    "aws": (
        Grant(
            actions=("autoscaling:DescribeAutoScalingGroups",),
            resource="*",
            why="finds the run groups; AWS offers no narrower resource for this action",
            source="https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html",
        ),
        Grant(
            actions=("autoscaling:DeleteAutoScalingGroup",),
            resource="arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/*",
            condition={"StringEquals": {"aws:ResourceTag/skylift-stack": "{stack}"}},
            why="removes a run group with its machines",
            source="https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html",
        ),
    ),
    "gcp": (),
    "azure": (),
}
