"""Versions that are brought from a bucket: whole, once, gone on with, and removed when nobody needs them."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.interface import ModelConfig
from serving.sources import fetch
from serving.sources.bases import StoreBase
from serving.sources.fetch import NotWholeError, Versions
from serving.sources.folders import Source
from skylift.artifacts.records import FileEntry, Format, ModelManifest, Signature, encode, now
from skylift.errors import MachineError, UnreachableError
from skylift.files import PIECE
from skylift.store import Store, open_store
from tests.serving.sources.conftest import ONNX, BucketPlace, Clock


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A folder that is used as a bucket."""
    (tmp_path / "bucket").mkdir()
    made = open_store((tmp_path / "bucket").as_uri())
    for path, data in ONNX.items():
        made.put(f"1/{path}", data)
    return made


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "cache")


def bring(store: Store, versions: Versions, name: str = "1", owner: str = "m") -> Path:
    base = StoreBase(store, versions)
    return base.bring(name, base.listing(name), owner)


def left(tmp_path: Path) -> list[str]:
    return sorted(path.relative_to(tmp_path / "cache").as_posix() for path in (tmp_path / "cache").rglob("*"))


def count_reads(monkeypatch: pytest.MonkeyPatch, break_after: int | None = None) -> list[str]:
    """Reads of the bucket from now on; the way there breaks after so many."""
    reads: list[str] = []
    real = Store.read_range

    def read_range(self: Store, key: str, start: int, length: int, **options: Any) -> bytes:
        if break_after is not None and len(reads) >= break_after:
            raise UnreachableError("gone")
        reads.append(f"{key}@{start}")
        return real(self, key, start, length, **options)

    monkeypatch.setattr(Store, "read_range", read_range)
    return reads


def test_a_version_is_brought_once(store: Store, versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bring(store, versions)
    assert (folder / "model.onnx").read_bytes() == ONNX["model.onnx"]
    reads = count_reads(monkeypatch)
    assert bring(store, versions) == bring(store, Versions(versions._root)) == folder
    assert reads == []


def test_other_content_never_takes_the_place_of_what_is_served(store: Store, versions: Versions) -> None:
    first = bring(store, versions)
    store.put("1/more", b"x")
    second = bring(store, versions)
    assert first != second
    assert [path.name for path in first.iterdir()] == ["model.onnx"]


def test_a_break_is_gone_on_from(store: Store, versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(2 * PIECE) + b"end"
    store.put("1/weights", data)
    with monkeypatch.context() as broken:
        count_reads(broken, break_after=2)
        with pytest.raises(UnreachableError):
            bring(store, versions)
    assert not list(versions._root.rglob("weights"))
    reads = count_reads(monkeypatch)
    assert (bring(store, versions) / "weights").read_bytes() == data
    assert reads == [f"1/weights@{PIECE}", f"1/weights@{2 * PIECE}"]


def test_large_files_are_not_fetched_for_a_version_that_lacks_some(
    store: Store, versions: Versions, monkeypatch: pytest.MonkeyPatch, saved_models: Path
) -> None:
    for path in ("saved_model.pb", "variables/variables.data-00000-of-00001", "assets/vocabulary.txt"):
        store.put(f"2/{path}", (saved_models / "line" / path).read_bytes())
    reads = count_reads(monkeypatch)
    with pytest.raises(NotWholeError, match=r"variables/variables.index is missing"):
        bring(store, versions, "2")
    assert reads == ["2/saved_model.pb@0"]


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(
    store: Store, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = StoreBase(store, versions)
    listing = base.listing("1")
    store.put("1/model.onnx", bytes(len(ONNX["model.onnx"])))
    with pytest.raises(Exception, match="was changed while it was read"):
        base.bring("1", listing, "m")


def test_a_disk_without_room_is_named_before(store: Store, versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(MachineError, match=r"no room for \d+ more bytes in .*/cache: the disk has 10 left") as raised:
        bring(store, versions)
    assert "--cache" in raised.value.hint


def test_a_disk_that_fills_up_is_named(store: Store, versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Iterator[bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "read_ahead", full)
    with pytest.raises(MachineError, match="the disk is full"):
        bring(store, versions)


def test_a_folder_that_may_not_be_written_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match="cannot write"):
        bring(store, Versions(tmp_path / "file"))


def test_what_nobody_needs_is_removed(store: Store, versions: Versions, tmp_path: Path) -> None:
    first = bring(store, versions)
    store.put("2/model.onnx", ONNX["model.onnx"])
    second = bring(store, versions, "2")
    versions.keep(store.url, "m", [second])
    assert not first.exists()
    assert second.exists()
    versions.keep(store.url, "m", [])
    assert [name for name in left(tmp_path) if "/" in name] == []


def test_what_another_model_needs_stays(store: Store, versions: Versions) -> None:
    folder = bring(store, versions, owner="a")
    bring(store, versions, owner="b")
    versions.keep(store.url, "a", [])
    assert folder.exists()
    versions.keep(store.url, "b", [])
    assert not folder.exists()


def test_what_another_server_holds_stays(store: Store, versions: Versions) -> None:
    folder = bring(store, versions)
    other = Versions(versions._root)
    bring(store, other)
    versions.keep(store.url, "m", [])
    assert folder.exists()
    other.keep(store.url, "m", [])
    assert not folder.exists()


def test_a_new_start_removes_what_an_old_one_left(
    store: Store, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("2/weights", bytes(2 * PIECE))
    store.put("2/model.onnx", ONNX["model.onnx"])
    with monkeypatch.context() as broken:
        count_reads(broken, break_after=2)
        with pytest.raises(UnreachableError):
            bring(store, versions, "2")
    assert list(versions._root.rglob("*.part"))
    versions.keep(store.url, "m", [])
    assert list(versions._root.rglob("*.part")) == []


def published(damage: bytes | None = None) -> dict[str, bytes]:
    """A version of ours."""
    made = {"model.onnx": ONNX["model.onnx"], "samples/x.json": b"{}"}
    files = [
        FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in made.items()
    ]
    manifest = ModelManifest(
        name="m",
        created=now(),
        by="test",
        signature=Signature(inputs=[], outputs=[]),
        formats={"onnx": Format(path="model.onnx")},
        files=files,
    )
    if damage is not None:
        made["model.onnx"] = damage
    return {"manifest.json": encode(manifest), **made}


def test_a_version_of_ours_is_taken_at_once(bucket: BucketPlace, clock: Clock) -> None:
    clock.age = 0.0
    files = published()
    source = bucket.source()
    for path, data in files.items():
        assert source.look().wanted == {}
        bucket.write(f"1/{path}", data)
    assert list(source.look().wanted) == [1]


@pytest.mark.parametrize("is_local", [True, False])
def test_a_damaged_version_of_ours_is_refused(
    bucket: BucketPlace, tmp_path: Path, clock: Clock, is_local: bool
) -> None:
    wrong = bytes(len(ONNX["model.onnx"]))
    source = bucket.source()
    if is_local:
        source = Source(ModelConfig("m", str(tmp_path / "models")), Versions(tmp_path / "cache"), now=clock)
    for path, data in published(damage=wrong).items():
        bucket.write(f"1/{path}", data)
        (tmp_path / "models" / "1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / "1" / path).write_bytes(data)
    found = source.look()
    assert found.wanted == {}
    assert found.waiting[1].endswith("is not whole: model.onnx is not what was published")


def test_a_failed_fetch_is_tried_again_ever_later(
    bucket: BucketPlace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.write("1/model.onnx", ONNX["model.onnx"])
    source = bucket.source()
    attempts, began = 0, clock.now

    def broken(*_: object, **__: object) -> bytes:
        nonlocal attempts
        attempts += 1
        raise MachineError("the disk is full")

    with monkeypatch.context() as breaking:
        breaking.setattr(Store, "read_range", broken)
        for moment, count in ((0, 1), (0.9, 1), (1, 2), (2.9, 2), (3, 3), (6.9, 3), (7, 4)):
            clock.now = began + moment
            assert dict(source.look().waiting) == {1: "the disk is full"}
            assert attempts == count
    clock.now += 60
    assert list(source.look().wanted) == [1]
