"""What users get wrong in the settings of a cloud stack: every mistake at once, each with what would work."""

from pathlib import Path
from typing import Any

import pytest

from skylift.errors import SettingsError
from skylift.stack.settings import CLOUDS, KINDS, TARGETS, check, from_pulumi, load

ACCOUNTS = {
    "aws": "123456789012",
    "gcp": "vision-project-1",
    "azure": "00000000-1111-2222-3333-444444444444",
}
REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}
DIGEST = "123456789012.dkr.ecr.us-east-1.amazonaws.com/skylift/serving@sha256:" + "a" * 64


def cloud(target: str, **settings: Any) -> dict[str, Any]:
    name = CLOUDS[target]
    return {"target": target, "region": REGIONS[name], "account": ACCOUNTS[name], **settings}


def mistakes(raw: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        check(raw, "stacks/Pulumi.x.yaml")
    return {one["key"].removeprefix("skylift:"): one["problem"] for one in caught.value.details["mistakes"]}


@pytest.mark.parametrize("target", TARGETS[1:])
def test_three_settings_are_enough(target: str) -> None:
    settings = check(cloud(target), "x")
    assert (settings.cloud, settings.kind) == (CLOUDS[target], KINDS[target])


@pytest.mark.parametrize("target", TARGETS[1:])
def test_without_region_and_account_both_are_named(target: str) -> None:
    found = mistakes({"target": target})
    assert set(found) == {"region", "account"}
    assert "is missing" in found["account"]


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("ec2", {"account": "12345"}, "account", "12 digits"),
    ("gce", {"account": "Vision"}, "account", "project id"),
    ("aks", {"account": "mine"}, "account", "subscription id"),
    ("ec2", {"region": "us-esat-1"}, "region", "did you mean"),
    ("gce", {"region": "us-west4", "pools": {"p": {"accelerator": "A100-80GB"}}}, "region", "has no A100-80GB"),
    ("azure-vm", {"pools": {"default": {"accelerator": "L4"}}}, "pools.default.accelerator", "T4"),
    (
        "gce",
        {"pools": {"big": {"accelerator": "H100", "machines": ["a3-highgpu-9g"]}}},
        "pools.big.machines",
        "a3-highgpu-8g",
    ),
    ("ec2", {"pools": {"big": {"accelerator": "A100", "machines": ["g5.xlarge"]}}}, "pools.big.machines", "A10G"),
    ("ec2", {"pools": {"p": {"spot": True, "checkpoint_minutes": 0}}}, "pools.p.checkpoint_minutes", "spot: false"),
    ("ec2", {"endpoints": {"e": {"exposure": "public"}}}, "endpoints.e.exposure", "endpoints.e.certificate"),
    ("gke", {"endpoints": {"e": {"exposure": "iam"}}}, "endpoints.e.exposure", "private or public"),
    ("vertex", {"endpoints": {"e": {"exposure": "public"}}}, "endpoints.e.exposure", "iam or private"),
    ("sagemaker", {"endpoints": {"e": {"certificate": "arn:x"}}}, "endpoints.e.certificate", "no meaning"),
    ("ec2", {"endpoints": {"e": {"port": 8501}}}, "endpoints.e.port", "no meaning"),
    (
        "ec2",
        {"endpoints": {"e": {"min_replicas": 3, "max_replicas": 2}}},
        "endpoints.e.max_replicas",
        "min_replicas (3)",
    ),
    (
        "aks",
        {"network": {"cidr": "10.0.0.0/16", "allowed_ranges": ["10.0.3.0/24"]}},
        "network.allowed_ranges",
        "overlaps",
    ),
    ("eks", {"network": {"allowed_ranges": ["0.0.0.0/0"]}}, "network.allowed_ranges", "whole internet"),
    ("eks", {"network": {"cidr": "10.0.0.0/24"}}, "network.cidr", "/16 to /20"),
    ("eks", {"network": {"cidr": "8.0.0.0/16"}}, "network.cidr", "private"),
    ("eks", {"network": {"id": "vpc-1"}}, "network.subnets", "is missing"),
    ("eks", {"network": {"bastion": True}}, "network.bastion", "no meaning"),
    ("gce", {"cluster": {"version": "1.33"}}, "cluster", "no meaning"),
    ("gce", {"permissions_boundary": "arn:aws:iam::1:policy/x"}, "permissions_boundary", "no meaning"),
    ("aks", {"workspace": "/subscriptions/x"}, "workspace", "no meaning"),
    ("ec2", {"buckets": {"keep": "gs://models"}}, "buckets.keep", "s3://"),
    ("gce", {"access": {"train": ["ada@example.com"]}}, "access.train", "nobody"),
    (
        "gce",
        {"access": {"release": ["user:a@example.com"], "approve": ["user:a@example.com"]}},
        "access.approve",
        "his own",
    ),
    ("ec2", {"images": {"serving": "example.com/serving:latest"}}, "images.serving", "by digest"),
    ("ec2", {"tags": {"Team": "vision"}}, "tags", "a-z 0-9"),
    ("ec2", {"ttl": "soon"}, "ttl", "12h"),
    ("ec2", {"name_prefix": "A"}, "name_prefix", "form"),
    ("ec2", {"account": 123456789012}, "account", "quotes"),
    ("local", {"pools": {"x": {}}}, "pools", "no meaning on target local"),
    ("local", {"endpoints": {"x": {"accelerator": "T4"}}}, "endpoints.x.accelerator", "no meaning on target local"),
]


@pytest.mark.parametrize(("target", "wrong", "key", "says"), WRONG, ids=[f"{t}-{k}-{s}" for t, _, k, s in WRONG])
def test_a_mistake_names_the_setting_and_what_would_work(
    target: str, wrong: dict[str, Any], key: str, says: str
) -> None:
    raw = {"target": "local", **wrong} if target == "local" else cloud(target, **wrong)
    found = mistakes(raw)
    assert says in found[key], found


def test_every_mistake_is_named_at_once() -> None:
    raw = cloud(
        "azure-vm",
        account="mine",
        network={"cidr": "10.0.0.0/24"},
        pools={"gpu": {"accelerator": "L4", "spot": True, "checkpoint_minutes": 0}},
    )
    assert set(mistakes(raw)) == {"account", "network.cidr", "pools.gpu.accelerator", "pools.gpu.checkpoint_minutes"}


def test_the_engine_hands_over_the_same() -> None:
    config = {
        "skylift:target": "ec2",
        "skylift:region": "us-east-1",
        "skylift:account": "123456789012",
        "skylift:pools": '{"gpu": {"accelerator": "T4", "spot": true}}',
        "skylift:secrets": '["wandb"]',
        "skylift:ttl": "7d",
        "skylift:encryption_key": "",
    }
    settings = from_pulumi(config, "x")
    assert settings == check(
        cloud("ec2", pools={"gpu": {"accelerator": "T4", "spot": True}}, secrets=["wandb"], ttl="7d"), "x"
    )


def test_an_image_by_digest_is_taken() -> None:
    assert check(cloud("ec2", images={"serving": DIGEST}), "x").images.serving == DIGEST


def test_an_endpoint_gets_the_machine_with_the_fewest_accelerators() -> None:
    check(cloud("ec2", endpoints={"e": {"accelerator": "A100"}}), "x")


def test_a_file_that_the_engine_has_written_again_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text(
        "config:\n  skylift:target: ec2\n  skylift:region: us-east-1\n  skylift:account: '123456789012'\n"
        '  skylift:disposable: "true"\n  skylift:stage: "prod"\nencryptionsalt: v1:x\n'
    )
    assert load(path) == check(cloud("ec2", disposable=True, stage="prod"), "x")
