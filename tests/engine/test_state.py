"""Outputs without the engine: read where they are certain, left to the engine where not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skylift.engine.state import stored_outputs

OUTPUTS = {"contract": 1, "target": "local"}
STACK = "pulumi:pulumi:Stack"


@pytest.fixture
def state(tmp_path: Path):
    """Writes a state file as the engine does; gives the backend's URL."""

    def write(resources: list[dict[str, Any]] | None, version: int = 3, name: str = "local.json") -> str:
        path = tmp_path / ".pulumi" / "stacks" / "skylift" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        latest = None if resources is None else {"resources": resources}
        path.write_text(json.dumps({"version": version, "checkpoint": {"latest": latest}}))
        return tmp_path.as_uri()

    return write


def test_outputs_are_those_of_the_stack_resource(state):
    other = {"type": "pulumi:providers:x", "outputs": {"contract": 2}}
    assert stored_outputs(state([other, {"type": STACK, "outputs": OUTPUTS}]), "local") == OUTPUTS


@pytest.mark.parametrize("resources", [None, [], [{"type": STACK}]])
def test_a_stack_that_is_not_up_has_none(state, resources):
    assert stored_outputs(state(resources), "local") == {}


def test_a_stack_that_was_never_made_has_none(state):
    assert stored_outputs(state([]), "other") == {}


def test_what_only_the_engine_can_tell_is_left_to_it(state, tmp_path):
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
    assert stored_outputs(state([{"type": STACK, "outputs": {"key": secret}}]), "local") is None
    assert stored_outputs(state([{"type": STACK, "outputs": OUTPUTS}], version=4), "local") is None
    assert stored_outputs("s3://bucket/state", "local") is None
    assert stored_outputs((tmp_path / "nowhere").as_uri(), "local") is None
    url = state([{"type": STACK, "outputs": OUTPUTS}], name="packed.json.gz")
    assert stored_outputs(url, "packed") is None
    (tmp_path / ".pulumi" / "stacks" / "skylift" / "local.json").write_text('{"version": 3, ')
    assert stored_outputs(url, "local") is None
