"""What stacks on EC2 and SageMaker declare, under strict mocks that check every input against the SDK."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from infra.aws.names import Names
from skylift.stack import outputs as contract
from tests.clouds.mocks import Answer, Recorded
from tests.infra.aws.stacks import IMAGES, ROLE, context, declared, listed, role, statements

GPU = {"gpu": {"accelerator": "L4", "spot": True, "max_machines": 4}}
FULL: dict[str, Any] = {
    "images": IMAGES,
    "pools": GPU,
    "endpoints": {"default": {"accelerator": "T4", "api_keys": True}},
    "secrets": ["token"],
    "alerts": {"emails": ["a@example.com"]},
    "budget": {"monthly": 100.0},
    "tags": {"cost-centre": "ml"},
}
MANAGED = {**FULL, "endpoints": {"default": {"accelerator": "T4"}}}
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
REFERENCED: dict[str, Answer] = {
    "aws:ec2/getVpc:getVpc": {"id": "vpc-1", "cidrBlock": "10.1.0.0/16"},
    "aws:ec2/getSubnet:getSubnet": lambda arguments: {
        "id": arguments["id"],
        "vpcId": "vpc-1",
        "availabilityZone": f"us-east-1{arguments['id'][-1]}",
        "mapPublicIpOnLaunch": False,
    },
    "aws:s3/getBucket:getBucket": lambda arguments: {**arguments, "id": "b", "bucketRegion": "us-east-1"},
    "aws:iam/getRole:getRole": role,
    "aws:kms/getKey:getKey": {
        "id": "1",
        "enabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
        "keySpec": "SYMMETRIC_DEFAULT",
    },
    "aws:ecr/getRepository:getRepository": lambda arguments: {**arguments, "id": "r"},
}
OWN: dict[str, Any] = {
    "network": {"id": "vpc-1", "subnets": ["subnet-a", "subnet-b"]},
    "buckets": {"keep": "s3://our-models/team", "work": "s3://our-work"},
    "registry": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ours",
    "encryption_key": KEY,
    "identities": {
        "training": f"{ROLE}trainer",
        "serving": f"{ROLE}server",
        "reaper": f"{ROLE}reaper",
        "host": f"{ROLE.replace(':role/', ':instance-profile/')}host",
    },
    "images": {kind: image.replace("/skylift-dev/", "/ours/") for kind, image in IMAGES.items()},
}


@pytest.fixture(scope="module")
def ec2() -> Recorded:
    return declared("ec2", **FULL)


@pytest.fixture(scope="module")
def sagemaker() -> Recorded:
    return declared("sagemaker", **MANAGED)


@pytest.mark.parametrize("target", ["ec2", "sagemaker"])
@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_everything_has_a_parent_of_its_name_and_the_one_provider(target: str, stage: str) -> None:
    seen = declared(target, stage=stage, **(FULL if target == "ec2" else MANAGED))
    provider = seen.one("pulumi:providers:aws")
    assert json.loads(provider.inputs["allowedAccountIds"]) == ["123456789012"]
    for one in seen.resources:
        if one is provider:
            continue
        if one.is_custom:
            assert one.parent and one.name.startswith(f"{one.parent}-"), one.name
            assert one.provider.startswith(provider.urn), one.name
        else:
            assert one.type.startswith("skylift:aws:")
    assert len({(one.type, one.name) for one in seen.resources}) == len(seen.resources)


@pytest.mark.parametrize("target", ["ec2", "sagemaker"])
def test_every_component_registers_outputs(target: str) -> None:
    seen = declared(target, **(FULL if target == "ec2" else MANAGED))
    assert {one.name for one in seen.resources if one.type.startswith("skylift:")} == set(seen.outputs)


@pytest.mark.parametrize("target", ["ec2", "sagemaker"])
def test_an_unknown_account_previews_and_knows_its_policies(target: str) -> None:
    """Before a first `up` no ARN is known, yet every policy can be read in the preview."""
    given = {**(FULL if target == "ec2" else MANAGED), "stage": "prod"}
    before, after = declared(target, preview=True, **given), declared(target, **given)
    assert [(one.type, one.name) for one in sorted(before.resources, key=lambda one: one.urn)] == [
        (one.type, one.name) for one in sorted(after.resources, key=lambda one: one.urn)
    ]
    for kind, key in (
        ("RolePolicy", "policy"),
        ("BucketPolicy", "policy"),
        ("aws:iam/role:Role", "assumeRolePolicy"),
        ("aws:kms/key:Key", "policy"),
    ):
        assert before.of(kind)
        assert all(isinstance(one.inputs[key], str) for one in before.of(kind)), kind


def test_tags_are_on_everything_by_the_provider_and_where_aws_does_not_hand_them_on(ec2: Recorded) -> None:
    wanted = {"skylift-stack": "dev", "managed-by": "skylift", "owner": "nobody", "cost-centre": "ml"}
    tags = json.loads(ec2.one("pulumi:providers:aws").inputs["defaultTags"])["tags"]
    assert wanted.items() <= tags.items()
    for template in ec2.of("LaunchTemplate"):
        specified = {one["resourceType"]: one["tags"] for one in template.inputs["tagSpecifications"]}
        assert set(specified) == {"instance", "volume"}
        assert all(wanted.items() <= one.items() for one in specified.values())
    group = ec2.one("aws:autoscaling/group:Group")
    assert wanted.items() <= {one["key"]: one["value"] for one in group.inputs["tags"]}.items()
    assert all(one["propagateAtLaunch"] for one in group.inputs["tags"])


def test_data_outlives_the_stack_unless_it_is_disposable(ec2: Recorded) -> None:
    for bucket in ec2.of("aws:s3/bucket:Bucket"):
        assert bucket.protect and bucket.retain_on_delete and not bucket.inputs.get("forceDestroy")
    assert all(one.protect for one in ec2.of("Secret"))
    for bucket in declared("ec2", disposable=True).of("aws:s3/bucket:Bucket"):
        assert not bucket.protect and not bucket.retain_on_delete and bucket.inputs["forceDestroy"]


def test_buckets_are_private_encrypted_and_expire(ec2: Recorded) -> None:
    for kind in ("keep", "work"):
        block = ec2.one("BucketPublicAccessBlock", f"storage-{kind}-private").inputs
        flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert all(block[flag] for flag in flags)
        rule = ec2.one("BucketServerSideEncryptionConfiguration", f"storage-{kind}-encryption").inputs["rules"][0]
        assert rule["bucketKeyEnabled"] and rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
        owner = ec2.one("BucketOwnershipControls", f"storage-{kind}-owner").inputs["rule"]
        assert owner == {"objectOwnership": "BucketOwnerEnforced"}
        rules = ec2.one("BucketLifecycleConfiguration", f"storage-{kind}-expiry").inputs["rules"]
        assert any(one.get("abortIncompleteMultipartUpload") == {"daysAfterInitiation": 7} for one in rules)
    assert [one.name for one in ec2.of("BucketVersioning")] == ["storage-keep-versions"]
    work = ec2.one("BucketLifecycleConfiguration", "storage-work-expiry").inputs["rules"]
    prefixes = {one["filter"]["prefix"] for one in work if one.get("expiration")}
    assert prefixes == {"live/", "events/", "logs/", "checkpoints/", "replicas/", "samples/"}
    keep = ec2.one("BucketLifecycleConfiguration", "storage-keep-expiry").inputs["rules"]
    assert keep[0]["noncurrentVersionExpiration"] == {"noncurrentDays": 30} and "days" not in keep[0]["expiration"]


def test_only_writes_of_models_and_releases_are_recorded(ec2: Recorded) -> None:
    (selector,) = ec2.one("Trail").inputs["advancedEventSelectors"]
    fields = {one["field"]: one for one in selector["fieldSelectors"]}
    keep = Names(context("ec2")).keep.arn
    assert fields["readOnly"]["equals"] == ["false"]
    assert fields["resources.ARN"]["startsWiths"] == [f"{keep}/models/", f"{keep}/endpoints/"]
    assert "audit-bucket-policy" in ec2.one("Trail").depends_on


def test_nothing_lets_the_internet_in(ec2: Recorded) -> None:
    for rule in ec2.of("SecurityGroupIngressRule"):
        assert rule.inputs.get("cidrIpv4") != "0.0.0.0/0" and "cidrIpv6" not in rule.inputs
    assert ec2.one("LoadBalancer").inputs["internal"] is True
    assert not any(one.inputs.get("mapPublicIpOnLaunch") for one in ec2.of("Subnet"))
    for group in ec2.of("aws:ec2/securityGroup:SecurityGroup"):
        assert "ingress" not in group.inputs and "egress" not in group.inputs, "each rule is a resource of its own"
    assert ec2.one("DefaultSecurityGroup").inputs["ingress"] == []


def test_dev_pays_for_one_nat_gateway_and_prod_for_private_endpoints() -> None:
    dev, prod = declared("ec2"), declared("ec2", stage="prod")
    assert len(dev.of("NatGateway")) == 1 and not prod.of("NatGateway") and not prod.of("InternetGateway")
    kinds = {one.inputs["serviceName"]: one.inputs["vpcEndpointType"] for one in prod.of("VpcEndpoint")}
    assert kinds["com.amazonaws.us-east-1.s3"] == "Gateway" and kinds["com.amazonaws.us-east-1.ecr.dkr"] == "Interface"
    assert [one.inputs["vpcEndpointType"] for one in dev.of("VpcEndpoint")] == ["Gateway"]
    assert prod.of("FlowLog") and not dev.of("FlowLog")
    assert not any(one.inputs.get("cidrIpv4") == "0.0.0.0/0" for one in prod.of("SecurityGroupEgressRule"))
    assert prod.one("aws:kms/key:Key").inputs["enableKeyRotation"] and not dev.of("aws:kms/key:Key")


def test_a_pool_is_templates_in_the_order_to_try_and_no_machine(ec2: Recorded) -> None:
    made: contract.Outputs = ec2.result
    pool = made.pools["gpu"]
    assert [(one.machine, one.spot) for one in pool.templates] == [("g6.xlarge", True), ("g6.xlarge", False)]
    assert all(one.id.startswith("lt-") for one in pool.templates)
    spot = ec2.one("LaunchTemplate", "machines-gpu-g6-xlarge-spot").inputs
    assert spot["instanceMarketOptions"]["marketType"] == "spot"
    assert not ec2.of("aws:ec2/instance:Instance")
    assert len(ec2.of("aws:autoscaling/group:Group")) == 1, "the endpoint's"


def test_machines_are_hardened_and_their_script_carries_no_secret(ec2: Recorded) -> None:
    for template in ec2.of("LaunchTemplate"):
        told = template.inputs
        assert told["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "instanceMetadataTags": "enabled",
        }
        assert told["instanceInitiatedShutdownBehavior"] == "terminate" and "keyName" not in told
        assert all(one["ebs"]["encrypted"] == "true" for one in told["blockDeviceMappings"])
        assert [one["associatePublicIpAddress"] for one in told["networkInterfaces"]] == ["false"]
        script = base64.b64decode(told["userData"]).decode()
        assert script.startswith("#!/bin/bash") and len(script) < 12 * 1024


def test_a_training_machine_is_the_host_and_a_serving_machine_serves(ec2: Recorded) -> None:
    profiles = {one.name: one.outputs["arn"] for one in ec2.of("InstanceProfile")}
    train = ec2.one("LaunchTemplate", "machines-gpu-g6-xlarge").inputs
    serve = ec2.one("LaunchTemplate", "machines-default-machine").inputs
    assert train["iamInstanceProfile"] == {"arn": profiles["identity-host-profile"]}
    assert serve["iamInstanceProfile"] == {"arn": profiles["identity-serving-profile"]}
    script = base64.b64decode(train["userData"]).decode()
    assert IMAGES["training"] in script and Names(context("ec2", **FULL)).role_arn("training") in script
    assert IMAGES["serving"] in base64.b64decode(serve["userData"]).decode()


def test_a_newer_machine_image_replaces_nothing_by_itself(ec2: Recorded) -> None:
    pins = ec2.of("aws:ssm/parameter:Parameter")
    assert {one.name for one in pins} == {"machines-images-gpu"}
    assert all("insecureValue" in one.ignore_changes for one in pins)
    images = {one.inputs["imageId"] for one in ec2.of("LaunchTemplate")}
    assert images == {pins[0].outputs["insecureValue"]}


def test_an_endpoint_is_replaced_in_turn_watched_and_sized_by_others(ec2: Recorded) -> None:
    group = ec2.one("aws:autoscaling/group:Group")
    assert group.ignore_changes == ("desiredCapacity",) and "desiredCapacity" not in group.inputs
    assert group.inputs["healthCheckType"] == "ELB" and group.inputs["capacityRebalance"] is True
    assert group.inputs["instanceRefresh"]["preferences"]["minHealthyPercentage"] == 100
    assert group.inputs["name"] == Names(context("ec2")).group("default")
    target = ec2.one("TargetGroup").inputs
    assert target["healthCheck"]["path"] == "/readyz" and target["deregistrationDelay"] == 30
    assert {one.name.rpartition("-")[2] for one in ec2.of("MetricAlarm")} == {
        "errors",
        "slow",
        "unhealthy",
        "idle",
        "failing",
        "gpu",
    }
    assert all(one.inputs["alarmActions"] for one in ec2.of("MetricAlarm"))
    served = ec2.result.endpoints["default"]
    assert ec2.result.place["balancer.default"] == ec2.one("LoadBalancer").outputs["dnsName"]
    assert served.access == "ssm" and served.resource == group.inputs["name"] and served.url.startswith("http://")


def test_gpus_of_a_run_that_do_nothing_ring_after_three_hours(ec2: Recorded) -> None:
    """By the line that the boot script writes; tests/boot runs it."""
    measured = ec2.one("LogMetricFilter").inputs
    assert measured["pattern"] == '{ $.event = "gpu" }'
    assert measured["logGroupName"] == Names(context("ec2")).log_group
    made = measured["metricTransformation"]
    assert made["value"] == "$.idle_minutes" and "dimensions" not in made
    rule = ec2.one("MetricAlarm", "machines-idle-gpu").inputs
    assert (rule["namespace"], rule["metricName"]) == (made["namespace"], made["name"])
    assert (rule["statistic"], rule["comparisonOperator"], rule["threshold"]) == (
        "Maximum",
        "GreaterThanThreshold",
        179,
    )
    assert rule["alarmActions"] and rule["treatMissingData"] == "notBreaching"
    assert not declared("ec2", images=IMAGES).of("LogMetricFilter"), "no pool there has GPUs"


def test_a_public_endpoint_stands_in_public_subnets_by_tls_only() -> None:
    public = {
        "exposure": "public",
        "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/1",
        "hostname": "digits.example.com",
        "allowed_ranges": ["203.0.113.0/24", "2001:db8::/32"],
    }
    seen = declared("ec2", images=IMAGES, endpoints={"default": public})
    balancer, listener = seen.one("LoadBalancer").inputs, seen.one("Listener").inputs
    assert balancer["internal"] is False and len(balancer["subnets"]) == 3
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS") and "TLS13" in listener["sslPolicy"]
    rules = [one.inputs for one in seen.of("SecurityGroupIngressRule") if "front-in" in one.name]
    assert [one.get("cidrIpv4") or one.get("cidrIpv6") for one in rules] == ["203.0.113.0/24", "2001:db8::/32"]
    served = seen.result.endpoints["default"]
    assert (served.url, served.access) == ("https://digits.example.com", "direct")


def test_without_images_what_needs_one_is_left_out() -> None:
    seen = declared("ec2", pools=GPU)
    assert not seen.of("LaunchTemplate") and not seen.of("LoadBalancer")
    assert seen.result.endpoints["default"].url == "" and seen.result.pools["gpu"].templates == []
    assert not declared("sagemaker").of("aws:sagemaker/endpoint:Endpoint")


@pytest.mark.parametrize("target", ["ec2", "sagemaker"])
def test_what_is_referenced_is_neither_made_nor_changed(target: str) -> None:
    seen = declared(target, answers=REFERENCED, **OWN)
    made = {one.type for one in seen.resources}
    for kind in ("s3/", "ecr/", "iam/", "kms/", "ec2/vpc:", "ec2/subnet", "ec2/route", "ec2/natGateway", "cloudtrail/"):
        assert not [one for one in made if one.startswith(f"aws:{kind}")], kind
    result: contract.Outputs = seen.result
    assert (result.buckets.keep, result.registry) == ("s3://our-models/team", OWN["registry"])
    assert result.identities["training"] == f"{ROLE}trainer" and result.place["subnets"] == "subnet-a,subnet-b"
    assert result.place["key"] == KEY


def test_the_reaper_looks_by_the_clock_and_rings_when_it_is_silent(ec2: Recorded) -> None:
    function = ec2.one("aws:lambda/function:Function")
    assert function.inputs["environment"] == {"variables": {"SKYLIFT_STACK": "dev"}}
    assert ec2.one("EventRule", "reaper-clock").inputs["scheduleExpression"] == "rate(5 minutes)"
    assert ec2.one("MetricAlarm", "reaper-failing").inputs["treatMissingData"] == "breaching"
    rights = statements(ec2.one("RolePolicy", "identity-reaper-rights").inputs["policy"])
    deletes = [one for one in rights if "autoscaling:DeleteAutoScalingGroup" in listed(one["Action"])]
    assert deletes and all("aws:ResourceTag/skylift-stack" in json.dumps(one["Condition"]) for one in deletes)
    assert not declared("sagemaker").of("aws:lambda/function:Function")


def test_mails_go_out_for_money_and_for_failed_runs(ec2: Recorded, sagemaker: Recorded) -> None:
    for seen in (ec2, sagemaker):
        budget = seen.one("Budget").inputs
        marks = [(one["notificationType"], one["threshold"]) for one in budget["notifications"]]
        assert marks == [("ACTUAL", 50), ("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
        assert budget["costFilters"] == [{"name": "TagKeyValue", "values": ["user:skylift-stack$dev"]}]
        assert seen.one("EventRule", "monitoring-failed").inputs["eventPattern"]
    quiet = declared("ec2")
    assert not quiet.of("Topic") and not quiet.of("Budget")


def test_secrets_are_made_empty_and_named(ec2: Recorded) -> None:
    assert ec2.result.secrets == {
        "token": "skylift-dev/token",
        "endpoints/default/api-keys": "skylift-dev/endpoints/default/api-keys",
    }
    assert not ec2.of("SecretVersion")


def test_sagemaker_serves_under_a_fixed_name_and_a_new_configuration(sagemaker: Recorded) -> None:
    endpoint, configuration = sagemaker.one("aws:sagemaker/endpoint:Endpoint"), sagemaker.one("EndpointConfiguration")
    assert endpoint.inputs["name"] == "skylift-dev-default"
    assert configuration.inputs.get("name") in (None, configuration.outputs["name"])
    (variant,) = configuration.inputs["productionVariants"]
    assert variant["instanceType"] == "ml.g4dn.xlarge" and variant["inferenceAmiVersion"]
    assert "kmsKeyArn" not in configuration.inputs, "its disks encrypt themselves and refuse a key"
    model = sagemaker.one("aws:sagemaker/model:Model").inputs
    assert len(model["vpcConfig"]["subnets"]) >= 2
    environment = model["primaryContainer"]["environment"]
    assert environment["SKYLIFT_ENDPOINT"] == f"{Names(context('sagemaker')).keep.url}/endpoints/default"
    assert endpoint.inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]
    assert endpoint.timeouts


def test_sagemaker_counts_cpu_by_the_core(sagemaker: Recorded) -> None:
    tracked = sagemaker.one("aws:appautoscaling/policy:Policy").inputs["targetTrackingScalingPolicyConfiguration"]
    assert tracked["targetValue"] == 60 * 4
    assert (
        sagemaker.one("aws:appautoscaling/target:Target").inputs["resourceId"]
        == "endpoint/skylift-dev-default/variant/all"
    )


def test_two_replicas_are_replaced_in_steps_one_beside_the_old() -> None:
    def config(**given: Any) -> dict[str, Any]:
        endpoint = declared("sagemaker", images=IMAGES, **given).one("aws:sagemaker/endpoint:Endpoint")
        return dict(endpoint.inputs["deploymentConfig"])

    assert "rollingUpdatePolicy" in config(stage="prod") and "blueGreenUpdatePolicy" in config()


def test_pools_of_sagemaker_have_its_own_names(sagemaker: Recorded) -> None:
    assert sagemaker.result.pools["gpu"].machines == ["ml.g6.xlarge"]
    assert sagemaker.result.pools["gpu"].templates == []
    assert sagemaker.result.endpoints["default"].access == "sagemaker"


def test_log_groups_never_keep_for_ever(ec2: Recorded, sagemaker: Recorded) -> None:
    groups = [*ec2.of("LogGroup"), *sagemaker.of("LogGroup")]
    assert groups and all(one.inputs["retentionInDays"] == 30 for one in groups)


def test_a_boundary_holds_every_role() -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    roles = declared("ec2", permissions_boundary=boundary).of("aws:iam/role:Role")
    assert roles and all(one.inputs["permissionsBoundary"] == boundary for one in roles)


def test_resources_grow_with_pools_and_by_the_same_number() -> None:
    def count(pools: int) -> int:
        wanted = {f"pool-{index}": {"accelerator": "L4", "spot": True} for index in range(pools)}
        return len(declared("ec2", images=IMAGES, pools=wanted).resources)

    one, two, six = count(1), count(2), count(6)
    assert six - one == 5 * (two - one) == 10


def test_machines_of_an_endpoint_stand_where_their_type_is_sold() -> None:
    offers = {
        "id": "offers",
        "instanceTypes": ["m5.xlarge", "m5.xlarge", "m5.xlarge", "g4dn.xlarge", "g6.xlarge"],
        "locations": ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1b", "us-east-1c"],
        "locationTypes": ["availability-zone"] * 5,
    }
    seen = declared("ec2", answers={"aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": offers}, **FULL)
    (subnet,) = seen.one("aws:autoscaling/group:Group").inputs["vpcZoneIdentifiers"]
    assert seen.one("Subnet", "network-private-us-east-1b").outputs["arn"].endswith(subnet)
    assert len(seen.one("LoadBalancer").inputs["subnets"]) == 3, "a load balancer needs two zones at least"
    assert seen.result.place["zones.gpu"] == "us-east-1c"
