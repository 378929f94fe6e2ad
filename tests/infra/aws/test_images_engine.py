"""The machine image of a stack under the real engine on a simulated account: pinned, and changed only by hand."""

from __future__ import annotations

import pytest

from tests.clouds.conftest import Clouds, clouds, tool  # noqa: F401  # fixtures
from tests.clouds.engine import project_of_ours
from tests.infra.aws.stacks import ACCOUNT, IMAGES

pytestmark = pytest.mark.slow
NEWEST = "aws:ssm/getParameter:getParameter"
NAMES = {kind: image.replace("skylift-dev", "skylift-pins") for kind, image in IMAGES.items()}


def test_a_newer_image_is_taken_when_somebody_says_so_and_not_before(clouds: Clouds) -> None:  # noqa: F811
    settings = {
        "skylift:target": "ec2",
        "skylift:region": "us-east-1",
        "skylift:account": ACCOUNT,
        "skylift:images": NAMES,
        "skylift:disposable": True,
    }
    stack = project_of_ours(clouds.folder / "pins", "pins", clouds.tool, clouds.providers, settings)
    stack.up()
    first = clouds.cloud.one("LaunchTemplate", "machines-default-machine").inputs["imageId"]

    clouds.cloud.answers[NEWEST] = lambda arguments: {
        "id": "p", "name": arguments["name"], "type": "String", "value": "ami-newest", "insecureValue": "ami-newest"
    }  # fmt: skip
    assert not stack.up().changes, "AWS' newest image replaces nothing by itself"

    clouds.cloud.drift("aws:ssm/parameter:Parameter", "insecureValue", "ami-chosen")
    stack.refresh()
    done = stack.up()
    assert clouds.cloud.one("LaunchTemplate", "machines-default-machine").inputs["imageId"] == "ami-chosen" != first
    kinds = {step.type.rpartition(":")[2] for step in done.changes}
    assert kinds <= {"LaunchTemplate", "Group", "Parameter"} and "LaunchTemplate" in kinds
    assert all(step.op == "update" for step in done.changes), "machines are rolled, templates get a version"
    assert not stack.up().changes


def test_sizes_that_others_set_are_let_be(clouds: Clouds) -> None:  # noqa: F811
    """A run group made by a launcher is nobody's here, and how many machines serve is the autoscaler's."""
    settings = {
        "skylift:target": "ec2",
        "skylift:region": "us-east-1",
        "skylift:account": ACCOUNT,
        "skylift:images": NAMES,
        "skylift:disposable": True,
    }
    stack = project_of_ours(clouds.folder / "sizes", "pins", clouds.tool, clouds.providers, settings)
    stack.up()
    clouds.cloud.drift("aws:autoscaling/group:Group", "desiredCapacity", 2)
    assert not stack.up().changes
    stack.refresh()
    assert not stack.up().changes
