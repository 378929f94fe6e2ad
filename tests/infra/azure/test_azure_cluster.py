"""What stacks on AKS declare, under strict mocks."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml

from infra.azure import limits
from infra.azure.cluster_client import SERVER, kubeconfig
from infra.azure.cluster_network import PODS, free
from infra.azure.cluster_nodes import pool_name
from infra.azure.rules import security_rules
from infra.kubernetes import nodes as planned
from tests.clouds.mocks import Recorded, Resource
from tests.clouds.values import Unknown
from tests.infra.azure.azure_stacks import GROUP, IMAGES, NETWORK, PERSON, context, declared, theirs

POOLS = {"default": {}, "gpu": {"accelerator": "T4", "spot": True, "max_machines": 4}}
SPOT = "kubernetes.azure.com/scalesetpriority"
FULL: dict[str, Any] = {
    "images": IMAGES,
    "pools": POOLS,
    "network": {"allowed_ranges": ["203.0.113.0/24", "2001:db8::/32"]},
    "access": {"train": [f"group:{PERSON}"], "predict": [f"sp:{PERSON}"]},
}
CLUSTER = f"{GROUP}/Microsoft.ContainerService/managedClusters/theirs"
ADDRESSES = {"addressPrefixes": ["10.0.0.0/9"]}


@pytest.fixture(scope="module")
def aks() -> Recorded:
    return declared("aks", **FULL)


@pytest.fixture(scope="module")
def bare() -> Recorded:
    """Neither ranges nor an image."""
    return declared("aks", pools=POOLS)


@pytest.fixture(scope="module")
def referenced() -> Recorded:
    answers = {
        **theirs(addressSpace=ADDRESSES),
        "azure-native:containerservice:getManagedCluster": {
            "id": CLUSTER,
            "name": "theirs",
            "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://theirs.oic"},
        },
    }
    network = {"id": NETWORK, "subnets": [f"{NETWORK}/subnets/machines"]}
    return declared("aks", answers=answers, pools=POOLS, network=network, cluster={"name": CLUSTER})


def nodes(seen: Recorded) -> dict[str, Resource]:
    return {one.name.removeprefix("cluster-").removesuffix("-nodes"): one for one in seen.of("AgentPool")}


def cluster(seen: Recorded) -> dict[str, Any]:
    return seen.one("ManagedCluster").inputs


def test_objects_of_the_cluster_go_by_its_own_provider_and_carry_the_stack(aks: Recorded) -> None:
    provider = aks.one("pulumi:providers:kubernetes")
    objects = [one for one in aks.resources if one.type.startswith("kubernetes:")]
    assert len(objects) > 20
    for one in objects:
        assert one.provider.startswith(provider.urn) and one.parent and one.name.startswith(f"{one.parent}-"), one.name
        assert one.inputs["metadata"]["labels"]["skylift-stack"] == "lab", one.name
    for one in [*aks.of("ManagedCluster"), *aks.of("AgentPool"), *aks.of("DataCollectionRule")]:
        assert one.inputs["tags"]["skylift-stack"] == "lab", one.name
    assert {one.name for one in aks.resources if one.type.startswith("skylift:")} == set(aks.outputs)


def test_a_preview_declares_the_same_though_no_cluster_is_there(aks: Recorded) -> None:
    before = declared("aks", preview=True, **FULL)
    assert {(one.type, one.name) for one in before.resources} == {(one.type, one.name) for one in aks.resources}
    assert isinstance(before.one("pulumi:providers:kubernetes").inputs["kubeconfig"], Unknown)
    asked = [token for token, _ in before.invokes]
    assert "azure-native:containerservice:listManagedClusterUserCredentials" not in asked, "it would not be found"
    assert cluster(before)["resourceName"] == "skylift-lab"


def test_the_kubeconfig_is_a_secret_without_anything_to_call_with(aks: Recorded) -> None:
    provider = aks.one("pulumi:providers:kubernetes")
    assert "kubeconfig" in provider.secrets
    (user,) = json.loads(provider.inputs["kubeconfig"])["users"]
    assert set(user["user"]) == {"exec"} and SERVER in user["user"]["exec"]["args"]


def test_keys_in_what_azure_gives_go_no_further() -> None:
    """Of a referenced cluster that has its local accounts still."""
    given = {
        "clusters": [{"name": "c", "cluster": {"server": "https://c:443", "certificate-authority-data": "Y2E="}}],
        "users": [{"name": "u", "user": {"token": "hidden", "client-key-data": "hidden"}}],
    }
    made = kubeconfig(base64.b64encode(yaml.safe_dump(given).encode()).decode())
    assert "hidden" not in made
    assert json.loads(made)["clusters"][0]["cluster"] == given["clusters"][0]["cluster"]


def test_the_api_server_is_private_and_open_to_listed_ranges_alone(aks: Recorded, bare: Recorded) -> None:
    nat = aks.one("PublicIPAddress").outputs["ipAddress"]
    listed, private = cluster(aks)["apiServerAccessProfile"], cluster(bare)["apiServerAccessProfile"]
    assert listed["authorizedIPRanges"] == ["203.0.113.0/24", f"{nat}/32"], "the nodes come by their NAT gateway"
    assert "enablePrivateCluster" not in listed
    assert private["enablePrivateCluster"] is True and private["enablePrivateClusterPublicFQDN"] is False
    assert listed["disableRunCommand"] is private["disableRunCommand"] is True


def test_only_entra_lets_anybody_in_and_the_first_up_is_administrator(aks: Recorded) -> None:
    told = cluster(aks)
    assert told["disableLocalAccounts"] is True and told["aadProfile"]["enableAzureRBAC"] is True
    right = aks.one("RoleAssignment", "cluster-control-administrator")
    assert right.ignore_changes == ("principalId",), "others do not take it over"
    assert right.inputs["scope"].endswith("/resourceGroups/skylift-lab")
    assert right.name in aks.one("ManagedCluster").depends_on, "a right takes minutes to be known"


def test_persons_are_named_by_object_id_inside_of_the_cluster(aks: Recorded) -> None:
    def subjects(role: str) -> list[tuple[str, str]]:
        binding = aks.one("RoleBinding", f"cluster-workloads-namespace-{role}-binding")
        return [(one["kind"], one["name"]) for one in binding.inputs["subjects"]]

    assert ("Group", PERSON) in subjects("launcher") and subjects("caller") == [("User", PERSON)]


def test_gpu_nodes_begin_at_none_and_take_nothing_else(aks: Recorded) -> None:
    spot, demand = nodes(aks)["pool-gpu-0"].inputs, nodes(aks)["pool-gpu-1"].inputs
    for one in (spot, demand):
        assert (one["minCount"], one["maxCount"], one["count"]) == (0, 4, 0) and one["enableAutoScaling"] is True
        assert "nvidia.com/gpu=present:NoSchedule" in one["nodeTaints"]
        assert one["nodeLabels"].items() >= {"skylift.dev/pool": "gpu", "skylift.dev/gpu": "true"}.items()
        assert one["gpuProfile"] == {"driver": "Install"} and one["enableNodePublicIP"] is False
    assert (spot["scaleSetPriority"], spot["scaleSetEvictionPolicy"]) == ("Spot", "Delete")
    assert f"{SPOT}=spot:NoSchedule" in spot["nodeTaints"] and demand["scaleSetPriority"] == "Regular"
    assert "gpuProfile" not in nodes(aks)["pool-default-0"].inputs
    assert aks.of("DaemonSet"), "AKS installs no device plugin"


def test_runs_put_up_with_spot_nodes_on_spot_alone(aks: Recorded) -> None:
    spot, demand = (one.body for one in aks.result.pools["gpu"].templates)
    assert [SPOT in {taint["key"] for taint in one["tolerations"]} for one in (spot, demand)] == [True, False]
    assert spot["labels"] == demand["labels"] == {"azure.workload.identity/use": "true"}


def test_pools_have_short_names_that_change_with_what_cannot_change_in_place(aks: Recorded) -> None:
    names = [one.inputs["agentPoolName"] for one in aks.of("AgentPool")]
    assert len(set(names)) == len(names) and all(len(one) <= 12 and one.isalnum() and one.islower() for one in names)

    def name(**more: Any) -> str:
        pool = {"accelerator": "T4", "max_machines": 4, "disk_gib": 150, **more}
        return pool_name(next(planned.dedicated(context("aks", pools={"gpu-1": pool}))))

    assert name() == name(max_machines=9) != name(disk_gib=300) != name(spot=True) and name().startswith("pgpu1")


def test_how_many_nodes_there_are_is_the_autoscalers_to_say(aks: Recorded) -> None:
    assert all("count" in one.ignore_changes for one in aks.of("AgentPool"))
    assert "agentPoolProfiles" in aks.one("ManagedCluster").ignore_changes


def test_the_system_pool_is_always_there_and_the_only_one_inside_of_the_cluster(aks: Recorded) -> None:
    (system,) = cluster(aks)["agentPoolProfiles"]
    assert system["mode"] == "System" and system["minCount"] == 1 and "nodeTaints" not in system


def test_nodes_of_an_endpoint_come_with_its_image(aks: Recorded, bare: Recorded) -> None:
    assert nodes(aks)["serve-default"].inputs["maxCount"] == 3
    assert "serve-default" not in nodes(bare) and not bare.of("HorizontalPodAutoscaler")
    service = aks.one("kubernetes:core/v1:Service", "cluster-workloads-default-service").inputs
    assert service["metadata"]["annotations"] == {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}


def test_pods_are_trusted_by_their_own_identity_one_after_the_other(aks: Recorded) -> None:
    trust = {one.name.rpartition("-")[2]: one for one in aks.of("FederatedIdentityCredential")}
    issuer = aks.one("ManagedCluster").outputs["oidcIssuerProfile"]["issuerURL"]
    for role in ("training", "serving"):
        told = trust[role].inputs
        assert told["subject"] == f"system:serviceaccount:skylift:{role}" and told["issuer"] == issuer
        account = aks.one("ServiceAccount", f"cluster-workloads-namespace-{role}").inputs["metadata"]
        client = aks.one("UserAssignedIdentity", f"identities-{role}").outputs["clientId"]
        assert account["annotations"] == {"azure.workload.identity/client-id": client}
    assert trust["training"].name in trust["serving"].depends_on
    pod = aks.one("Deployment", "cluster-workloads-default-deployment").inputs["spec"]["template"]
    assert pod["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    kubelet = cluster(aks)["identityProfile"]["kubeletidentity"]
    assert kubelet["clientId"] == aks.one("UserAssignedIdentity", "identities-nodes").outputs["clientId"]


def test_output_of_the_stacks_pods_is_kept_by_the_agents_own_identity(aks: Recorded) -> None:
    assert cluster(aks)["addonProfiles"]["omsagent"]["config"]["useAADAuth"] == "true", "the log store takes no keys"
    (source,) = aks.one("DataCollectionRule").inputs["dataSources"]["extensions"]
    assert source["extensionSettings"]["dataCollectionSettings"]["namespaces"] == ["skylift"]
    assert aks.one("DataCollectionRuleAssociation").inputs["associationName"] == "ContainerInsightsExtension"


def test_a_public_endpoint_is_let_in_by_tls_from_its_ranges_alone() -> None:
    public = {"exposure": "public", "certificate": "tls-digits", "hostname": "d.example.com"}
    endpoints = {"default": {**public, "allowed_ranges": ["203.0.113.0/24"]}}
    rules = security_rules(context("aks", images=IMAGES, endpoints=endpoints), "machines")
    let_in = [one for one in rules if one.direction == "Inbound" and one.access == "Allow"]
    assert [(one.source_address_prefix, one.destination_port_range) for one in let_in] == [("203.0.113.0/24", "443")]


def test_a_referenced_cluster_gets_nodes_and_workloads_and_no_control_plane(referenced: Recorded) -> None:
    assert not referenced.of("ManagedCluster") and not referenced.of("DataCollectionRule")
    assert {one.name for one in referenced.of("UserAssignedIdentity")} == {"identities-training", "identities-serving"}
    for one in nodes(referenced).values():
        assert (one.inputs["resourceName"], one.inputs["resourceGroupName"]) == ("theirs", "theirs")
        assert one.inputs["vnetSubnetID"] == f"{NETWORK}/subnets/machines"
    assert (
        referenced.one("FederatedIdentityCredential", "cluster-trust-training").inputs["issuer"] == "https://theirs.oic"
    )
    assert referenced.result.place["cluster"] == "theirs"


def test_a_referenced_cluster_brings_its_network() -> None:
    (mistake,) = limits.mistakes(context("aks", cluster={"name": CLUSTER}))
    assert "skylift:cluster.name" in mistake and "skylift:network.id" in mistake


def test_what_only_the_cluster_knows_stays_clear_of_the_network(aks: Recorded) -> None:
    network = cluster(aks)["networkProfile"]
    assert (network["podCidr"], network["networkPolicy"], network["outboundType"]) == (
        PODS[0],
        "cilium",
        "userAssignedNATGateway",
    )
    assert free(PODS, ["10.0.0.0/8"]) == "172.24.0.0/16"
