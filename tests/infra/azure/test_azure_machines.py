"""Machines on Azure: bodies of scale sets, serving groups, the reaper."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
import sys
from typing import Any

import pytest

from infra import boot
from infra.azure import reaper, sshkey
from infra.azure.firewall import addresses
from infra.azure.network import layout
from tests.clouds import schema
from tests.clouds.mocks import Recorded
from tests.infra.azure.azure_stacks import FULL, IMAGES, REGISTRY, declared

POOLS = {"gpu": {"accelerator": "T4", "spot": True, "disk_gib": 200, "max_hours": 5.0, "zones": ["1", "2"]}}
TLS = {
    "exposure": "public",
    "hostname": "digits.example.com",
    "certificate": "https://ours.vault.azure.net/secrets/digits",
}


def running(**more: Any) -> Recorded:
    return declared("azure-vm", images=IMAGES, registry=REGISTRY, pools=POOLS, **more)


def templates() -> list[Any]:
    return running().result.pools["gpu"].templates


def test_a_body_is_what_the_clouds_types_say() -> None:
    for template in copy.deepcopy(templates()):
        flat = {**template.body, **template.body["properties"], "resourceGroupName": "runs"}
        del flat["properties"]
        profile = flat["virtualMachineProfile"]
        (interface,) = profile["networkProfile"]["networkInterfaceConfigurations"]
        # The SDK has no `properties` where ARM nests them.
        (address,) = interface["properties"]["ipConfigurations"]
        flat_address = {"name": address["name"], **address["properties"]}
        profile["networkProfile"]["networkInterfaceConfigurations"] = [
            {"name": interface["name"], **interface["properties"], "ipConfigurations": [flat_address]}
        ]
        (extension,) = profile["extensionProfile"]["extensions"]
        profile["extensionProfile"] = {"extensions": [{"name": extension["name"], **extension["properties"]}]}
        flat["identity"]["userAssignedIdentities"] = list(flat["identity"]["userAssignedIdentities"])
        assert schema.problems("azure-native:compute:VirtualMachineScaleSet", flat) == []


def test_spot_first_then_regular_and_neither_has_a_public_address_or_machines_at_rest() -> None:
    found = templates()
    assert [one.spot for one in found] == [True, False]
    profiles = [one.body["properties"]["virtualMachineProfile"] for one in found]
    assert [profile["priority"] for profile in profiles] == ["Spot", "Regular"]
    assert profiles[0]["evictionPolicy"] == "Delete" and "evictionPolicy" not in profiles[1]
    for one, profile in zip(found, profiles, strict=True):
        assert one.body["sku"] == {"name": "Standard_NC4as_T4_v3", "tier": "Standard", "capacity": 0}
        assert one.body["zones"] == ["1", "2"]
        assert "publicIP" not in json.dumps(profile)
        assert profile["securityProfile"] == {"encryptionAtHost": True}
        assert profile["storageProfile"]["osDisk"]["diskSizeGB"] == 200
        assert profile["storageProfile"]["imageReference"]["version"] not in ("latest", "")


def test_the_machine_is_the_host_and_may_be_training() -> None:
    body = templates()[0].body
    assert {one.rpartition("-")[2] for one in body["identity"]["userAssignedIdentities"]} == {"host", "training"}
    script = base64.b64decode(body["properties"]["virtualMachineProfile"]["osProfile"]["customData"]).decode()
    assert len(script) < boot.LIMIT and script.startswith("#!/bin/bash")
    promised = running().result.place
    assert f"CLIENT={promised['host_client_id']}" in script
    assert f"SKYLIFT_TRAINING_CLIENT_ID={promised['training_client_id']}" in script
    assert "LIFE=18000" in script and f"IMAGE={IMAGES['training']}" in script


def test_without_images_nothing_runs_and_the_stack_says_so(caplog: pytest.LogCaptureFixture) -> None:
    seen = declared("azure-vm", answers={})
    assert not seen.of("VirtualMachineScaleSet") and seen.result.pools["default"].templates == []
    assert seen.result.endpoints["default"].url == ""
    assert "skylift:images.serving" in caplog.text and "skylift:images.training" in caplog.text


def test_a_bodys_values_are_unknown_until_identities_are() -> None:
    """And the plan for them is made all the same."""
    assert declared("azure-vm", images=IMAGES, registry=REGISTRY, pools=POOLS, preview=True).result is None


def test_a_serving_set_rolls_repairs_and_leaves_its_size_alone() -> None:
    seen = running()
    machines = seen.one("VirtualMachineScaleSet")
    assert machines.ignore_changes == ("sku.capacity",)
    policy = machines.inputs["upgradePolicy"]
    assert policy["mode"] == "Rolling" and policy["rollingUpgradePolicy"]["maxSurge"] is True
    assert machines.inputs["automaticRepairsPolicy"]["enabled"] is True
    profile = machines.inputs["virtualMachineProfile"]
    assert profile["networkProfile"]["healthProbe"]["id"].endswith("/probes/ready")
    assert "publicIPAddressConfiguration" not in json.dumps(profile)
    assert profile["osProfile"]["linuxConfiguration"]["disablePasswordAuthentication"] is True
    assert any(one.startswith("access-serving-on-containers") for one in machines.depends_on), "rights come first"


def test_the_balancer_is_of_the_network_and_asks_for_readiness() -> None:
    seen = running()
    balancer = seen.one("LoadBalancer").inputs
    (front,) = balancer["frontendIPConfigurations"]
    assert "publicIPAddress" not in front and front["subnet"]["id"].endswith("/subnets/machines")
    assert [(one["protocol"], one["port"], one["requestPath"]) for one in balancer["probes"]] == [
        ("Http", 8080, "/readyz")
    ]
    promised = seen.result.endpoints["default"]
    assert (promised.url, promised.access) == ("http://10.64.0.20:8080", "network")
    assert seen.result.place["reach_default"] == "network"


def test_public_means_tls_on_one_port() -> None:
    seen = running(endpoints={"default": {**TLS, "allowed_ranges": ["203.0.113.0/24"]}})
    (rule,) = seen.one("LoadBalancer").inputs["loadBalancingRules"]
    assert (rule["frontendPort"], rule["backendPort"]) == (443, 8443)
    rules = seen.one("NetworkSecurityGroup", "network-machines-rules").inputs["securityRules"]
    allowed = [one for one in rules if (one["direction"], one["access"]) == ("Inbound", "Allow")]
    assert [(one["sourceAddressPrefix"], one["destinationPortRange"]) for one in allowed] == [
        ("203.0.113.0/24", "8443")
    ]
    promised = seen.result.endpoints["default"]
    assert (promised.url, promised.access) == ("https://digits.example.com", "direct")
    assert seen.result.place["address_default"] == "203.0.113.20"
    script = base64.b64decode(
        seen.one("VirtualMachineScaleSet").inputs["virtualMachineProfile"]["osProfile"]["customData"]
    ).decode()
    assert "TLS=ours/digits" in script


def test_with_a_bastion_laptops_have_a_way() -> None:
    seen = declared("azure-vm", stage="prod", **FULL)
    assert seen.result.endpoints["default"].access == "bastion"
    assert seen.result.place["bastion"] == "skylift-lab-bastion"
    assert [one for one in seen.of("RoleDefinition") if one.name.startswith("people-caller")]


def test_autoscaling_keeps_to_the_settings() -> None:
    seen = running(endpoints={"default": {"min_replicas": 2, "max_replicas": 7, "scale_at_cpu": 70}})
    (profile,) = seen.one("AutoscaleSetting").inputs["profiles"]
    assert profile["capacity"] == {"minimum": "2", "maximum": "7", "default": "2"}
    assert [one["metricTrigger"]["threshold"] for one in profile["rules"]] == [70, 35]


def test_nobody_has_the_private_half_of_the_key() -> None:
    line = sshkey.keyless("skylift-lab")
    kind, blob, _ = line.split()
    raw = base64.b64decode(blob)
    assert kind == "ssh-ed25519" and len(raw) == 4 + 11 + 4 + 32
    assert sshkey.is_point(int.from_bytes(raw[-32:], "little") % 2**255)
    assert sshkey.keyless("skylift-lab") == line != sshkey.keyless("skylift-prod")
    generator = 4 * pow(5, 2**255 - 21, 2**255 - 19) % (2**255 - 19)
    assert sshkey.is_point(generator) and not sshkey.is_point(2), "the known points of the curve and no others"


@pytest.mark.parametrize("cidr", ["10.64.0.0/16", "10.0.0.0/17", "192.168.0.0/20"])
def test_ranges_of_subnets_do_not_meet(cidr: str) -> None:
    import ipaddress

    found = [ipaddress.ip_network(one) for one in vars(layout(cidr)).values()]
    assert all(one.subnet_of(ipaddress.ip_network(cidr)) for one in found)
    assert not any(a.overlaps(b) for at, a in enumerate(found) for b in found[at + 1 :])


def test_firewalls_take_single_addresses_bare() -> None:
    assert addresses(["203.0.113.7/32", "198.51.100.0/31", "192.0.2.0/24", "2001:db8::/64"]) == [
        "203.0.113.7",
        "198.51.100.0",
        "198.51.100.1",
        "192.0.2.0/24",
    ]


def test_the_reaper_has_its_source_along_and_runs_it() -> None:
    job = declared("azure-vm").one("azure-native:app:Job").inputs
    (container,) = job["template"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"]}
    assert told["SKYLIFT_RESOURCE_GROUP"] == "skylift-lab-runs" and told["SKYLIFT_STACK"] == "lab"
    # Its own start, up to the first word to a cloud: there is no identity here.
    python = [sys.executable, *container["command"][1:]]
    ended = subprocess.run(python, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert "KeyError: 'IDENTITY_ENDPOINT'" in ended.stderr
    assert len(told["SKYLIFT_REAPER"]) < 32_000
    assert reaper.archive({"reaper/a.py": "1"}) == reaper.archive({"reaper/a.py": "1"})


def test_what_serving_machines_print_goes_to_the_stacks_logs() -> None:
    """The agent signs in as the machine; without a rule that is bound to its scale set it would send nothing."""
    seen = running()
    profile = seen.one("VirtualMachineScaleSet").inputs["virtualMachineProfile"]
    (extension,) = profile["extensionProfile"]["extensions"]
    assert (extension["publisher"], extension["type"]) == ("Microsoft.Azure.Monitor", "AzureMonitorLinuxAgent")
    chosen = extension["settings"]["authentication"]["managedIdentity"]
    assert (chosen["identifier-name"], extension["suppressFailures"]) == ("mi_res_id", True)
    assert chosen["identifier-value"] in seen.one("VirtualMachineScaleSet").inputs["identity"]["userAssignedIdentities"]
    bound = seen.one("DataCollectionRuleAssociation").inputs
    name = seen.one("VirtualMachineScaleSet").inputs["vmScaleSetName"]
    assert bound["resourceUri"].endswith(f"/virtualMachineScaleSets/{name}")
    rule = seen.one("DataCollectionRule")
    assert bound["dataCollectionRuleId"].endswith(f"/{rule.inputs['dataCollectionRuleName']}")
    (target,) = rule.inputs["destinations"]["logAnalytics"]
    workspace = seen.one("azure-native:operationalinsights:Workspace").inputs["workspaceName"]
    assert target["workspaceResourceId"].endswith(f"/{workspace}")
    (source,) = rule.inputs["dataSources"]["syslog"]
    assert "daemon" in source["facilityNames"] and "Info" in source["logLevels"]


def test_what_machines_of_run_groups_print_goes_there_too() -> None:
    """By the host's identity; the machines bind their set to the rule, for it is not there at `up`."""
    seen = running()
    for template in templates():
        profile = template.body["properties"]["virtualMachineProfile"]
        (extension,) = profile["extensionProfile"]["extensions"]
        about = extension["properties"]
        assert (about["type"], about["suppressFailures"]) == ("AzureMonitorLinuxAgent", True)
        signed = about["settings"]["authentication"]["managedIdentity"]["identifier-value"]
        assert signed.endswith("-host") and signed in template.body["identity"]["userAssignedIdentities"]
        script = base64.b64decode(profile["osProfile"]["customData"]).decode()
        (given,) = [line for line in script.splitlines() if line.startswith("RULE=")]
        rule = seen.one("DataCollectionRule").inputs["dataCollectionRuleName"]
        assert given.endswith(f"/dataCollectionRules/{rule}")


def test_a_rule_is_there_for_endpoints_or_pools_and_for_neither_none_is_made() -> None:
    without = {"images": IMAGES, "registry": REGISTRY, "endpoints": {}}
    assert declared("azure-vm", **without).of("DataCollectionRule")
    assert not declared("azure-vm", registry=REGISTRY, endpoints={}).of("DataCollectionRule")
