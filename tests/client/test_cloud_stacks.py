"""New stacks on clouds: the examples, and what `init` makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from skylift import assets, catalog
from skylift.client import cloud_stacks, projects
from skylift.client.projects import Wish, init
from skylift.errors import InputError, SettingsError
from skylift.stack import settings
from skylift.stack.project import Project

CLOUD_TARGETS = [target for target in settings.TARGETS if target != "local"]
PLACES = {
    "aws": ("eu-west-1", "210987654321"),
    "gcp": ("europe-west4", "their-project-1"),
    "azure": ("westeurope", "11111111-2222-3333-4444-555555555555"),
}


def wish(target: str, **more: object) -> Wish:
    region, account = PLACES[settings.CLOUDS[target]]
    return Wish(**{"name": "lab", "target": target, "region": region, "account": account, **more})  # type: ignore[arg-type]


def example(target: str) -> str:
    return assets.path(f"stacks/Pulumi.example-{target}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", settings.TARGETS)
def test_every_target_has_an_example_that_loads_as_it_stands(target: str) -> None:
    found = settings.load(assets.path(f"stacks/Pulumi.example-{target}.yaml"))
    assert found.target == target


@pytest.mark.parametrize("target", CLOUD_TARGETS)
def test_an_example_explains_every_setting_that_has_a_meaning_on_its_target(target: str) -> None:
    without = {
        "cluster": settings.KINDS[target] != "cluster",
        "workspace": target != "azureml",
        "permissions_boundary": settings.CLOUDS[target] != "aws",
    }
    told = set(re.findall(r"(?m)^  (?:# )?skylift:(\w+):", example(target)))
    assert told == {key for key in settings.Settings.names() if not without.get(key)}
    assert "# secretsprovider: " in example(target)


@pytest.mark.parametrize("target", CLOUD_TARGETS)
@pytest.mark.parametrize(
    "key", ["encryption_key", "registry", "backend", "owner", "ttl", "workspace", "permissions_boundary"]
)
def test_what_an_example_comments_out_would_load_too(target: str, key: str) -> None:
    text, count = re.subn(rf"(?m)^  # (skylift:{key}:)", r"  \1", example(target))
    if count:
        config = yaml.safe_load(text)["config"]
        settings.check({name.partition(":")[2]: value for name, value in config.items()}, target)


@pytest.mark.parametrize("target", CLOUD_TARGETS)
@pytest.mark.parametrize("key", ["access", "identities", "buckets", "images", "budget", "alerts", "tags"])
def test_sections_that_an_example_comments_out_would_load_too(target: str, key: str) -> None:
    """`skylift:access: {}` and the lines `#   train: …` below it."""
    before, found, after = example(target).partition(f"  skylift:{key}: {{}}\n")
    assert found
    lines = re.match(r"(?:  #   .*\n)+", after)
    assert lines
    section = f"  skylift:{key}:\n" + lines.group().replace("  #   ", "    ")
    config = yaml.safe_load(before + section + after[lines.end() :])["config"]
    checked = settings.check({name.partition(":")[2]: value for name, value in config.items()}, target)
    assert getattr(checked, key)


@pytest.mark.parametrize("target", CLOUD_TARGETS)
def test_init_fills_the_example_in(tmp_path: Path, target: str) -> None:
    backend, provider = "s3://ours?region=eu-west-1", "awskms://alias/ours?region=eu-west-1"
    written = init(
        tmp_path, wish(target, owner="ada@example.com", stage="prod", backend=backend, secrets_provider=provider)
    )
    project = Project.find(tmp_path)
    found = project.settings("lab")
    region, account = PLACES[settings.CLOUDS[target]]
    assert (found.target, found.region, found.account) == (target, region, account)
    assert (found.owner, found.stage, found.backend, found.disposable) == ("ada@example.com", "prod", backend, False)
    assert project.secrets_provider("lab") == provider
    text = written[-1].read_text(encoding="utf-8")
    assert text.startswith("# The stack lab. ")
    assert text.count("\n") > 90, "the explanations come with it"


def test_what_is_not_wished_stays_commented_out(tmp_path: Path) -> None:
    init(tmp_path, wish("ec2"))
    found = Project.find(tmp_path).settings("lab")
    assert (found.owner, found.backend, found.stage) == (None, None, "dev")
    assert Project.find(tmp_path).secrets_provider("lab") is None


def test_where_the_gpu_of_the_example_is_not_sold_another_is_taken(tmp_path: Path) -> None:
    init(tmp_path, wish("gce", region="me-west1"))
    assert Project.find(tmp_path).settings("lab").pools["gpu"].accelerator == "T4"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"region": "eu-west-11"}, "did you mean 'eu-west-1'"),
        ({"account": "1234"}, "12 digits"),
        ({"backend": "ftp://x"}, "no place for Pulumi's state"),
        ({"secrets_provider": "rot13"}, "--secrets-provider rot13"),
    ],
)
def test_a_wish_that_cannot_be_writes_nothing(tmp_path: Path, more: dict[str, str], said: str) -> None:
    with pytest.raises((InputError, SettingsError), match=re.escape(said)) as caught:
        init(tmp_path, wish("ec2", **more))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_is_local_takes_no_region(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="region has no meaning on target local"):
        init(tmp_path, Wish(region="eu-west-1"))


@pytest.mark.parametrize(
    ("target", "extras"), [("ec2", "aws"), ("gke", "gcp,kubernetes"), ("aks", "azure,kubernetes"), ("azureml", "azure")]
)
def test_the_command_that_installs_what_a_target_needs(tmp_path: Path, target: str, extras: str) -> None:
    assert cloud_stacks.install_command(tmp_path, target) == f"pip install 'skylift[{extras}]'"
    checkout = Path(__file__).parents[2]
    expected = "uv sync " + " ".join(f"--extra {extra}" for extra in extras.split(","))
    assert cloud_stacks.install_command(checkout, target) == expected
    assert cloud_stacks.install_command(tmp_path, "local") is None


def test_suggestions_are_the_clouds_own_variables() -> None:
    environ = {"AWS_DEFAULT_REGION": "eu-west-1", "GOOGLE_CLOUD_PROJECT": "p-1", "ARM_SUBSCRIPTION_ID": "s"}
    assert cloud_stacks.suggestions("eks", environ) == {"region": "eu-west-1"}
    assert cloud_stacks.suggestions("gke", environ) == {"account": "p-1"}
    assert cloud_stacks.suggestions("aks", environ) == {"account": "s"}


def test_the_places_of_these_tests_exist() -> None:
    for cloud, (region, _) in PLACES.items():
        catalog.check_region(cloud, region)
    assert projects.with_bootstrapped(Path("/nowhere"), wish("ec2")).backend is None
