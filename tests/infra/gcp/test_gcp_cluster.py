"""What stacks on GKE declare, under strict mocks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clouds.mocks import Recorded, Resource
from tests.clouds.values import Unknown
from tests.infra.gcp.stacks import IMAGES, PROJECT, context, up

CLUSTER = "gcp:container/cluster:Cluster"
POOLS = {"default": {}, "gpu": {"accelerator": "T4", "spot": True, "max_machines": 4}}
FULL: dict[str, Any] = {"images": IMAGES, "pools": POOLS, "tags": {"team": "ml"}}
THEIRS = {
    "gcp:container/getCluster:getCluster": {
        "id": "theirs",
        "name": "theirs",
        "workloadIdentityConfigs": [{"workloadPool": f"{PROJECT}.svc.id.goog"}],
        "controlPlaneEndpointsConfigs": [{"dnsEndpointConfigs": [{"endpoint": "theirs.gke.goog"}]}],
    }
}


@pytest.fixture(scope="module")
def gke() -> Recorded:
    return up("gke", **FULL)


@pytest.fixture(scope="module")
def theirs() -> Recorded:
    """On a cluster that exists, and before there is an image."""
    return up("gke", answers=THEIRS, pools=POOLS, cluster={"name": "theirs"})


def nodes(seen: Recorded) -> dict[str, Resource]:
    return {one.name.removeprefix("cluster-").removesuffix("-nodes"): one for one in seen.of("NodePool")}


def test_objects_of_the_cluster_go_by_its_own_provider_and_carry_the_stack(gke: Recorded) -> None:
    provider = gke.one("pulumi:providers:kubernetes")
    objects = [one for one in gke.resources if one.type.startswith("kubernetes:")]
    assert len(objects) > 20
    for one in objects:
        assert one.provider.startswith(provider.urn) and one.parent and one.name.startswith(f"{one.parent}-"), one.name
        assert one.inputs["metadata"]["labels"]["skylift-stack"] == "dev", one.name
    assert {one.name for one in gke.resources if one.type.startswith("skylift:")} == set(gke.outputs)


def test_a_preview_declares_the_same_though_no_cluster_is_there(gke: Recorded) -> None:
    before = up("gke", preview=True, **FULL)
    assert {(one.type, one.name) for one in before.resources} == {(one.type, one.name) for one in gke.resources}
    assert isinstance(before.one("pulumi:providers:kubernetes").inputs["kubeconfig"], Unknown)
    assert before.one(CLUSTER).inputs["name"] == gke.one(CLUSTER).inputs["name"]


def test_the_kubeconfig_asks_who_calls_and_no_key_is_read_from_state(gke: Recorded) -> None:
    config = json.loads(gke.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    (user,), (cluster,) = config["users"], config["clusters"]
    assert set(user["user"]) == {"exec"} and user["user"]["exec"]["command"] == "gke-gcloud-auth-plugin"
    assert set(cluster["cluster"]) == {"server"}
    assert "masterAuth" in gke.one(CLUSTER).additional_secret_outputs


def test_the_api_server_has_a_name_that_asks_iam_and_no_address(gke: Recorded) -> None:
    told = gke.one(CLUSTER).inputs
    assert told["controlPlaneEndpointsConfig"]["ipEndpointsConfig"] == {"enabled": False}
    assert told["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]["allowExternalTraffic"] is True
    assert told["privateClusterConfig"]["enablePrivateNodes"] is True
    config = json.loads(gke.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"].endswith(".gke.goog")


def test_its_firewall_lets_the_control_plane_reach_every_webhook(gke: Recorded) -> None:
    """Of a private cluster it reaches nodes on 443 and 10250, and the stack makes no rule of its own."""
    targets = [
        port["targetPort"]
        for one in gke.of("kubernetes:core/v1:Service")
        if one.inputs["metadata"]["namespace"] == "jobset-system"
        for port in one.inputs["spec"]["ports"]
    ]
    assert targets and set(targets) <= {443, 10250}
    controller = gke.one("Deployment", "cluster-workloads-jobset-controller").inputs["spec"]["template"]["spec"]
    assert {port["containerPort"] for port in controller["containers"][0]["ports"]} == set(targets)
    written = gke.one("ConfigMap", "cluster-workloads-jobset-configuration").inputs["data"]
    assert f"port: {targets[0]}" in "".join(written.values())


def test_gpu_nodes_begin_at_none_and_take_nothing_else(gke: Recorded) -> None:
    spot, demand = nodes(gke)["pool-gpu-0"].inputs, nodes(gke)["pool-gpu-1"].inputs
    for one in (spot, demand):
        assert (one["initialNodeCount"], one["autoscaling"]["totalMinNodeCount"]) == (0, 0)
        assert one["autoscaling"]["totalMaxNodeCount"] == 4
        config = one["nodeConfig"]
        assert config["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
        assert config["labels"] == {"skylift.dev/pool": "gpu", "skylift.dev/gpu": "true"}
        (accelerator,) = config["guestAccelerators"]
        assert accelerator["type"] == "nvidia-tesla-t4" and accelerator["gpuDriverInstallationConfig"]
    assert spot["nodeConfig"]["spot"] is True and demand["nodeConfig"]["spot"] is False
    assert not nodes(gke)["pool-default-0"].inputs["nodeConfig"]["spot"]
    assert not gke.of("DaemonSet"), "GKE brings its own device plugin"


def test_how_many_nodes_there_are_is_the_autoscalers_to_say(gke: Recorded) -> None:
    for name, one in nodes(gke).items():
        assert {"initialNodeCount", "nodeCount"} <= set(one.ignore_changes), name
    assert "nodeConfig" in gke.one(CLUSTER).ignore_changes, "of the pool that goes at once"


def test_the_system_pool_is_always_there_and_open_to_everything(gke: Recorded) -> None:
    system = nodes(gke)["control-system"].inputs
    assert system["autoscaling"]["totalMinNodeCount"] == 1 and system["nodeConfig"]["taints"] == []
    assert gke.one(CLUSTER).inputs["removeDefaultNodePool"] is True


def test_nodes_of_an_endpoint_come_with_its_image(gke: Recorded, theirs: Recorded) -> None:
    scaling = nodes(gke)["serve-default"].inputs["autoscaling"]
    assert (scaling["totalMinNodeCount"], scaling["totalMaxNodeCount"]) == (0, 3)
    assert "serve-default" not in nodes(theirs) and not theirs.of("HorizontalPodAutoscaler")
    assert theirs.result.endpoints["default"].url == ""


def test_nodes_are_labelled_and_keep_their_identity_from_pods(gke: Recorded) -> None:
    for name, one in nodes(gke).items():
        config = one.inputs["nodeConfig"]
        assert config["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}, name
        assert config["resourceLabels"]["skylift-stack"] == "dev" and config["resourceLabels"]["team"] == "ml", name
    assert gke.one(CLUSTER).inputs["resourceLabels"]["skylift-stack"] == "dev"


def test_pods_are_principals_by_themselves(gke: Recorded) -> None:
    members = [one.inputs["member"] for one in gke.resources if one.name.startswith("cluster-pods-")]
    assert len(members) > 5
    for role in ("training", "serving"):
        assert any(one.startswith("principal://") and one.endswith(f"/ns/skylift/sa/{role}") for one in members)
    assert not any(one.startswith("serviceAccount:") for one in members)


def test_a_referenced_cluster_gets_nodes_and_workloads_and_no_control_plane(theirs: Recorded) -> None:
    assert not theirs.of(CLUSTER) and "control-system" not in nodes(theirs)
    assert nodes(theirs) and all(one.inputs["cluster"] == "theirs" for one in nodes(theirs).values())
    config = json.loads(theirs.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"] == "https://theirs.gke.goog"
    assert theirs.result.place["cluster"] == "theirs"


def test_errors_and_slowness_of_endpoints_ring_by_what_their_replicas_write(gke: Recorded) -> None:
    measured = {one.inputs["valueExtractor"]: one.inputs for one in gke.of("gcp:logging/metric:Metric")}
    assert set(measured) == {f"EXTRACT(jsonPayload.{field})" for field in ("count", "errors", "p95_ms")}
    for one in measured.values():
        assert one["labelExtractors"] == {"endpoint": "EXTRACT(jsonPayload.endpoint)"}
        assert 'jsonPayload.event="requests"' in one["filter"] and 'namespace_name="skylift"' in one["filter"]
        assert one["metricDescriptor"]["valueType"] == "DISTRIBUTION"  # what else takes a value from a line
    failing, slow = (
        gke.one("AlertPolicy", f"monitoring-{kind}").inputs["conditions"][0]["conditionPrometheusQueryLanguage"]
        for kind in ("errors", "latency")
    )
    for one in (failing, slow):
        assert one["disableMetricValidation"] is True, "the metrics come to be in the same `up`"
        assert one["query"].count("monitored_resource=") == 2
    for field in ("count", "errors"):
        assert (
            f"logging_googleapis_com:user_{measured[f'EXTRACT(jsonPayload.{field})']['name']}_sum{{" in failing["query"]
        )
    assert failing["query"].endswith(" > 0.05")
    allowed = context("gke", **FULL).endpoints["default"].settings.request_seconds
    assert 'endpoint="default"' in slow["query"] and f"> {allowed * 500:g})" in slow["query"]


def test_each_endpoint_has_its_own_time_and_one_alarm_is_enough_for_all() -> None:
    several = up("gke", **FULL, endpoints={"a": {"request_seconds": 2}, "b": {"request_seconds": 30}})
    (slow,) = [one for one in several.of("AlertPolicy") if one.name == "monitoring-latency"]
    query = slow.inputs["conditions"][0]["conditionPrometheusQueryLanguage"]["query"]
    first, second = query.split(" or ")
    assert 'endpoint="a"' in first and first.endswith("> 1000)")
    assert 'endpoint="b"' in second and second.endswith("> 15000)")
    assert len(several.of("gcp:logging/metric:Metric")) == 3


def test_without_an_image_nothing_writes_and_nothing_is_measured(theirs: Recorded) -> None:
    assert not theirs.of("gcp:logging/metric:Metric")
    assert not [one for one in theirs.of("AlertPolicy") if one.name.endswith(("-errors", "-latency"))]
