"""What is refused before anything is declared, and how it is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from skylift.errors import CredentialsError, SettingsError
from tests.clouds.mocks import Answer
from tests.infra.aws.stacks import ACCOUNT, REGISTRY, ROLE, declared, refusing, role

WHO = "aws:index/getCallerIdentity:getCallerIdentity"
QUOTA = "aws:servicequotas/getServiceQuota:getServiceQuota"
OFFERINGS = "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings"
VPC, SUBNET = "aws:ec2/getVpc:getVpc", "aws:ec2/getSubnet:getSubnet"
BUCKET, GET_ROLE, GET_KEY = "aws:s3/getBucket:getBucket", "aws:iam/getRole:getRole", "aws:kms/getKey:getKey"
REPOSITORY = "aws:ecr/getRepository:getRepository"
NETWORK = {"id": "vpc-1", "subnets": ["subnet-a", "subnet-b"]}
GPU: dict[str, Any] = {"pools": {"gpu": {"accelerator": "L4"}}}


def offers(*pairs: tuple[str, str]) -> Mapping[str, Any]:
    return {
        "id": "offers",
        "instanceTypes": [machine for machine, _ in pairs],
        "locations": [zone for _, zone in pairs],
        "locationTypes": ["availability-zone"] * len(pairs),
    }


def subnets(**zones: str) -> Answer:
    def answer(arguments: dict[str, Any]) -> Mapping[str, Any]:
        name = arguments["id"]
        return {
            "id": name,
            "vpcId": "vpc-1",
            "availabilityZone": zones[name.replace("-", "_")],
            "cidrBlock": "10.1.0.0/24",
            "mapPublicIpOnLaunch": False,
        }

    return answer


def mistakes(target: str = "ec2", answers: Mapping[str, Answer] | None = None, **given: Any) -> dict[str, str]:
    """Key -> what is said of it."""
    with pytest.raises(SettingsError) as raised:
        declared(target, answers=answers, **given)
    assert raised.value.hint
    return {one["key"]: one["problem"] for one in raised.value.details["mistakes"]}


def test_another_account_is_refused_with_both_ids() -> None:
    other = {WHO: {"id": "2", "accountId": "999999999999", "arn": "arn:aws:iam::999999999999:user/x", "userId": "x"}}
    with pytest.raises(SettingsError) as raised:
        declared(answers=other)
    assert ACCOUNT in raised.value.message and "999999999999" in raised.value.message
    assert raised.value.details["key"] == "skylift:account"


def test_the_provider_refuses_another_account_in_the_same_words() -> None:
    with pytest.raises(SettingsError, match="are of account 999999999999"):
        declared(answers={WHO: refusing("configuring provider: AWS account ID not allowed: 999999999999")})


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("api error ExpiredToken: The security token included in the request is expired", "expired", "sso login"),
        (
            "No valid credential sources found. failed to refresh cached credentials",
            "nobody is signed in",
            "AWS_PROFILE",
        ),
        ("no route to host", "no route to host", "get-caller-identity"),
    ],
)
def test_who_is_not_signed_in_is_told_how(text: str, said: str, hint: str) -> None:
    with pytest.raises(CredentialsError, match=said) as raised:
        declared(answers={WHO: refusing(text)})
    assert hint in raised.value.hint


def test_a_quota_of_zero_offers_the_cpu_and_the_way_to_more() -> None:
    said = mistakes(answers={QUOTA: {"id": "q", "value": 0.0, "quotaName": "x"}}, **GPU)
    (problem,) = said.values()
    assert list(said) == ["skylift:pools.gpu.accelerator"]
    assert (
        "accelerator: cpu" in problem and "Running On-Demand G and VT instances" in problem and "L-DB2E81BA" in problem
    )


def test_a_quota_of_sagemaker_is_asked_for_by_its_name() -> None:
    seen = declared("sagemaker", **GPU).invokes
    asked = next(arguments for token, arguments in seen if token == QUOTA)
    assert asked == {"serviceCode": "sagemaker", "quotaName": "ml.g6.xlarge for training job usage"}


def test_a_quota_that_may_not_be_read_holds_nobody_back() -> None:
    assert declared(answers={QUOTA: refusing("StatusCode: 403, AccessDenied")}, **GPU).of("Vpc")


def test_a_machine_that_the_region_lacks_is_named_with_its_setting() -> None:
    answer = offers(("m5.xlarge", "us-east-1a"), ("m5.xlarge", "us-east-1b"))
    said = mistakes(answers={OFFERINGS: answer}, **GPU)
    assert (
        list(said) == ["skylift:pools.gpu.accelerator"] and "g6.xlarge is not offered in us-east-1" in said.popitem()[1]
    )


def test_a_zone_without_the_pools_machines_names_those_that_have_them() -> None:
    answer = offers(("g6.xlarge", "us-east-1b"), ("m5.xlarge", "us-east-1a"), ("m5.xlarge", "us-east-1b"))
    said = mistakes(answers={OFFERINGS: answer}, pools={"gpu": {"accelerator": "L4", "zones": ["us-east-1a"]}})
    assert "us-east-1b has" in said["skylift:pools.gpu.zones"]


def test_a_network_of_another_account_is_refused() -> None:
    said = mistakes(
        answers={VPC: refusing("no matching EC2 VPC found"), SUBNET: refusing("no matching EC2 Subnet found")},
        network=NETWORK,
    )
    assert ACCOUNT in said["skylift:network.id"] and "subnet" in said["skylift:network.subnets"]


def test_subnets_must_be_of_the_network_and_in_two_zones() -> None:
    vpc = {"id": "vpc-1", "cidrBlock": "10.1.0.0/16"}
    same = subnets(subnet_a="us-east-1a", subnet_b="us-east-1a")
    assert "2 zones" in mistakes(answers={VPC: vpc, SUBNET: same}, network=NETWORK)["skylift:network.subnets"]


def test_all_mistakes_are_in_one_error() -> None:
    said = mistakes(
        answers={
            BUCKET: refusing("couldn't find resource"),
            QUOTA: {"id": "q", "value": 0.0},
        },
        identities={"training": "arn:aws:iam::999999999999:role/other"},
        encryption_key="arn:aws:kms:eu-west-1:123456789012:key/1",
        registry="ghcr.io/ours",
        buckets={"keep": "s3://not-there"},
        **GPU,
    )
    assert set(said) == {
        "skylift:identities.training",
        "skylift:encryption_key",
        "skylift:registry",
        "skylift:buckets.keep",
        "skylift:pools.gpu.accelerator",
    }
    assert "another account than 123456789012" in said["skylift:buckets.keep"]
    assert "account 123456789012 and region us-east-1" in said["skylift:encryption_key"]


def test_a_bucket_elsewhere_is_refused() -> None:
    elsewhere = {"id": "b", "bucket": "b", "bucketRegion": "eu-west-1", "arn": "arn:aws:s3:::b"}
    assert "eu-west-1" in mistakes(answers={BUCKET: elsewhere}, buckets={"work": "s3://b"})["skylift:buckets.work"]


def test_a_key_that_cannot_encrypt_is_refused() -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    off = {"id": "1", "enabled": False, "keyUsage": "ENCRYPT_DECRYPT", "keySpec": "SYMMETRIC_DEFAULT"}
    assert "disabled" in mistakes(answers={GET_KEY: off}, encryption_key=key)["skylift:encryption_key"]


def test_a_certificate_without_the_name_it_is_for_is_refused() -> None:
    certificate = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/1"
    said = mistakes(endpoints={"default": {"certificate": certificate}})
    assert list(said) == ["skylift:endpoints.default.hostname"]


def test_an_image_of_another_registry_is_refused_before_a_machine_is_told_to_pull_it() -> None:
    image = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/other/serving@sha256:{'0' * 64}"
    assert REGISTRY in mistakes(images={"serving": image})["skylift:images.serving"]


def test_who_may_not_read_identities_may_use_them() -> None:
    given = {who: f"{ROLE}{who}" for who in ("training", "serving")}
    denied = {GET_ROLE: refusing("StatusCode: 403, api error AccessDenied")}
    assert not declared("sagemaker", answers=denied, identities=given).of("Role")
    absent = {GET_ROLE: refusing("NoSuchEntity: The role with name training cannot be found")}
    assert set(mistakes("sagemaker", absent, identities=given)) == {f"skylift:identities.{who}" for who in given}


def test_few_questions_are_asked() -> None:
    asked = [token for token, _ in declared(**GPU).invokes]
    assert asked == [WHO, OFFERINGS, QUOTA]
    many = {f"pool-{index}": {"accelerator": "L4"} for index in range(50)}
    assert len(declared(pools=many).invokes) == 3, "the same for fifty pools"


def test_roles_that_are_there_are_taken() -> None:
    given = {who: f"{ROLE}{who}" for who in ("training", "serving")}
    seen = declared("sagemaker", answers={GET_ROLE: role}, identities=given)
    assert seen.result.identities == given


def test_a_name_that_aws_would_not_take_is_refused_before_anybody_is_asked() -> None:
    long: dict[str, Any] = {"a" * 60: {}}
    with pytest.raises(SettingsError, match="takes 63") as raised:
        declared("sagemaker", endpoints=long, answers={WHO: refusing("nobody should be asked")})
    assert "shorten" in raised.value.hint
