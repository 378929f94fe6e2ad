"""What the real engine prints where a simulated account cannot do what the settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.clouds.cloud import CloudError
from tests.clouds.conftest import Clouds, clouds, tool  # noqa: F401  # fixtures
from tests.clouds.engine import Done, project_of_ours

pytestmark = pytest.mark.slow
QUOTA = "aws:servicequotas/getServiceQuota:getServiceQuota"


@pytest.fixture
def preview(clouds: Clouds) -> Any:  # noqa: F811  # the fixture
    def run(name: str, **more: Any) -> Done:
        plain = {"skylift:target": "ec2", "skylift:region": "us-east-1", "skylift:account": clouds.cloud.world.account}
        pools = {"gpu": {"accelerator": "L4"}}
        chosen = {**plain, "skylift:pools": pools, **{f"skylift:{key}": value for key, value in more.items()}}
        stack = project_of_ours(clouds.folder / name, "refused", clouds.tool, clouds.providers, chosen)
        return stack.preview(check=False)

    return run


def test_mistakes_are_said_in_one_sentence_each_and_nothing_is_declared(clouds: Clouds, preview: Any) -> None:  # noqa: F811
    def said(done: Done) -> str:
        assert done.code != 0 and not done.steps
        assert not any("Traceback" in one for one in done.errors)
        return done.errors[0]

    assert "credentials in use are of account 123456789012" in said(preview("other", account="999999999999"))
    clouds.cloud.credentials = "expired"
    assert said(preview("expired")).startswith("CredentialsError: the AWS session has expired")
    clouds.cloud.credentials = "ok"
    clouds.cloud.quota["L-DB2E81BA"] = 0.0
    text = said(preview("quota"))
    assert "skylift:pools.gpu.accelerator" in text and "accelerator: cpu" in text


def test_a_question_that_is_not_allowed_holds_nobody_back(clouds: Clouds, preview: Any) -> None:  # noqa: F811
    def denied(arguments: dict[str, Any]) -> Mapping[str, Any]:
        raise CloudError("https response error StatusCode: 403, api error AccessDenied: not authorized")

    clouds.cloud.answers[QUOTA] = denied
    done = preview("denied")
    assert done.code == 0 and "a quota could not be read" in done.output
