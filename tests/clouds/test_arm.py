"""The client of Azure's resource manager, against the simulated one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from skylift.clouds.azure import URL, Client
from skylift.errors import CredentialsError, NotFoundError, SkyliftError, UnreachableError
from tests.clouds import arm
from tests.clouds.cloud import SimulatedCloud

GROUP = f"/subscriptions/{SimulatedCloud().world.subscription}/resourceGroups/theirs/providers"
REGISTRIES = f"/subscriptions/{SimulatedCloud().world.subscription}/providers/Microsoft.ContainerRegistry/registries"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[arm.Arm]:
    cloud = SimulatedCloud()
    for name in ("one", "two", "three"):
        cloud.existing(arm.REGISTRY, f"{GROUP}/Microsoft.ContainerRegistry/registries/{name}", {})
    with arm.serve(cloud) as (found, variables):
        for key, value in variables.items():
            monkeypatch.setenv(key, value)
        yield found


def client(pauses: list[float] | None = None) -> Client:
    return Client(arm.TOKEN, pause=(pauses if pauses is not None else []).append)


def test_lists_are_read_to_their_end(manager: arm.Arm) -> None:
    manager.pages = True
    assert [one["name"] for one in client().list(REGISTRIES, "2023-07-01")] == ["one", "two", "three"]


def test_the_token_goes_to_no_other_address(manager: arm.Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm.Arm, "answer", lambda *_: (200, {"value": [], "nextLink": "http://127.0.0.1:9/x"}))
    with pytest.raises(UnreachableError, match="next page elsewhere"):
        client().list(REGISTRIES, "2023-07-01")


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (401, CredentialsError, 1),
        (403, CredentialsError, 1),
        (404, NotFoundError, 1),
        (429, UnreachableError, 3),
        (503, UnreachableError, 3),
    ],
)
def test_refusals_are_told_apart_and_few_are_tried_again(
    manager: arm.Arm, status: int, kind: type[SkyliftError], tries: int
) -> None:
    manager.status = status
    pauses: list[float] = []
    with pytest.raises(kind) as raised:
        client(pauses).get(REGISTRIES, "2023-07-01")
    assert len(manager.asked) == tries == len(pauses) + 1
    assert arm.TOKEN not in f"{raised.value.message} {raised.value.hint}"


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 does not answer"):
        client().get(REGISTRIES, "2023-07-01")


def test_a_proxys_page_is_no_answer(manager: arm.Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    answer: Any = (200, "please sign in")
    monkeypatch.setattr(arm.Arm, "answer", lambda *_: answer)
    with pytest.raises(UnreachableError, match="not Azure's resource manager"):
        client().get(REGISTRIES, "2023-07-01")
