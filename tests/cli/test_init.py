"""`init` for clouds, as typed."""

from __future__ import annotations

import io
import subprocess

import pytest

from skylift.cli import bootstrap, init, permissions
from skylift.stack import settings

AWS = ("--target", "ec2", "--region", "us-east-1", "--account", "123456789012")


class Terminal(io.StringIO):
    """Somebody who types these lines."""

    def isatty(self) -> bool:
        return True


def test_targets_are_those_of_the_settings():
    assert init.TARGETS == settings.TARGETS
    assert settings.TARGETS[1:] == bootstrap.TARGETS


def test_persons_are_those_of_the_grants():
    from infra import grants
    from skylift.client.permissions import PERSONS

    assert tuple(grants.PERSONS) == PERSONS == permissions.PERSONS


def test_a_stack_on_a_cloud_begins_with_one_line(skylift, empty):
    ended = skylift("init", *AWS, "--owner", "ada", "--yes")
    assert ended.code == 0
    assert "pip install 'skylift[aws]'" in ended.out and "skylift preview ec2" in ended.out
    assert settings.load(empty / "stacks" / "Pulumi.ec2.yaml").account == "123456789012"


def test_what_has_no_default_is_named_where_nobody_can_be_asked(skylift, empty):
    ended = skylift("init", "lab", "--target", "gke", "--yes")
    assert ended.code == 2
    assert "--region and --account" in ended.err
    assert not list(empty.iterdir())


def test_what_has_no_default_is_asked_for_until_it_can_be(skylift, empty, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCOUNT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdin", Terminal("us-esat-1\nus-east-1\n12\n123456789012\nada\n"))
    ended = skylift("init", "lab", "--target", "sagemaker")
    assert ended.code == 0, ended.err
    assert "did you mean" in ended.err and "12 digits" in ended.err
    found = settings.load(empty / "stacks" / "Pulumi.lab.yaml")
    assert (found.region, found.account, found.owner) == ("us-east-1", "123456789012", "ada")


def test_what_the_shell_knows_is_suggested(skylift, empty, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "shell-project")
    monkeypatch.setenv("CLOUDSDK_COMPUTE_REGION", "europe-west4")
    monkeypatch.setattr("sys.stdin", Terminal("\n\n\n"))
    assert skylift("init", "lab", "--target", "gke").code == 0
    found = settings.load(empty / "stacks" / "Pulumi.lab.yaml")
    assert (found.region, found.account) == ("europe-west4", "shell-project")


def test_a_shared_state_without_a_shared_key_is_remarked(skylift, empty):
    ended = skylift("init", *AWS, "--backend", "s3://state?region=us-east-1", "--yes")
    assert ended.code == 0 and "--secrets-provider" in ended.err
    quiet = skylift("init", "two", *AWS, "--backend", "s3://s", "--secrets-provider", "awskms://alias/x", "--yes")
    assert "note" not in quiet.err
    assert "awskms://alias/x" in quiet.out


def test_a_port_is_for_this_machine(skylift, empty):
    assert skylift("init", *AWS, "--port", "1", "--yes").code == 2


def test_json_says_what_to_install(skylift, empty):
    document = skylift("init", "lab", *AWS, "--json").document
    assert document["install"] == "pip install 'skylift[aws]'"
    assert document["target"] == "ec2" and document["written"][-1].endswith("Pulumi.lab.yaml")


@pytest.mark.parametrize("person", permissions.PERSONS)
def test_permissions_print_a_document_to_hand_over(skylift, empty, person):
    skylift("init", "lab", *AWS, "--yes")
    ended = skylift("permissions", "lab", "--as", person)
    assert ended.code == 0, ended.err
    found = ended.document
    documents = [one["document"] for one in found] if isinstance(found, list) else [found]
    assert all(one["Version"] == "2012-10-17" and one["Statement"] for one in documents)
    assert f"skylift permissions lab --as {person} --out FOLDER" in ended.err


def test_permissions_tell_the_reasons(skylift, empty):
    skylift("init", "lab", *AWS, "--yes")
    ended = skylift("permissions", "lab", "--as", "train", "--reasons")
    assert ended.code == 0 and "s3:PutObject" in ended.out
    assert skylift("permissions", "lab", "--as", "train", "--json").document["grants"]


def test_permissions_of_a_stack_on_this_machine_are_none(skylift, empty):
    skylift("init")
    ended = skylift("permissions", "local", "--as", "train")
    assert ended.code == 3
    assert "on this machine" in ended.err and "skylift init" in ended.err


def test_permissions_of_a_file_with_mistakes_name_them(skylift, empty):
    skylift("init", "lab", *AWS, "--yes")
    path = empty / "stacks" / "Pulumi.lab.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("region: us-east-1", "region: us-east-9"), encoding="utf-8"
    )
    ended = skylift("permissions", "lab", "--as", "up")
    assert ended.code == 3 and "us-east-9" in ended.err


def test_a_bootstrap_refuses_what_cannot_be_before_anything_starts(skylift, empty):
    ended = skylift("bootstrap", "--target", "ec2", "--region", "nowhere", "--account", "1", "--yes")
    assert ended.code == 3
    assert "nowhere" in ended.err and "12 digits" in ended.err
    assert not list(empty.iterdir())


def test_the_program_of_permissions_loads_no_sdk(skylift, empty):
    skylift("init", "lab", *AWS, "--yes")
    import sys

    code = (
        "import sys; from infra import permissions; from pathlib import Path; "
        "permissions.permissions(Path('stacks/Pulumi.lab.yaml'), 'lab', 'up'); "
        "assert not {name for name in sys.modules if name.startswith('pulumi')}, sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
