"""Auto Scaling groups, by the SDK that Lambda's runtime carries."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from . import core


def handler(event: object, context: object) -> dict[str, Any]:
    """What Lambda calls."""
    return run(importlib.import_module("boto3").client("autoscaling"), datetime.now(UTC))


def run(client: Any, now: datetime) -> dict[str, Any]:
    """One round, with a client of `autoscaling`."""
    stack = os.environ["SKYLIFT_STACK"]

    def remove(group: core.Group) -> None:
        # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteAutoScalingGroup.html
        client.delete_auto_scaling_group(AutoScalingGroupName=group.id, ForceDelete=True)

    return {"removed": core.reap(_groups(client, stack), remove, stack, now)}


def _groups(client: Any, stack: str) -> Iterator[core.Group]:
    # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
    pages = client.get_paginator("describe_auto_scaling_groups")
    for page in pages.paginate(Filters=[{"Name": f"tag:{core.STACK}", "Values": [stack]}]):
        for group in page["AutoScalingGroups"]:
            if not group.get("Status"):  # it has one only while it is deleted
                tags = {tag["Key"]: tag.get("Value", "") for tag in group.get("Tags", [])}
                yield core.Group(id=group["AutoScalingGroupName"], tags=tags, born=group.get("CreatedTime"))
