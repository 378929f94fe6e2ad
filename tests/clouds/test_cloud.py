"""What a simulated cloud refuses, keeps and tells, without an engine."""

import pytest

from tests.clouds.cloud import CloudError, HalfMadeError, SimulatedCloud
from tests.clouds.diffs import changes
from tests.clouds.naming import with_name, wrong_name
from tests.clouds.relations import Stored
from tests.clouds.replacement import AWS, AZURE, KUBERNETES, replaces, rules
from tests.clouds.values import UNKNOWN
from tests.clouds.wheels import inputs

Inputs = dict[str, object]


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud()


def _make(cloud: SimulatedCloud, token: str, name: str, given: Inputs) -> Stored:
    return cloud.create(token, name, with_name(token, name, given, "0123456789"), cloud.world)


def _remove(cloud: SimulatedCloud, one: Stored) -> None:
    cloud.delete(one.token, one.id, one.name)


NETWORK = "gcp:compute/network:Network"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"


@pytest.mark.parametrize(
    ("first", "first_inputs", "second", "key", "said"),
    [
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, "aws:ec2/subnet:Subnet", "vpcId", "DependencyViolation"),
        (
            "aws:iam/role:Role",
            {"assumeRolePolicy": "{}"},
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "role",
            "DeleteConflict",
        ),
        (
            "aws:eks/cluster:Cluster",
            {"roleArn": "r"},
            "aws:eks/nodeGroup:NodeGroup",
            "clusterName",
            "nodegroups attached",
        ),
        (CONFIGURATION, {}, ENDPOINT, "endpointConfigName", "an endpoint uses it"),
        (NETWORK, {}, "gcp:compute/firewall:Firewall", "network", "resourceInUseByAnotherResource"),
        (
            "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate",
            {},
            "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager",
            "versions",
            "resourceInUseByAnotherResource",
        ),
        (
            "azure-native:network:PublicIPAddress",
            {"resourceGroupName": "g"},
            "azure-native:network:NatGateway",
            "publicIpAddresses",
            "PublicIPAddressCannotBeDeleted",
        ),
    ],
)
def test_what_something_refers_to_cannot_go_first(
    cloud: SimulatedCloud, first: str, first_inputs: Inputs, second: str, key: str, said: str
) -> None:
    victim = _make(cloud, first, "first", first_inputs)
    own = victim.outputs.get("selfLink") or victim.id
    reference: object = own
    if key == "versions":
        reference = [{"instanceTemplate": own}]
    if key == "publicIpAddresses":
        reference = [{"id": own}]
    holder = _make(cloud, second, "second", {key: reference, "resourceGroupName": "g"})
    with pytest.raises(CloudError, match=said):
        _remove(cloud, victim)
    _remove(cloud, holder)
    _remove(cloud, victim)
    assert cloud.own() == []


def test_a_gateway_cannot_leave_a_network_whose_nat_has_an_address(cloud: SimulatedCloud) -> None:
    network = _make(cloud, "aws:ec2/vpc:Vpc", "net", {"cidrBlock": "10.0.0.0/16"})
    subnet = _make(cloud, "aws:ec2/subnet:Subnet", "public", {"vpcId": network.id})
    gateway = _make(cloud, "aws:ec2/internetGateway:InternetGateway", "gateway", {"vpcId": network.id})
    nat = _make(cloud, "aws:ec2/natGateway:NatGateway", "nat", {"subnetId": subnet.id})
    with pytest.raises(CloudError, match="mapped public address"):
        _remove(cloud, gateway)
    _remove(cloud, nat)
    _remove(cloud, gateway)


@pytest.mark.parametrize(
    ("token", "given", "allowed", "said"),
    [
        ("aws:s3/bucket:Bucket", {}, {"forceDestroy": True}, "BucketNotEmpty"),
        ("aws:ecr/repository:Repository", {}, {"forceDelete": True}, "RepositoryNotEmpty"),
        ("gcp:storage/bucket:Bucket", {"location": "EU"}, {"location": "EU", "forceDestroy": True}, "force_destroy"),
        (
            "gcp:vertex/aiEndpoint:AiEndpoint",
            {"name": "123", "displayName": "e", "location": "l"},
            None,
            "DeployedModel",
        ),
    ],
)
def test_what_is_full_stays_unless_the_stack_says_otherwise(
    cloud: SimulatedCloud, token: str, given: Inputs, allowed: Inputs | None, said: str
) -> None:
    one = _make(cloud, token, "keep", given)
    cloud.fill(token)
    with pytest.raises(CloudError, match=said):
        _remove(cloud, one)
    if allowed is None:
        cloud.fill(token, filled=False)
    else:
        cloud.update(token, one.id, "keep", {**one.inputs, **allowed}, cloud.world)
    _remove(cloud, one)


@pytest.mark.parametrize(
    ("token", "given", "said"),
    [
        ("aws:iam/role:Role", {"name": "mine", "assumeRolePolicy": "{}"}, "EntityAlreadyExists: role with name mine"),
        (ENDPOINT, {"name": "mine", "endpointConfigName": "c"}, 'Cannot create already existing endpoint "mine"'),
        (NETWORK, {"name": "mine"}, "alreadyExists"),
        (
            "azure-native:resources:ResourceGroup",
            {"resourceGroupName": "mine"},
            "cannot create already existing resource",
        ),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "mine"}}, 'namespace "mine" already exists'),
    ],
)
def test_a_name_is_given_once(cloud: SimulatedCloud, token: str, given: Inputs, said: str) -> None:
    first = _make(cloud, token, "first", given)
    with pytest.raises(CloudError, match=said):
        _make(cloud, token, "second", given)
    _remove(cloud, first)
    _make(cloud, token, "second", given)


@pytest.mark.parametrize(
    ("token", "given", "other", "said"),
    [
        (
            "aws:ec2/natGateway:NatGateway",
            {"allocationId": "eip", "subnetId": "a"},
            {"subnetId": "b"},
            "already associated",
        ),
        (
            "aws:lb/listener:Listener",
            {"loadBalancerArn": "a", "port": 443, "defaultActions": [{"targetGroupArn": "arn:x:targetgroup/t/1"}]},
            {"loadBalancerArn": "b"},
            "TargetGroupAssociationLimit",
        ),
        (
            "azure-native:authorization:RoleAssignment",
            {"scope": "/s", "principalId": "p", "roleDefinitionId": "d", "roleAssignmentName": "one"},
            {"roleAssignmentName": "two"},
            "RoleAssignmentExists",
        ),
        (
            "gcp:compute/forwardingRule:ForwardingRule",
            {"ipAddress": "10.0.0.5", "ports": ["80"], "name": "one"},
            {"name": "two"},
            "in-use",
        ),
    ],
)
def test_some_things_can_be_had_once_only(
    cloud: SimulatedCloud, token: str, given: Inputs, other: Inputs, said: str
) -> None:
    """What a replacement that is made before its predecessor goes runs into."""
    first = _make(cloud, token, "first", given)
    with pytest.raises(CloudError, match=said):
        _make(cloud, token, "second", {**given, **other})
    _remove(cloud, first)
    _make(cloud, token, "second", {**given, **other})


def test_a_balancer_stays_in_its_network(cloud: SimulatedCloud) -> None:
    inner, outer = (_make(cloud, "aws:ec2/subnet:Subnet", name, {"vpcId": name}).id for name in ("here", "there"))
    balancer = _make(cloud, "aws:lb/loadBalancer:LoadBalancer", "b", {"subnets": [inner]})
    with pytest.raises(CloudError, match="another VPC"):
        cloud.update(balancer.token, balancer.id, "b", {**balancer.inputs, "subnets": [outer]}, cloud.world)


def test_a_vault_keeps_its_name_after_its_end(cloud: SimulatedCloud) -> None:
    given: Inputs = {"vaultName": "mine", "resourceGroupName": "g", "properties": {}}
    _remove(cloud, _make(cloud, "azure-native:keyvault:Vault", "v", given))
    with pytest.raises(CloudError, match="deleted state"):
        _make(cloud, "azure-native:keyvault:Vault", "v", given)
    cloud.purge()
    _make(cloud, "azure-native:keyvault:Vault", "v", given)


def test_a_resource_group_takes_all_along(cloud: SimulatedCloud) -> None:
    group = _make(cloud, "azure-native:resources:ResourceGroup", "group", {"resourceGroupName": "g"})
    _make(cloud, "azure-native:managedidentity:UserAssignedIdentity", "who", {"resourceGroupName": "g"})
    _remove(cloud, group)
    assert cloud.own() == []


def test_a_slow_creation_fails_by_the_timeout_of_the_resource_and_not_by_the_clock(cloud: SimulatedCloud) -> None:
    cloud.fail("Vpc", error="slow", times=2)
    with pytest.raises(HalfMadeError, match="timeout while waiting"):
        cloud.create("aws:ec2/vpc:Vpc", "net", {}, cloud.world, timeout=600)
    cloud.create("aws:ec2/vpc:Vpc", "net", {}, cloud.world, timeout=7200)
    assert cloud.waited == 600 + cloud.slow_operation


def test_a_cluster_that_is_gone_does_not_answer(cloud: SimulatedCloud) -> None:
    cluster = _make(cloud, "aws:eks/cluster:Cluster", "c", {"roleArn": "r"})
    kubeconfig = f'{{"clusters": [{{"cluster": {{"server": "{cluster.outputs["endpoint"]}"}}}}]}}'
    cloud.require_cluster(kubeconfig)
    _remove(cloud, cluster)
    with pytest.raises(CloudError, match="unreachable"):
        cloud.require_cluster(kubeconfig)
    with pytest.raises(CloudError, match="kubeconfig"):
        cloud.require_cluster("nothing")


def test_what_lacks_a_tag_is_found(cloud: SimulatedCloud) -> None:
    _make(cloud, "aws:ec2/vpc:Vpc", "tagged", {"tags": {"owner": "me", "ttl": "1d"}})
    _make(cloud, "aws:ec2/subnet:Subnet", "bare", {"tags": {"owner": "me"}})
    _make(cloud, "aws:ec2/routeTableAssociation:RouteTableAssociation", "cannot", {})
    assert [one.name for one in cloud.taggable_without(["owner", "ttl"])] == ["bare"]


def test_changes_are_told_by_path() -> None:
    before = {"a": 1, "rules": [{"days": 1}, {"days": 2}], "gone": True, "__defaults": ["x"]}
    after = {"a": 1, "rules": [{"days": 3}], "new": UNKNOWN, "__defaults": []}
    assert changes(before, after) == {
        "gone": "delete",
        "new": "update",
        "rules[0].days": "update",
        "rules[1]": "delete",
    }


@pytest.mark.parametrize(
    ("token", "paths", "which"),
    [
        ("aws:s3/bucket:Bucket", ["bucket", "tags.owner"], ["bucket"]),
        (CONFIGURATION, ["productionVariants[0].instanceType", "tags.owner"], ["productionVariants[0].instanceType"]),
        (ENDPOINT, ["endpointConfigName"], []),
        ("aws:ec2/launchTemplate:LaunchTemplate", ["instanceType"], []),
        ("gcp:compute/regionInstanceTemplate:RegionInstanceTemplate", ["disks[0].diskSizeGb"], ["disks[0].diskSizeGb"]),
        ("gcp:storage/bucket:Bucket", ["lifecycleRules[0].condition.age", "location"], ["location"]),
        ("azure-native:containerservice:AgentPool", ["maxCount", "vmSize"], ["vmSize"]),
        (
            "azure-native:containerservice:ManagedCluster",
            ["networkProfile.networkPlugin"],
            ["networkProfile.networkPlugin"],
        ),
        ("azure-native:storage:StorageAccount", ["sku.name", "location", "accountName"], ["location", "accountName"]),
        (
            "kubernetes:apps/v1:Deployment",
            ["spec.replicas", "spec.selector.matchLabels.app"],
            ["spec.selector.matchLabels.app"],
        ),
        ("kubernetes:core/v1:Namespace", ["metadata.labels.x", "metadata.name"], ["metadata.name"]),
    ],
)
def test_replacement_rules(token: str, paths: list[str], which: list[str]) -> None:
    assert replaces(token, paths) == which


def test_every_rule_names_an_input_that_its_resource_has() -> None:
    tokens = (
        [f"aws:{key}" for key in AWS]
        + [f"azure-native:{key}" for key in AZURE]
        + [f"kubernetes:{key}" for key in KUBERNETES]
    )
    tokens += list(_google_tokens())
    wrong = []
    for token in tokens:
        known = inputs(token)
        assert known is not None, token
        wrong += [f"{token} {rule}" for rule in rules(token) if rule != "*" and rule.split(".")[0] not in known]
    assert wrong == []


def _google_tokens() -> list[str]:
    from tests.clouds.replacement import _google

    return list(_google())


@pytest.mark.parametrize(
    ("token", "name", "is_right"),
    [
        ("azure-native:storage:StorageAccount", "skylift0123", True),
        ("azure-native:storage:StorageAccount", "sky-lift", False),
        ("aws:lb/targetGroup:TargetGroup", "x" * 33, False),
        ("gcp:compute/network:Network", "Net", False),
        ("gcp:vertex/aiEndpoint:AiEndpoint", "endpoint-1", False),
        ("gcp:vertex/aiEndpoint:AiEndpoint", "4711", True),
    ],
)
def test_names_that_a_cloud_refuses(token: str, name: str, is_right: bool) -> None:
    assert (wrong_name(token, name) is None) == is_right
