"""What a cluster's workloads declare, held against strict mocks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from infra.kubernetes.naming import IMAGES
from infra.kubernetes.workloads import Workloads
from serving import arguments
from tests.clouds.mocks import Recorded, Resource, provision
from tests.kubernetes import program
from tests.kubernetes.plane import recipe

SERVING = ("tabular", "digits")


@pytest.fixture(scope="module")
def whole() -> Recorded:
    return program.workloads()


def custom(recorded: Recorded) -> list[Resource]:
    return [one for one in recorded.resources if one.is_custom and one.type.startswith("kubernetes:")]


def pod(recorded: Recorded, name: str) -> dict[str, Any]:
    found: dict[str, Any] = recorded.one("Deployment", f"workloads-{name}-deployment").inputs["spec"]["template"]
    return found


def server(recorded: Recorded, name: str) -> dict[str, Any]:
    found: dict[str, Any] = pod(recorded, name)["spec"]["containers"][0]
    return found


def policy(recorded: Recorded, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = recorded.one("NetworkPolicy", f"workloads-{name}").inputs["spec"]
    return spec


def words(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, dict):
        for one in value.values():
            yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)
    else:
        yield str(value)


# the tree


def test_every_object_has_a_component_of_ours_as_parent_whose_name_begins_its_own(whole: Recorded) -> None:
    components = {one.name: one.type for one in whole.resources if not one.is_custom}
    for one in custom(whole):
        assert components[one.parent].startswith("skylift:kubernetes:"), one.name
        assert one.name.startswith(f"{one.parent}-")
    assert {token.rpartition(":")[2] for token in components.values()} == {
        "Workloads",
        "Namespace",
        "JobSet",
        "DevicePlugin",
        "Autoscaler",
        "Serving",
    }


def test_every_component_promises_something(whole: Recorded) -> None:
    for one in whole.resources:
        if not one.is_custom:
            assert whole.outputs.get(one.name), one.name


def test_every_object_goes_to_the_provider_that_was_given() -> None:
    def cluster() -> None:
        provider = k8s.Provider("cluster", k8s.ProviderArgs(kubeconfig="{}"))
        Workloads("workloads", program.arguments(), pulumi.ResourceOptions(providers=[provider]))

    recorded = provision(cluster)
    assert {one.provider.rpartition("::")[0] for one in custom(recorded)} == {recorded.one("kubernetes").urn}


def test_every_object_carries_the_labels_of_the_stack_and_its_tags_made_fit(whole: Recorded) -> None:
    wanted = {
        "skylift-stack": "vision-prod",
        "app.kubernetes.io/managed-by": "skylift",
        "owner": "ml-example.com",
        "cost-centre": "42-7",
    }
    for one in custom(whole):
        labels = one.inputs["metadata"]["labels"]
        assert wanted.items() <= labels.items(), one.name
        assert all(re.fullmatch(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", value) for value in labels.values())
    for name in SERVING:
        assert pod(whole, name)["metadata"]["labels"]["skylift-stack"] == "vision-prod"


def test_a_preview_with_unknown_buckets_declares_the_same_objects(whole: Recorded) -> None:
    def planned() -> None:
        bucket = k8s.core.v1.ConfigMap("bucket")
        Workloads("workloads", program.arguments(keep=bucket.id, work=bucket.id))

    names = {one.name for one in provision(planned, preview=True).resources} - {"bucket"}
    assert names == {one.name for one in whole.resources}


def test_the_kind_jobset_is_what_its_go_module_says(monkeypatch: pytest.MonkeyPatch) -> None:
    script = recipe("jobset_crd")
    monkeypatch.setenv("GOPROXY", "off")
    try:
        script.fetch(IMAGES["jobset"].rpartition(":")[2])
    except (subprocess.CalledProcessError, OSError):
        pytest.skip("JobSet's Go module is not on this machine: `python .ci/kubernetes.py` brings it")
    assert script.main(["--check"]) == 0


# what is left out


def test_without_an_image_no_endpoint_is_made_and_all_else_is(whole: Recorded) -> None:
    recorded = program.workloads(serving_image=None)
    kept = {one.name for one in recorded.resources}
    assert {one.name for one in whole.resources} - kept == {
        one.name for one in whole.resources if one.name.startswith(("workloads-tabular", "workloads-digits"))
    }
    assert recorded.result.left_out == SERVING
    assert recorded.result.urls == {}


def test_a_cloud_that_brings_its_own_gets_no_device_plugin_autoscaler_or_jobset() -> None:
    recorded = program.workloads(device_plugin=False, autoscaler=None, jobset=False)
    assert not recorded.of("DaemonSet")
    assert not recorded.of("CustomResourceDefinition")
    assert not recorded.of("ClusterRole")


# pods


@pytest.mark.parametrize("name", SERVING)
def test_replicas_run_as_nobody_who_can_write_or_become_more(whole: Recorded, name: str) -> None:
    spec = pod(whole, name)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert not security.get("privileged")
    assert all(volume.keys() & {"emptyDir", "secret", "configMap"} for volume in spec["volumes"])


@pytest.mark.parametrize("name", SERVING)
def test_the_server_understands_what_it_is_told(whole: Recorded, name: str) -> None:
    container = server(whole, name)
    assert container["command"] == ["python", "-P", "-m", "serving"]
    given = arguments.parse([one.replace("$(POD_NAME)", f"{name}-5b58bbd694-mg6w6") for one in container["args"]])
    assert given.endpoint_url == f"gs://acme-keep/endpoints/{name}"
    assert given.work_url == "gs://acme-work"
    assert {port["containerPort"] for port in container["ports"]} == {given.port}
    assert given.drain_seconds < pod(whole, name)["spec"]["terminationGracePeriodSeconds"] - 10


def test_gpus_are_limits_on_nodes_of_the_pool_whose_taint_is_put_up_with(whole: Recorded) -> None:
    resources = server(whole, "digits")["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in resources["requests"]
    spec = pod(whole, "digits")["spec"]
    assert spec["nodeSelector"] == {"skylift.dev/pool": "t4"}
    assert {"nvidia.com/gpu", "kubernetes.azure.com/scalesetpriority"} == {one["key"] for one in spec["tolerations"]}


def test_an_endpoint_without_gpus_never_stands_on_a_gpu_node(whole: Recorded) -> None:
    spec = pod(whole, "tabular")["spec"]
    assert not spec.get("tolerations")
    assert "nvidia.com/gpu" not in words(server(whole, "tabular")["resources"])


def test_the_device_plugin_stands_on_nodes_of_gpu_pools_alone(whole: Recorded) -> None:
    spec = whole.one("DaemonSet").inputs["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"skylift.dev/gpu": "true"}


def test_how_many_replicas_there_are_is_nobody_s_but_the_autoscaler_s(whole: Recorded) -> None:
    deployment = whole.one("Deployment", "workloads-tabular-deployment")
    assert "replicas" not in deployment.inputs["spec"]
    assert deployment.ignore_changes == ("spec.replicas",)
    scaling = whole.one("HorizontalPodAutoscaler", "workloads-tabular-autoscaler").inputs["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (2, 6)
    assert scaling["scaleTargetRef"]["name"] == "tabular"


def test_pods_of_a_service_account_carry_what_the_cloud_knows_it_by(whole: Recorded) -> None:
    assert pod(whole, "digits")["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    account = whole.one("ServiceAccount", "workloads-namespace-serving").inputs
    assert account["metadata"]["annotations"] == {"azure.workload.identity/client-id": "0000"}


def test_images_of_others_can_come_from_a_mirror() -> None:
    mirrored = {name: f"mirror.example.com/{name}:1" for name in IMAGES}
    found = {text for one in program.manifests(program.workloads(images=mirrored)) for text in words(one)}
    assert set(mirrored.values()) <= found
    assert not set(IMAGES.values()) & found


# rights


def test_no_rule_holds_a_wildcard(whole: Recorded) -> None:
    roles = [*whole.of("Role"), *whole.of("ClusterRole")]
    assert len(roles) == 6
    for role in roles:
        assert not [word for word in words(role.inputs["rules"]) if "*" in word], role.name


def test_launchers_may_do_exactly_this(whole: Recorded) -> None:
    rules = whole.one("Role", "workloads-namespace-launcher-role").inputs["rules"]
    rights = {f"{verb} {kind}" for rule in rules for kind in rule["resources"] for verb in rule["verbs"]}
    assert rights == {
        *(f"{verb} {kind}" for kind in ("jobs", "jobsets") for verb in ("create", "delete", "get", "list", "watch")),
        *(f"{verb} {kind}" for kind in ("pods", "events") for verb in ("get", "list", "watch")),
        "get pods/log",
    }


def test_the_launcher_alone_is_given_a_token_of_the_api_server(whole: Recorded) -> None:
    mounted = {
        one.inputs["metadata"]["name"]: one.inputs["automountServiceAccountToken"]
        for one in whole.of("ServiceAccount")
        if one.parent == "workloads-namespace"
    }
    assert mounted == {"training": False, "serving": False, "launcher": True}


# the network


def test_nobody_talks_to_anybody_unless_it_says_so(whole: Recorded) -> None:
    closed = policy(whole, "namespace-deny-all")
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("name", ["tabular-policy", "digits-policy", "namespace-training"])
def test_pods_reach_names_https_and_their_identity_outside_and_nothing_else(whole: Recorded, name: str) -> None:
    egress = [one for one in policy(whole, name)["egress"] if one.get("ports")]
    ports = sorted({(port["protocol"], port["port"]) for one in egress for port in one["ports"]})
    assert ports == [("TCP", 53), ("TCP", 80), ("TCP", 443), ("TCP", 988), ("UDP", 53)]
    http = next(one for one in egress if one["ports"] == [{"protocol": "TCP", "port": 80}])
    assert http["to"] == [{"ipBlock": {"cidr": "169.254.169.254/32"}}]


def test_with_tls_plain_http_is_closed_to_others(whole: Recorded) -> None:
    ingress = policy(whole, "digits-policy")["ingress"]
    assert [one["ports"] for one in ingress] == [[{"protocol": "TCP", "port": 8443}]]
    assert ingress[0]["from"] == [{"podSelector": {}}, {"ipBlock": {"cidr": "10.8.0.0/16"}}]
    service = whole.one("Service", "workloads-digits-service").inputs["spec"]
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(443, 8443)]
    assert service["loadBalancerSourceRanges"] == ["10.8.0.0/16"]
    assert whole.outputs["workloads-digits"]["url"].startswith("https://")


def test_an_endpoint_of_the_cluster_gets_no_load_balancer(whole: Recorded) -> None:
    service = whole.one("Service", "workloads-tabular-service").inputs["spec"]
    assert service["type"] == "ClusterIP"
    assert whole.outputs["workloads-tabular"]["url"] == "http://tabular.team-vision.svc"


def test_a_load_balancer_is_told_where_it_stands() -> None:
    inside, outside = {"networking.gke.io/load-balancer-type": "Internal"}, {"example.com/scheme": "internet-facing"}
    endpoints = {"digits": program.GPU, "open": replace(program.GPU, exposure="public")}
    recorded = program.workloads(endpoints=endpoints, public_load_balancer_annotations=outside)
    for name, notes in (("digits", inside), ("open", outside)):
        service = recorded.one("Service", f"workloads-{name}-service").inputs
        assert service["metadata"]["annotations"] == notes
        assert service["spec"]["externalTrafficPolicy"] == "Local"
