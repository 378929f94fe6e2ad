"""What machines, managed endpoints, alarms and budgets of stacks on Google Cloud are, against strict mocks: simulated."""

from typing import Any

import pytest

from tests.clouds.mocks import Resource
from tests.infra.gcp.seen import key_of, machines, production, promised, vertex
from tests.infra.gcp.stacks import IMAGES, PROJECT, up


def template(part: str) -> Resource:
    return next(one for one in machines().of("RegionInstanceTemplate") if part in one.name)


def test_pools_have_spot_first_and_every_machine_ends() -> None:
    found = promised(machines()).pools["gpu"].templates
    assert [one.spot for one in found] == [True, False]
    for part, model in (("-spot-", "SPOT"), ("gpu-n1-standard-4-demand-", "STANDARD")):
        scheduling = template(part).inputs["scheduling"]
        assert scheduling["provisioningModel"] == model
        assert scheduling["maxRunDuration"] == {"seconds": 7200}
        assert scheduling["instanceTerminationAction"] == "DELETE"
        assert scheduling["onHostMaintenance"] == "TERMINATE"
        assert scheduling["automaticRestart"] is False


def test_old_machine_types_declare_their_gpus_and_cannot_boot_securely_with_its_driver() -> None:
    gpu, plain = template("-spot-").inputs, template("pool-default").inputs
    assert gpu["guestAccelerators"] == [{"type": "nvidia-tesla-t4", "count": 1}]
    assert "guestAccelerators" not in plain
    assert (gpu["shieldedInstanceConfig"]["enableSecureBoot"], plain["shieldedInstanceConfig"]["enableSecureBoot"]) == (
        False,
        True,
    )


def test_machines_are_hardened_and_carry_the_boot_script() -> None:
    for one in machines().of("RegionInstanceTemplate"):
        metadata = one.inputs["metadata"]
        assert metadata["enable-oslogin"] == metadata["block-project-ssh-keys"] == "TRUE"
        assert metadata["serial-port-enable"] == "FALSE"
        assert metadata["startup-script"].startswith("#!/bin/bash")
        assert one.inputs["labels"]["skylift-stack"] == "dev"
        assert not one.secrets


def test_a_new_image_of_google_changes_no_machine_by_itself() -> None:
    for one in machines().of("RegionInstanceTemplate"):
        assert "/images/family/" not in one.inputs["disks"][0]["sourceImage"]
        assert one.ignore_changes == ("disks[0].sourceImage",)


def test_a_new_container_renews_the_machines_image_with_it() -> None:
    other = {word: image.replace("a" * 64, "b" * 64) for word, image in IMAGES.items()}
    before = {one.name for one in up("gce", images=IMAGES).of("RegionInstanceTemplate")}
    after = {one.name for one in up("gce", images=other).of("RegionInstanceTemplate")}
    assert before and not before & after


def test_the_size_of_a_group_is_not_ours() -> None:
    group = machines().one("RegionInstanceGroupManager")
    assert "targetSize" not in group.inputs
    assert group.ignore_changes == ("targetSize",)
    assert group.inputs["autoHealingPolicies"]["initialDelaySec"] >= 600
    policy = group.inputs["updatePolicy"]
    assert (policy["maxUnavailableFixed"], policy["maxSurgeFixed"]) == (0, len(group.inputs["distributionPolicyZones"]))
    scaling = machines().one("RegionAutoscaler").inputs["autoscalingPolicy"]
    assert (scaling["minReplicas"], scaling["maxReplicas"], scaling["cpuUtilization"]["target"]) == (1, 2, 0.6)


def test_other_zones_make_another_group_beside_the_old_one() -> None:
    """Google replaces a group whose zones change, and two of one name there cannot be."""
    name = machines().one("RegionInstanceGroupManager").inputs["name"]

    def sold(arguments: dict[str, Any]) -> dict[str, Any]:
        named = [] if arguments["zone"].endswith("c") else [{"name": "n2-standard-4"}]
        return {"id": "x", "zone": arguments["zone"], "project": PROJECT, "machineTypes": named}

    answers = {"gcp:compute/getMachineTypes:getMachineTypes": sold}
    fewer = up("gce", images=IMAGES, answers=answers).one("RegionInstanceGroupManager").inputs
    assert len(fewer["distributionPolicyZones"]) == 2
    assert fewer["name"] != name
    alarm = machines().one("AlertPolicy", "monitoring-unhealthy-default").inputs
    sick = alarm["conditions"][0]["conditionMatchedLog"]["filter"]
    for one in (name, fewer["name"]):
        assert f'instance_group_name:"{one[:-4]}"' in sick


def test_no_machine_boots_before_its_identity_has_its_rights() -> None:
    group = machines().one("RegionInstanceGroupManager")
    assert any(name.startswith("access-serving-") for name in group.depends_on)


def test_a_private_endpoint_answers_inside_of_the_network_and_by_iap_from_outside() -> None:
    rule = machines().one("ForwardingRule").inputs
    assert (rule["loadBalancingScheme"], rule["portRange"]) == ("INTERNAL_MANAGED", "80")
    endpoint = promised(machines()).endpoints["default"]
    assert (endpoint.access, endpoint.url) == ("iap", "http://10.0.0.5")
    assert "/instanceGroupManagers/" in endpoint.resource


def test_a_public_endpoint_speaks_tls_to_listed_ranges() -> None:
    seen = production()
    rule = seen.one("ForwardingRule").inputs
    assert (rule["loadBalancingScheme"], rule["portRange"]) == ("EXTERNAL_MANAGED", "443")
    assert seen.one("RegionSslPolicy").inputs["minTlsVersion"] == "TLS_1_2"
    rules = seen.one("RegionSecurityPolicy").inputs["rules"]
    assert [(one["action"], one["match"]["config"]["srcIpRanges"]) for one in rules] == [
        ("allow", ["203.0.113.0/24"]),
        ("deny(403)", ["*"]),
    ]
    endpoint = promised(seen).endpoints["default"]
    assert (endpoint.access, endpoint.url) == ("direct", "https://digits.example.com")


def test_the_reaper_is_called_by_its_clock_alone() -> None:
    seen = machines()
    function, clock = (
        seen.one("gcp:cloudfunctionsv2/function:Function").inputs,
        seen.one("gcp:cloudscheduler/job:Job").inputs,
    )
    assert function["serviceConfig"]["ingressSettings"] == "ALLOW_INTERNAL_ONLY"
    assert function["serviceConfig"]["environmentVariables"] == {"SKYLIFT_STACK": "dev", "SKYLIFT_PROJECT": PROJECT}
    account = f"skylift-dev-reaper@{PROJECT}.iam.gserviceaccount.com"
    assert clock["httpTarget"]["oidcToken"]["serviceAccountEmail"] == account
    assert seen.one("ServiceIamMember").inputs["member"] == f"serviceAccount:{account}"


# Vertex AI


def test_endpoints_have_an_address_of_their_own_or_one_in_the_network() -> None:
    public, inside = vertex().one("AiEndpoint", "managed-default"), vertex().one("AiEndpoint", "managed-inside")
    assert public.inputs["dedicatedEndpointEnabled"] is True and "privateServiceConnectConfig" not in public.inputs
    assert "dedicatedEndpointEnabled" not in inside.inputs and "network" not in inside.inputs
    assert inside.inputs["privateServiceConnectConfig"]["enablePrivateServiceConnect"] is True
    for one in (public, inside):
        assert one.ignore_changes == ("trafficSplit", "deployedModels")
        assert one.inputs["encryptionSpec"]["kmsKeyName"] == key_of(vertex())


def test_a_deployment_goes_before_its_endpoint_and_comes_after_the_rights() -> None:
    deployment = vertex().one("VertexDeployment", "managed-default-deployment")
    assert "managed-default" in deployment.depends_on
    assert any(name.startswith("access-serving-") for name in deployment.depends_on)
    assert deployment.inputs["service_account"] == f"skylift-dev-serving@{PROJECT}.iam.gserviceaccount.com"
    assert deployment.inputs["args"][:3] == [
        "serve",
        "--endpoint",
        f"{promised(vertex()).buckets.keep}/endpoints/default",
    ]


def test_callers_get_the_right_to_call_on_each_endpoint_alone() -> None:
    members = vertex().of("AiEndpointIamMember")
    assert {one.inputs["endpoint"] for one in members} == {one.inputs["name"] for one in vertex().of("AiEndpoint")}
    role = vertex().one("IAMCustomRole", "identity-skylift_dev_caller_aiplatform")
    assert role.inputs["permissions"] == ["aiplatform.endpoints.get", "aiplatform.endpoints.predict"]


def test_the_url_of_an_endpoint_says_where_to_ask() -> None:
    endpoint = promised(vertex()).endpoints["default"]
    assert endpoint.access == "vertex"
    assert endpoint.url.startswith("https://") and endpoint.url.endswith(endpoint.resource)
    assert ".prediction.vertexai.goog/v1/projects/" in endpoint.url


# secrets, monitoring


def test_secrets_are_made_empty_and_read_by_one_identity() -> None:
    secret = machines().one("Secret")
    assert not machines().of("SecretVersion")
    assert secret.protect
    reader = machines().one("SecretIamMember").inputs
    assert reader["role"] == "roles/secretmanager.secretAccessor"
    assert reader["member"] == f"serviceAccount:skylift-dev-training@{PROJECT}.iam.gserviceaccount.com"
    assert promised(machines()).secrets == {"hub-token": secret.outputs["name"]}


@pytest.mark.parametrize(
    ("seen", "alarms"),
    [
        (machines, {"errors-default", "latency-default", "unhealthy-default", "idle-gpu", "failed-run", "reaper"}),
        (vertex, {"errors-default", "latency-default", "unhealthy-default", "failed-run"}),
    ],
    ids=["gce", "vertex"],
)
def test_alarms_tell_people_what_to_do(seen: Any, alarms: set[str]) -> None:
    policies = {one.name.removeprefix("monitoring-"): one.inputs for one in seen().of("AlertPolicy")}
    assert alarms <= set(policies)
    channel = seen().one("NotificationChannel")
    for policy in policies.values():
        assert policy["notificationChannels"] == [channel.outputs["name"]]
        assert policy["documentation"]["content"]


def test_alarms_of_log_lines_need_no_metric_that_does_not_exist_yet() -> None:
    """Google refuses an alarm of a metric that nothing has been counted by, which would break a first `up`."""
    assert not machines().of("Metric")
    for policy in machines().of("AlertPolicy"):
        (condition,) = policy.inputs["conditions"]
        if "conditionMatchedLog" in condition:
            assert policy.inputs["alertStrategy"]["notificationRateLimit"] == {"period": "1800s"}
        else:
            assert "logging.googleapis.com/user" not in condition["conditionThreshold"]["filter"]


def test_the_budget_mails_on_the_way_and_before() -> None:
    budget = machines().one("Budget").inputs
    assert budget["amount"]["specifiedAmount"] == {"units": "100", "nanos": 500000000}
    assert [(one["thresholdPercent"], one["spendBasis"]) for one in budget["thresholdRules"]] == [
        (0.5, "CURRENT_SPEND"),
        (0.8, "CURRENT_SPEND"),
        (1.0, "CURRENT_SPEND"),
        (1.0, "FORECASTED_SPEND"),
    ]
    assert budget["budgetFilter"]["labels"] == {"skylift-stack": "dev"}


def test_logs_are_kept_as_long_as_the_stack_says() -> None:
    assert up("gce", retention={"logs_days": 90}).one("ProjectBucketConfig").inputs["retentionDays"] == 90


def test_stacks_whose_things_are_called_oddly_get_names_that_google_takes() -> None:
    long = "fraud_model.v2-" + "x" * 40
    seen = up(
        "gce",
        stack="Team_A-europe-west",
        images=IMAGES,
        pools={long: {}},
        endpoints={long: {"api_keys": True}},
        secrets=["a.b_c"],
    )
    assert seen.of("RegionInstanceGroupManager")
