"""What a stack is refused for before anything is declared."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc
import pytest

from infra.gcp.machines import quota_id
from skylift.errors import CredentialsError, SettingsError
from tests.clouds.mocks import Answer
from tests.infra.gcp.stacks import NUMBER, PROJECT, REGION, up

PROJECTS = "gcp:organizations/getProject:getProject"
MACHINES = "gcp:compute/getMachineTypes:getMachineTypes"
QUOTA = "gcp:cloudquota/getSQuotaInfo:getSQuotaInfo"
BUCKET = "gcp:storage/getBucket:getBucket"
ACCOUNT = "gcp:serviceaccount/getAccount:getAccount"
NETWORK = "gcp:compute/getNetwork:getNetwork"
SUBNET = "gcp:compute/getSubnetwork:getSubnetwork"
KEY = "gcp:kms/getKMSCryptoKey:getKMSCryptoKey"


class Refusal(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
    """A question that Google refuses, as the engine hands it on."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return self.text


def failing(text: str) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    def answer(_arguments: dict[str, Any]) -> Mapping[str, Any]:
        raise Refusal(text)

    return answer


def refused(answers: Mapping[str, Answer] | None = None, target: str = "gce", **more: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        up(target, answers=answers, **more)
    return raised.value.message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("google: could not find default credentials", "nobody is signed in"),
        ('oauth2: "invalid_grant" "Bad Request"', "has expired"),
    ],
)
def test_who_is_not_signed_in_is_told_the_command(said: str, expected: str) -> None:
    with pytest.raises(CredentialsError, match=expected) as raised:
        up(answers={PROJECTS: failing(said)})
    assert "gcloud auth application-default login" in raised.value.hint


def test_a_project_that_is_not_there_names_the_setting() -> None:
    assert "skylift:account" in refused({PROJECTS: failing("Error 404: project not found")})


def test_a_service_that_is_off_names_the_command() -> None:
    with pytest.raises(SettingsError) as raised:
        up(
            answers={
                PROJECTS: failing("Cloud Resource Manager API has not been used in project 1 before or it is disabled")
            }
        )
    assert "gcloud services enable" in raised.value.hint


def quota_of(limit: str) -> Mapping[str, Any]:
    info = {"applicableLocations": [REGION], "dimensions": {"region": REGION}, "details": [{"value": limit}]}
    return {"id": "x", "dimensions": ["region"], "dimensionsInfos": [info]}


def test_a_quota_of_zero_offers_cpu() -> None:
    text = refused({QUOTA: quota_of("0")}, pools={"gpu": {"accelerator": "L4"}})
    assert "skylift:pools.gpu.accelerator" in text
    assert "NVIDIA-L4-GPUS-per-project-region" in text
    assert "cpu" in text


@pytest.mark.parametrize("limit", ["1", "-1"])
def test_any_other_quota_passes(limit: str) -> None:
    assert up(answers={QUOTA: quota_of(limit)}, pools={"gpu": {"accelerator": "L4"}}).of("Bucket")


def test_a_quota_that_may_not_be_read_is_no_mistake() -> None:
    answers = {QUOTA: failing("Error 403: cloudquotas is disabled")}
    assert up(answers=answers, pools={"gpu": {"accelerator": "L4"}}).of("Bucket")


def test_stacks_without_accelerators_ask_for_no_quota() -> None:
    assert QUOTA not in {token for token, _ in up().invokes}


@pytest.mark.parametrize(
    ("code", "identifier"),
    [
        ("NVIDIA_T4_GPUS", "NVIDIA-T4-GPUS-per-project-region"),
        ("GPUS-PER-GPU-FAMILY-per-project-region", "GPUS-PER-GPU-FAMILY-per-project-region"),
        ("custom_model_training_nvidia_t4_gpus", "CustomModelTrainingT4GPUsPerProjectPerRegion"),
        ("custom_model_training_preemptible_nvidia_l4_gpus", "CustomModelTrainingPreemptibleL4GPUsPerProjectPerRegion"),
    ],
)
def test_quotas_have_the_ids_that_public_scripts_use(code: str, identifier: str) -> None:
    assert quota_id(code) == identifier


def sold(arguments: dict[str, Any]) -> Mapping[str, Any]:
    """One zone of three sells L4."""
    machines = [{"name": "n2-standard-4"}] + ([{"name": "g2-standard-4"}] if arguments["zone"].endswith("b") else [])
    return {"id": "x", "zone": arguments["zone"], "project": PROJECT, "machineTypes": machines}


def test_a_machine_that_no_named_zone_sells_names_the_zone_that_does() -> None:
    pools = {"gpu": {"accelerator": "L4", "zones": [f"{REGION}-a"]}}
    text = refused({MACHINES: sold}, pools=pools)
    assert f"{REGION}-a does not sell g2-standard-4; {REGION}-b sell it" in text


def test_a_zone_of_another_region_is_named_with_those_of_this_one() -> None:
    text = refused(pools={"default": {"zones": ["europe-west4-a"]}})
    assert "'europe-west4-a' is no zone of us-central1" in text
    assert f"{REGION}-a, {REGION}-b, {REGION}-c" in text


def test_serving_machines_go_where_they_are_sold() -> None:
    from tests.infra.gcp.stacks import IMAGES

    seen = up(answers={MACHINES: sold}, images=IMAGES, endpoints={"default": {"accelerator": "L4"}})
    group = seen.one("RegionInstanceGroupManager")
    assert group.inputs["distributionPolicyZones"] == [f"{REGION}-b"]
    assert group.inputs["updatePolicy"]["maxSurgeFixed"] == 1


def bucket(**more: Any) -> Mapping[str, Any]:
    good = {
        "id": "b",
        "name": "b",
        "projectNumber": int(NUMBER),
        "location": REGION.upper(),
        "uniformBucketLevelAccess": True,
    }
    return {**good, **more}


NAMED: dict[str, Any] = {"buckets": {"keep": "gs://our-models"}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (bucket(projectNumber=1), "belongs to another project"),
        (bucket(location="EUROPE-WEST4"), "lies in europe-west4"),
        (bucket(uniformBucketLevelAccess=False), "turn on uniform access"),
        (failing("googleapi: Error 404: The specified bucket does not exist"), "is not there"),
    ],
)
def test_a_bucket_of_ours_must_be_there_and_fit(answer: Answer, expected: str) -> None:
    text = refused({BUCKET: answer}, **NAMED)
    assert "skylift:buckets.keep: 'gs://our-models'" in text
    assert expected in text


def test_a_bucket_of_ours_in_the_multi_region_around_passes() -> None:
    seen = up(answers={BUCKET: bucket(location="US")}, **NAMED)
    assert [one.name for one in seen.of("Bucket")] == ["storage-work"]


def test_what_may_not_be_looked_at_is_let_through() -> None:
    answers = {ACCOUNT: failing("Error 403: Permission 'iam.serviceAccounts.get' denied")}
    assert up(answers=answers, identities={"training": f"ours@{PROJECT}.iam.gserviceaccount.com"}).of("Bucket")


def test_an_identity_of_another_project_is_refused() -> None:
    text = refused(identities={"training": "ours@other-project.iam.gserviceaccount.com"})
    assert "belongs to project other-project" in text


def test_every_mistake_is_in_one_error() -> None:
    answers: dict[str, Answer] = {
        BUCKET: failing("Error 404"),
        NETWORK: failing("Error 404"),
        SUBNET: {"id": "s", "network": "projects/p/global/networks/other", "privateIpGoogleAccess": False, "secondaryIpRanges": []},
        KEY: {"id": "k", "purpose": "ASYMMETRIC_SIGN"},
    }  # fmt: skip
    text = refused(
        answers,
        network={"id": f"projects/{PROJECT}/global/networks/n", "subnets": [f"projects/{PROJECT}/regions/{REGION}/subnetworks/s"]},
        encryption_key=f"projects/{PROJECT}/locations/{REGION}/keyRings/r/cryptoKeys/k",
        **NAMED,
    )  # fmt: skip
    for key in ("buckets.keep", "network.id", "network.subnets", "encryption_key"):
        assert f"skylift:{key}" in text
    assert "5 mistakes" in text


def test_a_key_of_another_region_is_refused_without_asking() -> None:
    text = refused(encryption_key=f"projects/{PROJECT}/locations/europe-west4/keyRings/r/cryptoKeys/k")
    assert "lies in europe-west4" in text


def test_nothing_is_declared_before_the_checks_have_passed() -> None:
    seen: list[Any] = []

    def watching(arguments: dict[str, Any]) -> Mapping[str, Any]:
        seen.append(arguments)
        raise Refusal("Error 404: not found")

    with pytest.raises(SettingsError):
        up(answers={PROJECTS: watching})
    assert len(seen) == 1
