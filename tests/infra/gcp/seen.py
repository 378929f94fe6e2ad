"""Stacks on Google Cloud that tests look at, provisioned once under strict mocks: simulated, no cloud is asked."""

from functools import cache
from typing import Any

import pytest

from skylift.stack.outputs import Outputs
from tests.clouds.mocks import Recorded
from tests.infra.gcp.stacks import IMAGES, PROJECT, REGION, up

POOLS = {"default": {}, "gpu": {"accelerator": "T4", "spot": True, "max_hours": 2.0, "disk_gib": 200}}
RICH: dict[str, Any] = {
    "images": IMAGES,
    "pools": POOLS,
    "secrets": ["hub-token"],
    "alerts": {"emails": ["ml@example.com"]},
    "budget": {"monthly": 100.5, "billing_account": "012345-6789AB-CDEF01"},
    "access": {"train": ["group:ml@example.com"], "predict": ["user:ada@example.com"]},
}


@cache
def machines() -> Recorded:
    return up("gce", **RICH)


@cache
def production() -> Recorded:
    tls = {"exposure": "public", "certificate": f"projects/{PROJECT}/regions/{REGION}/sslCertificates/c"}
    return up(
        "gce",
        stage="prod",
        images=IMAGES,
        secrets=["hub-token"],
        endpoints={"default": {**tls, "hostname": "digits.example.com", "allowed_ranges": ["203.0.113.0/24"]}},
    )


@cache
def vertex() -> Recorded:
    return up("vertex", stage="prod", endpoints={"default": {}, "inside": {"exposure": "private"}}, **RICH)


@cache
def bare(target: str) -> Recorded:
    return up(target)


def key_of(seen: Recorded) -> str:
    key = seen.one("CryptoKey").outputs
    return f"{key['keyRing']}/cryptoKeys/{key['name']}"


def promised(seen: Recorded) -> Outputs:
    assert isinstance(seen.result, Outputs)
    return seen.result


ALL = pytest.mark.parametrize("seen", [machines, production, vertex], ids=lambda one: one.__name__)
