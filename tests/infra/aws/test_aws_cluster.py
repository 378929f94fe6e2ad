"""What stacks on EKS declare, under strict mocks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clouds.mocks import Recorded, Resource
from tests.clouds.values import Unknown
from tests.infra.aws.stacks import IMAGES, context, declared

POOLS = {"default": {}, "gpu": {"accelerator": "T4", "spot": True, "max_machines": 4}}
RANGES = ["203.0.113.0/24"]
FULL: dict[str, Any] = {"images": IMAGES, "pools": POOLS, "network": {"allowed_ranges": RANGES}, "tags": {"team": "ml"}}
THEIRS = {
    "aws:eks/getCluster:getCluster": {
        "id": "theirs",
        "name": "theirs",
        "arn": "arn:aws:eks:us-east-1:123456789012:cluster/theirs",
        "endpoint": "https://theirs.eks.amazonaws.com",
        "status": "ACTIVE",
        "version": "1.33",
        "certificateAuthorities": [{"data": "c2ltdWxhdGVk"}],
        "vpcConfigs": [],
        "accessConfigs": [],
    }
}


@pytest.fixture(scope="module")
def eks() -> Recorded:
    return declared("eks", **FULL)


@pytest.fixture(scope="module")
def bare() -> Recorded:
    return declared("eks", pools=POOLS)


def nodes(seen: Recorded) -> dict[str, Resource]:
    return {one.name.removeprefix("cluster-").removesuffix("-nodes"): one for one in seen.of("NodeGroup")}


def test_objects_of_the_cluster_go_by_its_own_provider_and_carry_the_stack(eks: Recorded) -> None:
    provider = eks.one("pulumi:providers:kubernetes")
    objects = [one for one in eks.resources if one.type.startswith("kubernetes:")]
    assert len(objects) > 20
    for one in objects:
        assert one.provider.startswith(provider.urn) and one.parent and one.name.startswith(f"{one.parent}-"), one.name
        assert one.inputs["metadata"]["labels"]["skylift-stack"] == "dev", one.name
    assert {one.name for one in eks.resources if one.type.startswith("skylift:")} == set(eks.outputs)


def test_a_preview_declares_the_same_though_no_cluster_is_there(eks: Recorded) -> None:
    before = declared("eks", preview=True, **FULL)
    assert {(one.type, one.name) for one in before.resources} == {(one.type, one.name) for one in eks.resources}
    assert isinstance(before.one("pulumi:providers:kubernetes").inputs["kubeconfig"], Unknown)
    assert before.one("aws:eks/cluster:Cluster").inputs["name"] == "skylift-dev"


def test_the_kubeconfig_asks_who_calls_and_holds_nothing_to_call_with(eks: Recorded) -> None:
    config = json.loads(eks.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    (user,) = config["users"]
    assert set(user["user"]) == {"exec"} and user["user"]["exec"]["command"] == "aws"
    assert "env" not in user["user"]["exec"]


def test_the_api_server_is_private_and_open_to_listed_ranges_alone(eks: Recorded, bare: Recorded) -> None:
    listed, private = (one.one("aws:eks/cluster:Cluster").inputs["vpcConfig"] for one in (eks, bare))
    assert listed["endpointPublicAccess"] is True and listed["publicAccessCidrs"] == RANGES
    assert private["endpointPublicAccess"] is False and "publicAccessCidrs" not in private
    assert listed["endpointPrivateAccess"] is private["endpointPrivateAccess"] is True
    access = eks.one("aws:eks/cluster:Cluster").inputs["accessConfig"]
    assert access["authenticationMode"] == "API"


def test_gpu_nodes_begin_at_none_and_take_nothing_else(eks: Recorded) -> None:
    spot, demand = nodes(eks)["pool-gpu-spot-0"], nodes(eks)["pool-gpu-demand-0"]
    for one in (spot, demand):
        assert one.inputs["scalingConfig"] == {"minSize": 0, "maxSize": 4, "desiredSize": 0}
        assert one.inputs["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
        assert one.inputs["labels"] == {"skylift.dev/pool": "gpu", "skylift.dev/gpu": "true"}
        assert one.inputs["amiType"] == "AL2023_x86_64_NVIDIA"
    assert (spot.inputs["capacityType"], demand.inputs["capacityType"]) == ("SPOT", "ON_DEMAND")
    assert "pool-default-spot-0" not in nodes(eks), "that pool asks for none"


def test_the_autoscaler_knows_nodes_that_are_not_there_yet(eks: Recorded) -> None:
    tags = [
        one.inputs["tag"] for one in eks.of("aws:autoscaling/tag:Tag") if one.name.startswith("cluster-pool-gpu-spot")
    ]
    told = {one["key"].rpartition("node-template/")[2]: one["value"] for one in tags}
    assert told == {
        "label/skylift.dev/gpu": "true",
        "label/skylift.dev/pool": "gpu",
        "resources/nvidia.com/gpu": "1",
        "taint/nvidia.com/gpu": "present:NoSchedule",
    }


def test_how_many_nodes_there_are_is_the_autoscalers_to_say(eks: Recorded) -> None:
    for name, one in nodes(eks).items():
        assert "scalingConfig.desiredSize" in one.ignore_changes, name
    for one in eks.of("Deployment"):
        assert one.name != "cluster-workloads-default-deployment" or "spec.replicas" in one.ignore_changes


def test_the_system_pool_is_always_there_and_open_to_everything(eks: Recorded) -> None:
    system = nodes(eks)["control-system"].inputs
    assert system["scalingConfig"]["minSize"] == 1 and system["taints"] == []
    assert system["amiType"] == "AL2023_x86_64_STANDARD" and system["capacityType"] == "ON_DEMAND"


def test_nodes_of_an_endpoint_come_with_its_image(eks: Recorded, bare: Recorded) -> None:
    assert nodes(eks)["serve-default"].inputs["scalingConfig"] == {"minSize": 0, "maxSize": 3, "desiredSize": 0}
    assert "serve-default" not in nodes(bare) and not bare.of("HorizontalPodAutoscaler")
    assert bare.result.endpoints["default"].url == ""


def test_nodes_are_tagged_and_keep_their_identity_from_pods(eks: Recorded) -> None:
    for template in eks.of("LaunchTemplate"):
        assert template.inputs["metadataOptions"]["httpTokens"] == "required"
        assert template.inputs["metadataOptions"]["httpPutResponseHopLimit"] == 1
        tags = {one["resourceType"]: one["tags"] for one in template.inputs["tagSpecifications"]}
        assert set(tags) == {"instance", "volume"}
        assert all(one["skylift-stack"] == "dev" and one["team"] == "ml" for one in tags.values())


def test_pods_have_identities_of_their_own(eks: Recorded) -> None:
    tied = {
        one.inputs["serviceAccount"]: (one.inputs["namespace"], one.inputs["roleArn"].rpartition("/")[2])
        for one in eks.of("PodIdentityAssociation")
    }
    for role in ("training", "serving"):
        assert tied[role][0] == "skylift" and tied[role][1].startswith(f"skylift-dev-{role}")
    assert tied["cluster-autoscaler"][0] == "kube-system"
    assert len({role for _, role in tied.values()}) == len(tied), "each has its own"


def test_a_referenced_cluster_gets_nodes_and_workloads_and_no_control_plane() -> None:
    seen = declared("eks", answers=THEIRS, pools=POOLS, cluster={"name": "theirs"})
    assert not seen.of("aws:eks/cluster:Cluster") and not seen.of("Addon") and "control-system" not in nodes(seen)
    assert all(one.inputs["clusterName"] == "theirs" for one in nodes(seen).values())
    config = json.loads(seen.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"] == "https://theirs.eks.amazonaws.com"
    assert seen.result.place["cluster"] == "theirs"


def test_errors_and_slowness_of_an_endpoint_ring_by_what_its_replicas_write() -> None:
    mailed = declared("eks", **FULL, alerts={"emails": ["a@example.com"]})
    filters = {one.inputs["metricTransformation"]["name"]: one.inputs for one in mailed.of("LogMetricFilter")}
    assert set(filters) == {"count", "errors", "p95_ms"}
    for field, one in filters.items():
        # The log agent puts a program's own JSON below log_processed.
        assert one["logGroupName"] == "/aws/containerinsights/skylift-dev/application"
        assert '$.log_processed.event = "requests"' in one["pattern"]
        assert '$.kubernetes.namespace_name = "skylift"' in one["pattern"]
        assert one["metricTransformation"]["value"] == f"$.log_processed.{field}"
        assert one["metricTransformation"]["dimensions"] == {"endpoint": "$.log_processed.endpoint"}
    alarms = {one.name.removeprefix("cluster-watch-"): one.inputs for one in mailed.of("MetricAlarm")}
    part, whole, share = alarms["default-errors"]["metricQueries"]
    assert (part["metric"]["metricName"], whole["metric"]["metricName"]) == ("errors", "count")
    assert part["metric"]["dimensions"] == {"endpoint": "default"} and share["expression"] == "100 * part / whole"
    assert alarms["default-errors"]["threshold"] == 5
    slow = alarms["default-slow"]
    assert (slow["metricName"], slow["dimensions"]) == ("p95_ms", {"endpoint": "default"})
    assert slow["threshold"] == 1000 * context("eks").endpoints["default"].settings.request_seconds / 2
    assert all(one["alarmActions"] for one in alarms.values())


def test_what_replicas_write_is_not_looked_for_where_nobody_knows_it_goes() -> None:
    """Neither in a cluster of somebody's, nor without anybody who would hear of it."""
    theirs = declared("eks", **FULL, alerts={"emails": ["a@example.com"]}, cluster={"name": "theirs"}, answers=THEIRS)
    assert not theirs.of("LogMetricFilter") and theirs.of("MetricAlarm")
    assert not declared("eks", **FULL).of("LogMetricFilter")
