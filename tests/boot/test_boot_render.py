"""What `render` refuses, how long the script is, and that hostile values stay values."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.boot import LIMIT, Cloud, render
from skylift.errors import InputError
from tests.boot.machine import DIGEST, REGISTRIES, spec

CLOUDS: tuple[Cloud, ...] = get_args(Cloud)
HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "a'b",
    'a"b',
    "a\\",
    "; touch pwned;",
    "-e",
    "ünï ✓",
    "a\nb",
    "${PATH}",
    "#",
    "!!",
]


def combinations() -> list[tuple[Cloud, dict[str, Any]]]:
    found: list[tuple[Cloud, dict[str, Any]]] = []
    for cloud, mode, gpu, rich in itertools.product(CLOUDS, ("train", "serve"), (True, False), (True, False)):
        more: dict[str, Any] = {"mode": mode, "gpu": gpu}
        if rich:
            more["env"] = {f"SKYLIFT_SETTING_{number}": "v" * 20 for number in range(8)}
            more["logs"] = "" if cloud == "azure" else "/skylift/production/containers"
        if rich and mode == "serve":
            more |= {
                "flags": tuple(f"--option-{number}=value" for number in range(8)),
                "tls_secret": "vault/certificate",
            }
        if mode == "train":
            more["agent"] = rich
        if cloud == "azure" and mode == "train" and rich:
            more["log_rule"] = (
                f"/subscriptions/{'0' * 36}/resourceGroups/{'g' * 30}/providers/Microsoft.Insights/rules/{'r' * 40}"
            )
        found.append((cloud, more))
    return found


@pytest.mark.parametrize(("cloud", "values"), combinations())
def test_every_combination_is_short_enough_and_bash(cloud: Cloud, values: dict[str, Any]) -> None:
    script = render(cloud, spec(cloud, **values))
    assert len(script.encode()) < LIMIT == 12 * 1024
    assert script.startswith("#!/bin/bash\n")
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).stderr == ""


@pytest.mark.slow
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("needs the program shellcheck: apt-get install shellcheck")
    for number, (cloud, values) in enumerate(combinations()):
        (tmp_path / f"{number:02}-{cloud}-{values['mode']}.sh").write_text(render(cloud, spec(cloud, **values)))
    names = sorted(str(path) for path in tmp_path.iterdir())
    found = subprocess.run(["shellcheck", "--shell=bash", *names], capture_output=True, text=True)
    assert found.stdout == ""


def read_back(script: str, name: str, tmp_path: Path) -> bytes:
    """The value that bash has for a variable after the script's head."""
    head = script[: script.index("GRACE=")]
    program = f'{head}\nprintf %s "${{{name}}}"'
    return subprocess.run(["bash", "-c", program], capture_output=True, check=True, cwd=tmp_path).stdout


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_stay_values(value: str, tmp_path: Path) -> None:
    script = render("gcp", spec("gcp", "serve", stack=value, tls_secret=value, flags=(value,), keep=f"gs://{value}"))
    for name, expected in {"STACK": value, "TLS": value, "FLAGS[0]": value, "KEEP": f"gs://{value}"}.items():
        assert read_back(script, name, tmp_path) == expected.encode()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@settings(max_examples=200)
@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_any_text_stays_what_it_is(value: str) -> None:
    script = render("aws", spec("aws", "serve", stack=value))
    assert read_back(script, "STACK", Path("/")) == value.encode()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": f"{REGISTRIES['gcp']}/skylift/image:latest"}, "digest"),
        ({"image": f"{REGISTRIES['gcp']}/skylift/image"}, "digest"),
        ({"image": f"{REGISTRIES['gcp']}/$(x)@{DIGEST}"}, "digest"),
        ({"image": f"docker.io/skylift/image@{DIGEST}"}, "registry"),
        ({"keep": "s3://keep"}, "bucket of gcp"),
        ({"endpoint": "../x"}, "endpoint name"),
        ({"max_hours": 3.0}, "no max_hours"),
        ({"env": {"A B": "x"}}, "no name of an environment variable"),
        ({"env": {"A": "x\nB=y"}}, "more than one line"),
        ({"env": {"A": "x" * LIMIT}}, "bytes"),
    ],
)
def test_what_cannot_be_right_is_refused_with_a_hint(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        render("gcp", spec("gcp", "serve", **changes))
    assert says in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("hours", [None, 0, -1.0])
def test_a_training_machine_must_have_an_end(hours: float | None) -> None:
    with pytest.raises(InputError, match="max_hours"):
        spec("aws", "train", max_hours=hours)


def test_azure_wants_to_know_its_identity_and_forwards_no_logs() -> None:
    with pytest.raises(InputError, match="identity_client_id"):
        render("azure", spec("azure", "serve", identity_client_id=""))
    with pytest.raises(InputError, match="logs"):
        render("azure", spec("azure", "serve", logs="x"))


def test_rendering_is_pure() -> None:
    assert render("aws", spec("aws", "train")) == render("aws", spec("aws", "train"))
