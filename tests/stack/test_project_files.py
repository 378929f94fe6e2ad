"""The files at the top of the repository say the same as the settings."""

from pathlib import Path

import pytest
import yaml

from skylift.stack.settings import LOCAL_FIELDS, BucketSettings, Settings, from_pulumi, load
from skylift.stack.settings.base import Section
from skylift.stack.settings.kinds import Kind, fields, unfold
from skylift.stack.settings.rules import ON_LOCAL

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "stacks").glob("Pulumi.example-*.yaml"))


def test_pulumi_yaml_declares_every_setting_as_it_is() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert list(declared) == [f"skylift:{name}" for name in Settings.names()]
    for name, field in fields(Settings).items():
        kind = unfold(field.type)
        assert declared[f"skylift:{name}"]["description"] == kind.description
        assert declared[f"skylift:{name}"]["type"] == _pulumi_type(kind)
        assert ("default" in declared[f"skylift:{name}"]) is not field.required


def _pulumi_type(kind: Kind) -> str:
    return {bool: "boolean", Section: "object", dict: "object", list: "array"}.get(kind.shape, "string")


def test_the_defaults_of_pulumi_yaml_are_those_of_the_settings() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    given = {key: entry["default"] for key, entry in declared.items() if "default" in entry}
    as_text = {key: value if isinstance(value, str) else yaml.safe_dump(value) for key, value in given.items()}
    assert from_pulumi({**as_text, "skylift:target": "local"}, "x") == Settings(target="local")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads(path: Path) -> None:
    load(path)


def test_the_local_example_shows_every_setting_with_its_default() -> None:
    text = (ROOT / "stacks" / "Pulumi.example-local.yaml").read_text()
    for name in ON_LOCAL:
        assert f"skylift:{name}:" in text
    for name in (*LOCAL_FIELDS, *BucketSettings.names()):
        assert f" {name}: " in text
    assert load(ROOT / "stacks" / "Pulumi.example-local.yaml") == Settings(target="local")
