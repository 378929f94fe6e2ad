"""The program and its components under Pulumi's mocks: what is declared, of what, with what inputs."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.local.target import provision, this_machine
from infra.program import TARGETS
from skylift.stack import outputs as contract
from skylift.stack import settings
from skylift.stack.settings import BucketSettings, EndpointSettings, Settings

# Pulumi's mocks do not close the event loops that they open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.seen: dict[str, pulumi.runtime.MockResourceArgs] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.seen[args.name] = args
        url = {"url": f"http://127.0.0.1/{args.name}"} if args.typ.endswith("Supervisor") else {}
        return f"{args.name}-id", {**args.inputs, **url}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"nothing here calls {args.token}")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    yield Recorder()
    gc.collect()  # what the mocks left is warned of here, and not in the next test


def _provision(recorder: Recorder, wanted: Settings, root: Path) -> contract.Outputs:
    async def run() -> contract.Outputs | None:
        pulumi.runtime.set_mocks(recorder, project="skylift", stack="local", preview=False)
        return await provision(wanted, "local", root).future()

    found = asyncio.run(run())
    assert found is not None
    return found


def test_a_stack_is_two_folders_and_a_supervisor_per_endpoint(recorder: Recorder, tmp_path: Path) -> None:
    wanted = Settings(target="local", endpoints={"default": EndpointSettings(), "extra": EndpointSettings(port=8502)})
    promised = _provision(recorder, wanted, tmp_path)
    assert {name: args.typ.rpartition(":")[2] for name, args in recorder.seen.items()} == {
        "buckets": "Buckets",
        "keep": "Folder",
        "work": "Folder",
        "default": "Endpoint",
        "default-supervisor": "Supervisor",
        "extra": "Endpoint",
        "extra-supervisor": "Supervisor",
    }
    assert recorder.seen["buckets"].typ == "skylift:local:Buckets"
    assert list(promised.endpoints) == ["default", "extra"]
    assert promised.endpoints["extra"].url == "http://127.0.0.1/extra-supervisor"
    assert promised.buckets.keep == (tmp_path / ".skylift/buckets/local/keep").as_uri()
    assert recorder.seen["extra-supervisor"].inputs["keep"] == promised.buckets.keep


def test_every_setting_of_an_endpoint_reaches_its_supervisor(recorder: Recorder, tmp_path: Path) -> None:
    wanted = EndpointSettings(port=1, workers=2, threads=3, queue_rows=99, max_batch_rows=5, drain_seconds=6.5)
    _provision(recorder, Settings(target="local", endpoints={"default": wanted}), tmp_path)
    inputs = recorder.seen["default-supervisor"].inputs
    assert {name: inputs[name] for name in settings.LOCAL_FIELDS} == {
        name: getattr(wanted, name) for name in settings.LOCAL_FIELDS
    }


def test_a_named_bucket_is_used_and_is_no_resource(recorder: Recorder, tmp_path: Path) -> None:
    theirs = (tmp_path / "theirs").as_uri()
    (tmp_path / "theirs").mkdir()
    promised = _provision(recorder, Settings(target="local", buckets=BucketSettings(keep=theirs)), tmp_path)
    assert promised.buckets.keep == theirs
    assert "keep" not in recorder.seen
    assert "work" in recorder.seen


@pytest.mark.parametrize("disposable", [True, False])
def test_only_a_disposable_stack_deletes_data(recorder: Recorder, tmp_path: Path, disposable: bool) -> None:
    _provision(recorder, Settings(target="local", disposable=disposable), tmp_path)
    assert recorder.seen["keep"].inputs["delete_data"] is disposable


def test_what_is_promised_survives_the_way_through_the_engine(recorder: Recorder, tmp_path: Path) -> None:
    promised = _provision(recorder, Settings(target="local"), tmp_path)
    assert contract.decode(contract.encode(promised), "local") == promised


def test_there_is_a_room_for_every_target() -> None:
    assert tuple(TARGETS) == settings.TARGETS


def test_the_pool_is_this_machine() -> None:
    pool = this_machine()
    assert pool.accelerator == "cpu"
    assert pool.cpus >= 1
    assert pool.memory > 0.5
