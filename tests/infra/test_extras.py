"""What is said where an SDK is not installed."""

from __future__ import annotations

import json

import pulumi
import pytest

from infra import bootstrap, program
from infra.extras import lacking


def test_a_missing_sdk_is_named_with_the_command_that_installs_it() -> None:
    error = lacking(ModuleNotFoundError("no", name="pulumi_gcp.storage"), "gke")
    assert "target gke needs pulumi_gcp" in error.message
    assert "pip install 'skylift[gcp,kubernetes]'" in error.hint and "--extra gcp --extra kubernetes" in error.hint


def test_another_missing_module_is_a_fault_of_ours_and_stays_one() -> None:
    with pytest.raises(ModuleNotFoundError):
        lacking(ModuleNotFoundError("no", name="infra.aws.nowhere"), "ec2")


@pytest.mark.parametrize("enter", [program.main, bootstrap.main])
def test_both_programs_say_it(enter: object, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"skylift:target": "ec2", "skylift:region": "us-east-1", "skylift:account": "123456789012"}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
    monkeypatch.setattr(pulumi, "get_stack", lambda: "lab")

    def missing(_: str) -> None:
        raise ModuleNotFoundError("no", name="pulumi_aws")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(pulumi.RunError, match=r"MachineError: target ec2 needs pulumi_aws(.|\n)*skylift\[aws\]"):
        enter()  # type: ignore[operator]
