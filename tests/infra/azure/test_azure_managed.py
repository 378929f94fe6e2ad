"""Azure ML as its components declare it."""

from __future__ import annotations

import re
from typing import Any

from infra.azure.managed import compute_name
from infra.azure.online import deployment_name
from tests.clouds.mocks import Recorded
from tests.infra.azure.azure_stacks import GROUP, IMAGES, REGISTRY, context, declared, theirs

POOLS = {"gpu": {"accelerator": "T4", "spot": True, "max_machines": 3}}


def running(**more: Any) -> Recorded:
    return declared("azureml", images=IMAGES, registry=REGISTRY, pools=POOLS, **more)


def test_the_workspace_works_by_identity_in_a_network_of_its_own() -> None:
    dev, prod = running(), running(stage="prod")
    for seen, mode, public in (
        (dev, "AllowInternetOutbound", "Enabled"),
        (prod, "AllowOnlyApprovedOutbound", "Disabled"),
    ):
        given = seen.one("azure-native:machinelearningservices:Workspace").inputs
        assert given["systemDatastoresAuthMode"] == "Identity"
        assert (given["managedNetwork"]["isolationMode"], given["publicNetworkAccess"]) == (mode, public)
        rule = seen.one("ManagedNetworkSettingsRule").inputs["properties"]
        assert rule["destination"]["subresourceTarget"] == "blob"
        assert "/storageAccounts/keep" in rule["destination"]["serviceResourceId"]
    assert not dev.of("VirtualNetwork"), "Azure ML brings its own network"
    assert prod.one("PrivateEndpoint", "workspace-links-workspace")
    assert prod.one("azure-native:machinelearningservices:Workspace").inputs["encryption"]["status"] == "Enabled"
    assert not prod.of("NatGateway") and [one.inputs["subnetName"] for one in prod.of("Subnet")] == ["endpoints"]


def test_compute_is_from_zero_and_private() -> None:
    seen = running()
    computes = sorted(seen.of("Compute"), key=lambda one: one.name)
    assert [one.inputs["properties"]["properties"]["vmPriority"] for one in computes] == ["LowPriority", "Dedicated"]
    for one in computes:
        given = one.inputs["properties"]
        assert given["disableLocalAuth"] is True
        assert given["properties"]["enableNodePublicIp"] is False
        assert given["properties"]["scaleSettings"] == {
            "minNodeCount": 0,
            "maxNodeCount": 3,
            "nodeIdleTimeBeforeScaleDown": "PT5M",
        }
    assert seen.result.place["compute_gpu"] == ",".join(one.inputs["computeName"] for one in computes)


def test_compute_names_are_such_as_azure_takes() -> None:
    long = "a-pool-of-a-very-long-name.with_all"
    for pool in ("default", "9", long, "x" * 63):
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", compute_name(pool, 15)), pool
    assert compute_name(long, 0) != compute_name(f"{long}s", 0)


def test_a_deployment_waits_longer_and_takes_more_than_azures_defaults() -> None:
    seen = running(endpoints={"default": {"request_seconds": 90.0, "min_replicas": 2}})
    deployment = seen.one("OnlineDeployment")
    given = deployment.inputs["properties"]
    assert given["requestSettings"] == {
        "requestTimeout": "PT90S",
        "maxQueueWait": "PT90S",
        "maxConcurrentRequestsPerInstance": 256,
    }
    assert deployment.inputs["sku"] == {"name": "Default", "capacity": 2}
    assert deployment.ignore_changes == ("sku.capacity",)
    assert deployment.deleted_with == "managed-default-endpoint" and not deployment.delete_before_replace
    told = given["environmentVariables"]
    assert told["SKYLIFT_ENDPOINT"].endswith("/keep/endpoints/default") and told["SKYLIFT_WORK"].endswith("/work")
    assert told["AZURE_CLIENT_ID"] == seen.result.place["serving_client_id"]
    assert any(one.startswith("access-serving") for one in deployment.depends_on), "rights come first"


def test_an_endpoint_asks_entra_and_gets_its_traffic_once_there_is_a_deployment() -> None:
    seen = running()
    endpoint = seen.one("OnlineEndpoint")
    assert endpoint.inputs["properties"] == {"authMode": "AADToken", "publicNetworkAccess": "Enabled"}
    assert endpoint.ignore_changes == ("properties.traffic",)
    traffic = seen.one("azure-native:resources:Deployment")
    (template,) = traffic.inputs["properties"]["template"]["resources"]
    name = seen.one("OnlineDeployment").inputs["deploymentName"]
    assert template["properties"] == {**endpoint.inputs["properties"], "traffic": {name: 100}}
    assert template["tags"] == endpoint.inputs["tags"], "a PUT must not take away what the endpoint has"
    assert "managed-default-deployment" in traffic.depends_on
    assert running(endpoints={"default": {"exposure": "private"}}).one("OnlineEndpoint").inputs["properties"][
        "publicNetworkAccess"
    ] == ("Disabled")


def test_another_image_or_machine_is_another_deployment() -> None:
    wanted = (
        (IMAGES["serving"], "Standard_D4s_v5"),
        (IMAGES["serving"], "Standard_D8s_v5"),
        (IMAGES["training"], None),
    )
    names = set()
    for image, machine in wanted:
        asked = context("azureml", images={"serving": image}, endpoints={"default": {"machine": machine}})
        names.add(deployment_name(asked, asked.endpoints["default"]))
    assert len(names) == 3 and all(re.fullmatch(r"v[0-9a-f]{12}", name) for name in names)


def test_alarms_are_on_what_azure_ml_measures() -> None:
    seen = running(endpoints={"default": {"accelerator": "T4"}}, alerts={"emails": ["a@example.com"]})
    found = {one.inputs["criteria"]["allOf"][0]["metricName"]: one.inputs for one in seen.of("MetricAlert")}
    assert set(found) == {
        "RequestsPerMinute",
        "RequestLatency_P95",
        "DeploymentCapacity",
        "GpuUtilizationPercentage",
        "Failed Runs",
    }
    assert all(len(one["actions"]) == 1 for one in found.values())
    (errors,) = found["RequestsPerMinute"]["criteria"]["allOf"][0]["dimensions"]
    assert errors == {"name": "statusCodeClass", "operator": "Include", "values": ["5xx"]}


def test_a_workspace_of_the_users_is_used_and_not_made() -> None:
    given = f"{GROUP}/Microsoft.MachineLearningServices/workspaces/theirs"
    seen = running(workspace=given, answers=theirs())
    assert not seen.of("azure-native:machinelearningservices:Workspace") and not seen.of("azure-native:keyvault:Vault")
    assert seen.one("OnlineEndpoint").inputs["workspaceName"] == "theirs"
    assert seen.one("OnlineEndpoint").inputs["resourceGroupName"] == "theirs"
    assert seen.result.place["workspace_resource_group"] == "theirs"
