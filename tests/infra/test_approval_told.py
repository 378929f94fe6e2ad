"""Where the settings ask for approval, replicas are told so by the stack, on every target."""

from __future__ import annotations

import asyncio

import pytest

from infra.kubernetes.serving_args import ServingArgs
from tests.infra.aws import stacks as aws
from tests.infra.gcp import stacks as gcp


def asking(approval: bool) -> dict[str, object]:
    return {"endpoints": {"default": {"approval": approval}}}


@pytest.mark.parametrize("approval", [True, False])
class TestTold:
    def test_machines_on_aws(self, approval: bool) -> None:
        from infra.aws.names import Names
        from infra.aws.scripts import serving_script

        context = aws.context("ec2", **asking(approval))
        script = serving_script(Names(context), context.endpoints["default"], aws.IMAGES["serving"])
        assert ("--approval" in script) == approval

    def test_sagemaker(self, approval: bool) -> None:
        from infra.aws.managed_endpoint import environment
        from infra.aws.names import Names

        context = aws.context("sagemaker", **asking(approval))
        told = environment(Names(context), context.endpoints["default"])
        assert (told.get("SKYLIFT_APPROVAL") == "1") == approval

    def test_google(self, approval: bool) -> None:
        from infra.gcp.serving_flags import flags

        context = gcp.context("gce", **asking(approval))
        assert ("--approval" in flags(context.endpoints["default"])) == approval

    def test_kubernetes(self, approval: bool) -> None:
        from infra.kubernetes import serving_pod

        around = type("Around", (), {"keep": "gs://keep", "work": "gs://work"})()

        async def told() -> object:  # the SDK's outputs want a loop
            return serving_pod._options("default", ServingArgs(approval=approval), around)

        options = asyncio.run(told())
        assert ("--approval" in options) == approval
