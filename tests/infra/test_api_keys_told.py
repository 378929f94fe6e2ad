"""Where the settings ask for API keys, servers are told where the hashes lie, on every target whose servers keep people out."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.clouds import secret_stores
from tests.infra.aws import stacks as aws
from tests.infra.azure import azure_stacks as azure
from tests.infra.gcp import stacks as gcp

IMAGES = {"eks": aws.IMAGES, "gke": gcp.IMAGES, "aks": azure.IMAGES}


def asking(wanted: bool) -> dict[str, Any]:
    return {"endpoints": {"default": {"api_keys": wanted}}}


def is_secret(where: str) -> bool:
    return secret_stores.find(where, {}) is not None


@pytest.mark.parametrize("wanted", [True, False])
class TestMachines:
    def test_aws(self, wanted: bool) -> None:
        from infra.aws.names import Names
        from infra.aws.scripts import serving_script

        context = aws.context("ec2", **asking(wanted))
        names = Names(context)
        script = serving_script(names, context.endpoints["default"], aws.IMAGES["serving"])
        where = names.api_keys_arn("default")
        assert is_secret(where)
        assert (f"SKYLIFT_API_KEYS={where}" in script) == wanted

    def test_google(self, wanted: bool) -> None:
        from infra.gcp import names

        made = gcp.up("gce", images=gcp.IMAGES, **asking(wanted))

        where = names.api_keys(gcp.context("gce", **asking(True)), "default")
        assert is_secret(where)
        scripts = str([one.inputs for one in made.of("RegionInstanceTemplate")])
        assert (f"SKYLIFT_API_KEYS={where}" in scripts) == wanted

    def test_azure(self, wanted: bool) -> None:
        from infra.azure.machine import _environment

        context = azure.context("azure-vm", **asking(wanted))
        assert is_secret(_environment(context, context.endpoints["default"]).get("SKYLIFT_API_KEYS", "")) == wanted


@pytest.mark.parametrize("wanted", [True, False])
class TestPods:
    @pytest.mark.parametrize("target", ["eks", "gke", "aks"])
    def test_by_the_secret_of_each_cloud(self, wanted: bool, target: str) -> None:
        rooms: dict[str, Any] = {"eks": aws.declared, "gke": gcp.up, "aks": azure.declared}
        made = rooms[target](target, images=IMAGES[target], **asking(wanted))
        (deployment,) = [one for one in made.of("Deployment") if "default" in one.name]
        (container,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
        told = {one["name"]: one.get("value", "") for one in container["env"]}
        assert is_secret(told.get("SKYLIFT_API_KEYS", "")) == wanted
