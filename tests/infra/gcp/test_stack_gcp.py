"""What stacks on Google Cloud declare, against strict mocks: simulated, no cloud is asked."""

import json
from typing import Any

import pytest

from tests.infra.gcp.seen import ALL, RICH, bare, key_of, machines, production, promised, vertex
from tests.infra.gcp.stacks import GIVEN, IMAGES, PROJECT, REGION, up


@ALL
def test_everything_but_the_services_stands_in_a_component_and_begins_with_its_name(seen: Any) -> None:
    for one in seen().resources:
        if not one.is_custom or one.type in ("pulumi:providers:gcp", "gcp:projects/service:Service"):
            continue
        assert one.parent, f"{one.name} stands alone"
        assert one.name.startswith(f"{one.parent}-")


@ALL
def test_everything_uses_a_provider_of_the_stacks_own(seen: Any) -> None:
    for one in seen().resources:
        if one.type.startswith("gcp:"):
            assert "::google" in one.provider, f"{one.name} uses the default provider"


@ALL
def test_every_component_promises_outputs(seen: Any) -> None:
    components = {one.name for one in seen().resources if not one.is_custom}
    assert components == {name for name, outputs in seen().outputs.items() if outputs}


def test_the_provider_guards_the_project_and_labels_everything() -> None:
    for provider in machines().of("pulumi:providers:gcp"):
        assert provider.inputs["project"] == PROJECT
        labels = json.loads(provider.inputs["defaultLabels"])
        assert {"skylift-stack", "skylift-target", "owner", "managed-by"} <= set(labels)


def test_things_wait_for_the_services_that_make_them() -> None:
    """By their provider: it is there only once every service is on."""
    provider = machines().one("pulumi:providers:gcp", "google")
    services = {one.name for one in machines().of("gcp:projects/service:Service")}
    assert services and services <= set(provider.depends_on)
    assert all(one.inputs["disableOnDestroy"] is False for one in machines().of("gcp:projects/service:Service"))


@pytest.mark.parametrize("target", ["gce", "vertex"])
def test_a_first_preview_knows_nothing_of_the_cloud_and_passes(target: str) -> None:
    assert up(target, preview=True, stage="prod", endpoints={"default": {}}, **RICH).of("Bucket")


@pytest.mark.parametrize("target", ["gce", "vertex"])
def test_without_images_no_machine_and_no_template_is_made(target: str) -> None:
    seen = bare(target)
    for kind in ("RegionInstanceTemplate", "RegionInstanceGroupManager", "VertexDeployment", "ForwardingRule"):
        assert not seen.of(kind)
    outputs = promised(seen)
    assert outputs.endpoints["default"].url == ""
    assert outputs.pools["default"].templates == []


# storage, registry, key


def test_keep_keeps_versions_and_work_expires_by_leading_prefix() -> None:
    keep, work = (machines().one("Bucket", f"storage-{kind}").inputs for kind in ("keep", "work"))
    assert (keep["versioning"], work["versioning"]) == ({"enabled": True}, {"enabled": False})
    assert {"daysSinceNoncurrentTime": 30, "withState": "ARCHIVED"} in [
        rule["condition"] for rule in keep["lifecycleRules"]
    ]
    expiry = next(rule["condition"] for rule in work["lifecycleRules"] if rule["action"] == {"type": "Delete"})
    assert expiry["age"] == 30
    assert set(expiry["matchesPrefixes"]) == {"live/", "events/", "logs/", "checkpoints/", "replicas/", "samples/"}


@ALL
def test_buckets_are_private_and_outlive_the_stack(seen: Any) -> None:
    for bucket in seen().of("Bucket"):
        assert bucket.inputs["publicAccessPrevention"] == "enforced"
        assert bucket.inputs["uniformBucketLevelAccess"] is True
        assert bucket.inputs["forceDestroy"] is False
        assert bucket.protect and bucket.retain_on_delete


def test_a_disposable_stack_goes_whole() -> None:
    seen = up("gce", disposable=True, encryption_key="stack", secrets=["hub-token"])
    assert all(one.inputs["forceDestroy"] is True for one in seen.of("Bucket"))
    assert not [one.name for one in seen.resources if one.protect]
    assert {one.name for one in seen.resources if one.retain_on_delete} == {"storage-audit"}
    assert seen.one("Secret").inputs["deletionProtection"] is False


def test_writes_are_audited_and_the_projects_audit_stays() -> None:
    audit = machines().one("IAMAuditConfig")
    assert audit.inputs["auditLogConfigs"] == [{"logType": "DATA_WRITE"}]
    assert audit.retain_on_delete
    sink = machines().one("ProjectSink").inputs["filter"]
    assert "/objects/models/" in sink and "/objects/endpoints/" in sink


def test_production_encrypts_all_with_a_key_of_its_own() -> None:
    seen = production()
    key = seen.one("CryptoKey")
    assert key.inputs["rotationPeriod"] == "7776000s"
    assert key.protect and key.retain_on_delete
    identifier = key_of(seen)
    assert all(one.inputs["encryption"]["defaultKmsKeyName"] == identifier for one in seen.of("Bucket"))
    assert seen.one("Repository").inputs["kmsKeyName"] == identifier
    replica = seen.one("Secret").inputs["replication"]["userManaged"]["replicas"][0]
    assert replica["customerManagedEncryption"]["kmsKeyName"] == identifier
    for template in seen.of("RegionInstanceTemplate"):
        assert template.inputs["disks"][0]["diskEncryptionKey"]["kmsKeySelfLink"] == identifier


def test_only_googles_own_agents_use_the_key() -> None:
    for one in production().of("CryptoKeyIAMMember"):
        assert one.inputs["role"] == "roles/cloudkms.cryptoKeyEncrypterDecrypter"
        assert one.inputs["member"].startswith("serviceAccount:service-")


def test_tags_of_images_never_move_and_old_images_go() -> None:
    registry = machines().one("Repository")
    assert registry.inputs["dockerConfig"] == {"immutableTags": True}
    kept = [one for one in registry.inputs["cleanupPolicies"] if one["action"] == "KEEP"]
    assert kept[0]["mostRecentVersions"] == {"keepCount": 30}
    readers = {one.inputs["member"] for one in machines().of("RepositoryIamMember")}
    assert readers == {
        f"serviceAccount:skylift-dev-{who}@{PROJECT}.iam.gserviceaccount.com" for who in ("host", "serving")
    }


# identities


@ALL
def test_policies_are_added_to_and_never_replaced_and_there_are_no_keys(seen: Any) -> None:
    for one in seen().resources:
        kind = one.type.rpartition(":")[2]
        assert not kind.endswith(("IAMBinding", "IamBinding", "IAMPolicy", "IamPolicy"))
        assert one.type != "gcp:serviceaccount/key:Key"
        assert one.inputs.get("role") not in ("roles/owner", "roles/editor")
        assert one.inputs.get("member") not in ("allUsers", "allAuthenticatedUsers")


def test_people_take_on_one_identity_and_nothing_on_the_project() -> None:
    theirs = [one for one in machines().resources if one.inputs.get("member") == "group:ml@example.com"]
    assert [(one.type, one.inputs["role"]) for one in theirs] == [
        ("gcp:serviceaccount/iAMMember:IAMMember", "roles/iam.serviceAccountTokenCreator")
    ]
    assert theirs[0].inputs["serviceAccountId"].endswith(f"skylift-dev-launcher@{PROJECT}.iam.gserviceaccount.com")


def test_who_predicts_may_tunnel_to_the_serving_port_alone() -> None:
    tunnel = machines().one("TunnelIamMember").inputs
    assert (tunnel["member"], tunnel["condition"]["expression"]) == ("user:ada@example.com", "destination.port == 8080")


def test_identities_of_ours_are_used_and_nothing_is_granted() -> None:
    there = {"gcp:serviceaccount/getAccount:getAccount": {"id": "x", "disabled": False}}
    seen = up("gce", identities=GIVEN, images=IMAGES, answers=there)
    kinds = {one.type for one in seen.resources}
    assert not [kind for kind in kinds if "IAM" in kind or "IamMember" in kind or kind.endswith(":Account")]
    template = seen.of("RegionInstanceTemplate")[0].inputs
    assert template["serviceAccount"]["email"] in (GIVEN["host"], GIVEN["serving"])
    assert promised(seen).identities["training"] == GIVEN["training"]


def test_buckets_network_and_registry_of_ours_are_left_as_they_are() -> None:
    bucket = {"id": "b", "projectNumber": 987654321098, "location": REGION, "uniformBucketLevelAccess": True}
    subnet = {
        "id": "s",
        "network": f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global/networks/n",
        "privateIpGoogleAccess": True,
        "secondaryIpRanges": [],
    }
    seen = up(
        "gce",
        images=IMAGES,
        buckets={"keep": "gs://our-models/team", "work": "gs://our-work"},
        registry=f"{REGION}-docker.pkg.dev/{PROJECT}/ours",
        network={"id": f"projects/{PROJECT}/global/networks/n", "subnets": [f"projects/{PROJECT}/regions/{REGION}/subnetworks/s"]},
        answers={
            "gcp:storage/getBucket:getBucket": bucket,
            "gcp:compute/getNetwork:getNetwork": {"id": "n"},
            "gcp:compute/getSubnetwork:getSubnetwork": subnet,
            "gcp:artifactregistry/getRepository:getRepository": {"id": "r", "format": "DOCKER"},
        },
    )  # fmt: skip
    made = {one.type.rpartition(":")[2] for one in seen.resources if one.type.startswith("gcp:")}
    assert not made & {"Bucket", "Repository", "Network", "Subnetwork", "Firewall", "Router", "IAMAuditConfig"}
    outputs = promised(seen)
    assert outputs.buckets.keep == "gs://our-models/team"
    assert outputs.registry == f"{REGION}-docker.pkg.dev/{PROJECT}/ours"
    creators = [one for one in seen.of("BucketIAMMember") if one.inputs["role"] == "roles/storage.objectCreator"]
    assert creators
    assert all("our-models/objects/team/" in one.inputs["condition"]["expression"] for one in creators)


# network


@ALL
def test_nothing_lets_the_internet_in(seen: Any) -> None:
    for one in seen().of("gcp:compute/firewall:Firewall"):
        sources = one.inputs.get("sourceRanges", [])
        assert sources or one.inputs.get("sourceServiceAccounts")
        assert not {"0.0.0.0/0", "::/0"} & set(sources)
        assert one.inputs["targetServiceAccounts"]
    for one in seen().of("RegionInstanceTemplate"):
        assert "accessConfigs" not in one.inputs["networkInterfaces"][0]


def test_dev_has_one_way_out_and_production_none() -> None:
    assert len(machines().of("RouterNat")) == 1
    assert not production().of("RouterNat")
    subnet = production().one("Subnetwork", "network-subnet").inputs
    assert subnet["privateIpGoogleAccess"] is True and subnet["logConfig"]


def test_vertex_needs_a_network_for_private_endpoints_only() -> None:
    assert not bare("vertex").of("gcp:compute/network:Network")
    assert vertex().of("gcp:compute/network:Network")


# machines
