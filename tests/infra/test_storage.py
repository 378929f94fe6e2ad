import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.local.dynamic import said
from infra.local.storage import FolderProvider, check_named
from skylift.errors import ConflictError, MachineError, NotFoundError
from skylift.stack.local import KINDS, LocalFolders, owner

PROVIDER = FolderProvider()


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    path = LocalFolders(tmp_path, "local").bucket("keep")
    return {
        "path": str(path),
        "url": path.as_uri(),
        "owner": {"project": "skylift", "stack": "local", "kind": "keep"},
        "delete_data": False,
    }


def test_is_the_owners_alone_and_nothing_of_ours_lies_inside(inputs: dict[str, Any]) -> None:
    PROVIDER.create(inputs)
    path = Path(inputs["path"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert list(path.iterdir()) == []
    assert owner(path) == inputs["owner"]


def test_outlives_a_delete_and_is_taken_up_again(inputs: dict[str, Any]) -> None:
    PROVIDER.create(inputs)
    (Path(inputs["path"]) / "model").write_text("weights")
    PROVIDER.delete("id", inputs)
    assert PROVIDER.check({}, inputs).failures == []
    PROVIDER.create(inputs)
    assert (Path(inputs["path"]) / "model").read_text() == "weights"


def test_is_deleted_with_all_that_is_in_it_where_that_was_asked_for(inputs: dict[str, Any]) -> None:
    PROVIDER.create(inputs)
    (Path(inputs["path"]) / "model").write_text("weights")
    PROVIDER.delete("id", {**inputs, "delete_data": True})
    assert not Path(inputs["path"]).parent.exists()


def test_a_folder_with_files_of_somebody_else_is_refused_and_never_deleted(inputs: dict[str, Any]) -> None:
    path = Path(inputs["path"])
    path.mkdir(parents=True)
    (path / "thesis").write_text("years")
    (failure,) = PROVIDER.check({}, inputs).failures or []
    assert failure.reason.startswith("ConflictError: ")
    assert "skylift:buckets.keep" in failure.reason
    with pytest.raises(ConflictError):
        PROVIDER.create(inputs)
    PROVIDER.delete("id", {**inputs, "delete_data": True})
    assert (path / "thesis").exists()


def test_a_deleted_folder_is_seen_with_and_without_refresh(inputs: dict[str, Any]) -> None:
    PROVIDER.create(inputs)
    assert PROVIDER.read("id", inputs).id == "id"
    assert PROVIDER.diff("id", inputs, inputs).changes is False
    Path(inputs["path"]).rmdir()
    assert PROVIDER.read("id", inputs).id is None
    assert PROVIDER.diff("id", inputs, inputs).changes is True
    PROVIDER.update("id", inputs, inputs)
    assert Path(inputs["path"]).is_dir()


def test_becoming_disposable_is_a_change_in_place(inputs: dict[str, Any]) -> None:
    PROVIDER.create(inputs)
    found = PROVIDER.diff("id", inputs, {**inputs, "delete_data": True})
    assert (found.changes, found.replaces) == (True, [])


def test_a_folder_that_cannot_be_made_is_a_fault_of_the_machine(inputs: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / ".skylift").write_text("in the way")
    with pytest.raises(MachineError, match="cannot be made"):
        PROVIDER.create(inputs)


def test_a_named_bucket_must_exist_and_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"skylift:buckets\.keep names"):
        check_named("keep", (tmp_path / "absent").as_uri())
    assert not (tmp_path / "absent").exists()
    there = tmp_path / "there"
    there.mkdir()
    check_named("work", there.as_uri())
    assert list(there.iterdir()) == []


def test_an_error_is_text_that_the_engine_room_reads_back() -> None:
    assert said(MachineError("no disk", hint="buy one")) == "MachineError: no disk\n  hint: buy one"


def test_both_buckets_of_a_stack_may_be_deleted_at_once(tmp_path: Path) -> None:
    folders = LocalFolders(tmp_path, "local")
    for _ in range(50):
        props = [
            {
                "path": str(folders.bucket(kind)),
                "url": folders.bucket(kind).as_uri(),
                "owner": {"project": "skylift", "stack": "local", "kind": kind},
                "delete_data": True,
            }
            for kind in KINDS
        ]
        with ThreadPoolExecutor(2) as both:
            for made in both.map(PROVIDER.create, props):
                assert made.outs
            assert list(both.map(lambda prop: PROVIDER.delete("id", prop), props)) == [None, None]
        assert not folders.bucket("keep").parent.exists()
