"""Which machine image a machine starts from, and how it stays that one."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.context import Context
from skylift import catalog

AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
_DEEP_LEARNING = "/aws/service/deeplearning/ami/x86_64"
PARAMETERS = {
    "cpu": AMAZON_LINUX,
    "gpu": f"{_DEEP_LEARNING}/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
    # The open kernel module needs Turing or newer; the V100 is older.
    "gpu-v100": f"{_DEEP_LEARNING}/base-proprietary-nvidia-driver-gpu-amazon-linux-2/latest/ami-id",
}
"""Public parameters that name AWS' newest image of a kind; not checked against a cloud.
https://docs.aws.amazon.com/linux/al2023/ug/ec2.html https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html

Amazon Linux brings the AWS CLI and the Session Manager agent, and its packages come from S3, so that a network without a way to the
internet can install docker. The Deep Learning Base image adds driver, docker and NVIDIA's container toolkit."""


def kind_of(shape: catalog.Shape) -> str:
    """Which image a machine needs."""
    if shape.accelerator == "cpu":
        return "cpu"
    return "gpu-v100" if shape.accelerator == "V100" else "gpu"


@dataclass(frozen=True, kw_only=True)
class ImagesArgs:
    """`kinds`: keys of PARAMETERS that the stack needs."""

    context: Context
    kinds: frozenset[str]


class Images(Component):
    """Pins: one parameter of the stack for each kind of image, written once with what was newest at the first `up`, and left alone by
    every later one, so that a new image of AWS replaces no machine silently. To take a newer one, write its id into the parameter
    (`aws ssm put-parameter --overwrite`), `skylift refresh`, and `skylift up` shows the new templates and the rolling replacement.

    Attributes:
        ids: kind -> image id.
    """

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self.ids: dict[str, pulumi.Output[str]] = {}
        for kind in sorted(args.kinds):
            newest = aws.ssm.get_parameter(name=PARAMETERS[kind], opts=pulumi.InvokeOptions(parent=self))
            pin = aws.ssm.Parameter(
                f"{name}-{kind}",
                name=f"/skylift/{args.context.base}/images/{kind}",
                type="String",
                insecure_value=newest.insecure_value,
                description=f"machine image of the stack, first taken from {PARAMETERS[kind]}",
                opts=self.child(ignore_changes=["insecureValue", "description"]),
            )
            self.ids[kind] = pin.insecure_value.apply(lambda known: known or "")
        self.register_outputs({"ids": self.ids})
