"""A new stack on a cloud: the file from its target's example, and what has to be installed and signed in for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from skylift import assets, catalog
from skylift.errors import InputError, SkyliftError
from skylift.stack.settings import CLOUDS, KINDS
from skylift.stack.settings.rules import ACCOUNTS

if TYPE_CHECKING:
    from skylift.client.projects import Wish

BACKENDS = ("s3://", "gs://", "azblob://", "file://", "https://")
PROVIDERS = ("awskms://", "gcpkms://", "azurekeyvault://", "hashivault://", "passphrase")
"""What Pulumi takes as backend and as secrets provider: https://www.pulumi.com/docs/iac/concepts/state-and-backends/ and …/secrets/."""

_REGIONS = {
    "aws": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "gcp": ("CLOUDSDK_COMPUTE_REGION", "GOOGLE_CLOUD_REGION"),
    "azure": ("AZURE_DEFAULTS_LOCATION",),
}
_ACCOUNTS = {
    "aws": ("AWS_ACCOUNT_ID",),
    "gcp": ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    "azure": ("AZURE_SUBSCRIPTION_ID", "ARM_SUBSCRIPTION_ID"),
}
_ACCOUNT_IS = {"aws": "AWS account id", "gcp": "Google project id", "azure": "Azure subscription id"}
_SMALL_GPUS = ("L4", "T4", "A10G")


def text(wish: Wish) -> str:
    """The stack file: the example of its target with the wishes filled in, every other setting explained in it."""
    found = assets.path(f"stacks/Pulumi.example-{wish.target}.yaml").read_text(encoding="utf-8")
    _, _, body = found.partition("\n\n")
    wanted = {
        "region": wish.region,
        "account": wish.account,
        "owner": wish.owner,
        "stage": wish.stage,
        "backend": wish.backend,
        "disposable": wish.is_disposable or None,
    }
    for key, value in wanted.items():
        if value is not None:
            body = _filled(body, key, value)
    if wish.secrets_provider:
        body = re.sub(
            r"(?m)^# secretsprovider:.*$", lambda _: _entry("secretsprovider", wish.secrets_provider), body, count=1
        )
    head = f"# The stack {wish.name}. {found.partition(chr(10))[0].removeprefix('# ')}\n# docs/settings.md lists every setting.\n\n"
    return head + _with_gpu_of_the_region(body, wish)


def check_state(backend: str | None, secrets_provider: str | None) -> None:
    """Refuses a backend or secrets provider that Pulumi does not know.

    Raises:
        InputError: names what it knows.
    """
    if backend and not backend.startswith(BACKENDS):
        raise InputError(
            f"--backend {backend} is no place for Pulumi's state",
            hint=f"give a URL that begins with one of {', '.join(BACKENDS)}; `skylift bootstrap` makes a bucket for it",
        )
    if secrets_provider and not secrets_provider.startswith(PROVIDERS):
        raise InputError(
            f"--secrets-provider {secrets_provider} is none",
            hint=f"give one of {', '.join(PROVIDERS)}; `skylift bootstrap` makes a key for it",
        )


def question(target: str, key: str) -> str:
    """What to ask for the region or the account."""
    return _ACCOUNT_IS[CLOUDS[target]] if key == "account" else "Region"


def check_place(target: str, key: str, value: str) -> None:
    """Refuses a region or account that cannot be one.

    Raises:
        InputError: says what would do.
    """
    cloud = CLOUDS[target]
    if key == "region":
        catalog.check_region(cloud, value, key="region")
    elif not re.fullmatch(ACCOUNTS[cloud][0], value):
        raise InputError(f"{value!r} is not {ACCOUNTS[cloud][1]}", hint="give the account that the stack is to work in")


def install_command(root: Path, target: str) -> str | None:
    """What installs the SDKs that a target needs, or None for `local`: it needs none."""
    if CLOUDS[target] == "local":
        return None
    extras = [CLOUDS[target], *(["kubernetes"] if KINDS[target] == "cluster" else [])]
    if _is_checkout(root):
        return "uv sync " + " ".join(f"--extra {extra}" for extra in extras)
    return f"pip install 'skylift[{','.join(extras)}]'"


def suggestions(target: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Region and account as the cloud's own variables name them; what they do not name is not there."""
    cloud = CLOUDS[target]
    named = {"region": _REGIONS.get(cloud, ()), "account": _ACCOUNTS.get(cloud, ())}
    found = {key: next((environ[one] for one in names if environ.get(one)), "") for key, names in named.items()}
    return {key: value for key, value in found.items() if value}


def _filled(body: str, key: str, value: object) -> str:
    line = "  " + _entry(f"skylift:{key}", value)
    filled, count = re.subn(rf"(?m)^  (# )?skylift:{key}:.*$", lambda _: line, body, count=1)
    assert count == 1, f"the example has no skylift:{key}"
    return filled


def _entry(key: str, value: object) -> str:
    return yaml.safe_dump({key: value}, width=10_000).strip()


def _with_gpu_of_the_region(body: str, wish: Wish) -> str:
    """The example's pool takes another small GPU where its own is not sold."""
    cloud = CLOUDS[wish.target]
    config: dict[str, Any] = yaml.safe_load(body)["config"]
    accelerator = config["skylift:pools"]["gpu"]["accelerator"]
    for one in (accelerator, *_SMALL_GPUS):
        if wish.region and one in catalog.offered(cloud) and _has(cloud, wish.region, one):
            return body.replace(f"accelerator: {accelerator}\n", f"accelerator: {one}\n", 1)
    return body


def _has(cloud: str, region: str, accelerator: str) -> bool:
    try:
        catalog.check_region(cloud, region, accelerator)
    except SkyliftError:
        return False
    return True


def _is_checkout(root: Path) -> bool:
    try:
        return 'name = "skylift"' in (root / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return False
