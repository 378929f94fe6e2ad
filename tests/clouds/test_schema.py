"""The checks of the simulated clouds find what a component could get wrong and Pulumi's own mocks accept."""

from typing import Any

import pytest

from tests.clouds import wheels
from tests.clouds.schema import problems
from tests.clouds.values import UNKNOWN, Asset, Secret

BUCKET = "aws:s3/bucket:Bucket"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
TEMPLATE = "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate"
ACCOUNT = "azure-native:storage:StorageAccount"
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
SERVICE = "kubernetes:core/v1:Service"
ACCOUNT_INPUTS = {"kind": "StorageV2", "resourceGroupName": "group", "sku": {"name": "Standard_LRS"}}
DEPLOYMENT_INPUTS = {"endpointName": "e", "resourceGroupName": "g", "workspaceName": "w"}


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (BUCKET, {"forceDestroy": True, "tags": {"owner": Secret("me")}}),
        (BUCKET, {"forceDestroy": UNKNOWN, "tags": UNKNOWN, "bucket": None}),
        (CONFIGURATION, {"productionVariants": [{"modelName": UNKNOWN, "initialInstanceCount": 1.0}]}),
        (TEMPLATE, {"machineType": "g2-standard-4", "disks": [{"sourceImage": "i", "boot": True}]}),
        (ACCOUNT, {**ACCOUNT_INPUTS, "minimumTlsVersion": "TLS1_2"}),
        (DEPLOYMENT, {**DEPLOYMENT_INPUTS, "properties": {"endpointComputeType": "Managed", "instanceType": "x"}}),
        (DEPLOYMENT, {**DEPLOYMENT_INPUTS, "properties": {"endpointComputeType": "Kubernetes"}}),
        (SERVICE, {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": "http"}]}}),
        ("aws:ec2/launchTemplate:LaunchTemplate", {"instanceType": "p7.huge"}),
        ("aws:lambda/function:Function", {"role": "r", "code": Asset(True, {"path": "x"})}),
        (
            "pulumi:providers:aws",
            {"region": "eu-west-1", "defaultTags": '{"tags":{"a":"b"}}', "allowedAccountIds": '["1"]'},
        ),
        ("pulumi:providers:gcp", {"project": "123"}),
        ("docker-build:index:Image", {"whatever": 1}),
    ],
)
def test_right_inputs_pass(token: str, inputs: dict[str, Any]) -> None:
    assert problems(token, inputs) == []


@pytest.mark.parametrize(
    ("token", "inputs", "said"),
    [
        (BUCKET, {"buckett": "x"}, f"{BUCKET}: buckett: no such key, nearest is bucket"),
        (BUCKET, {"forceDestroy": "yes"}, f"{BUCKET}: forceDestroy: 'yes' is no bool"),
        (BUCKET, {"tags": {"count": 1}}, f"{BUCKET}: tags.count: 1 is no str"),
        (BUCKET, {"tags": ["x"]}, f"{BUCKET}: tags: ['x'] is no map"),
        (CONFIGURATION, {}, f"{CONFIGURATION}: productionVariants: missing"),
        (CONFIGURATION, {"productionVariants": {}}, f"{CONFIGURATION}: productionVariants: {{}} is no list"),
        (
            CONFIGURATION,
            {"productionVariants": [{"modelNam": "x"}]},
            f"{CONFIGURATION}: productionVariants[0].modelNam: no such key, nearest is modelName",
        ),
        (
            CONFIGURATION,
            {"productionVariants": [{"initialInstanceCount": 1.5}]},
            f"{CONFIGURATION}: productionVariants[0].initialInstanceCount: 1.5 is no int",
        ),
        (
            "gcp:container/nodePool:NodePool",
            {"cluster": "c", "nodeConfig": {"guestAccelerators": [{"type": "nvidia-l4"}]}},
            "gcp:container/nodePool:NodePool: nodeConfig.guestAccelerators[0].count: missing",
        ),
        (
            DEPLOYMENT,
            {
                **DEPLOYMENT_INPUTS,
                "properties": {"endpointComputeType": "Managed", "requestSettings": {"requestTimout": "PT1M"}},
            },
            f"{DEPLOYMENT}: properties.requestSettings.requestTimout: no such key, nearest is requestTimeout",
        ),
        (
            "pulumi:providers:aws",
            {"defaultTags": '{"tag":{}}'},
            "pulumi:providers:aws: defaultTags.tag: no such key, nearest is tags",
        ),
        (
            "aws:s3/bucket:Bukket",
            {},
            "aws:s3/bucket:Bukket: no such resource in pulumi_aws, nearest is aws:s3/bucket:Bucket",
        ),
        (
            "kubernetes:jobset.x-k8s.io/v1alpha2:JobSet",
            {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"nam": "x"}},
            "kubernetes:jobset.x-k8s.io/v1alpha2:JobSet: metadata.nam: no such key, nearest is name",
        ),
    ],
)
def test_wrong_inputs_are_named_with_their_path(token: str, inputs: dict[str, Any], said: str) -> None:
    assert problems(token, inputs) == [said]


def test_a_value_outside_an_enumeration_is_found_where_the_sdk_takes_any_text() -> None:
    (said,) = problems(ACCOUNT, {**ACCOUNT_INPUTS, "minimumTlsVersion": "TLS1.2"})
    assert said.startswith(f"{ACCOUNT}: minimumTlsVersion: 'TLS1.2' is none of TLS1_0, TLS1_1, TLS1_2")
    assert said.endswith("nearest is 'TLS1_2'")


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(ACCOUNT, {"kind": "Storage2", "sku": {}, "tag": {}})) == 4


@pytest.mark.parametrize("package", wheels.PACKAGES)
def test_every_resource_of_a_wheel_can_be_read(package: str) -> None:
    for token in list(wheels.tokens(package))[::40]:
        assert wheels.inputs(token) is not None, token
