"""Which versions are found and served, on files and in a bucket, whatever happens there meanwhile."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from serving.interface import ModelConfig
from serving.sources.fetch import Versions
from serving.sources.folders import Found, Source, version_of
from skylift.errors import InputError, NotFoundError, SkyliftError
from tests.serving.sources.conftest import ONNX, BucketPlace, Clock, FilePlace, Place, contents


def put(place: Place, version: str, files: dict[str, bytes] | None = None) -> None:
    for path, data in (files or dict(ONNX)).items():
        place.write(f"{version}/{path}", data)


def served(found: Found) -> list[int]:
    for folder in found.wanted.values():
        assert folder.is_dir()
    return sorted(found.wanted)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("0", 0),
        ("00123", 123),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("", None),
        ("v1", None),
        ("1.0", None),
        ("-1", None),
        ("1_0", None),
        (" 1", None),
        ("٣", None),
        ("1" * 5000, None),
    ],
)
def test_a_version_is_a_number(name: str, version: int | None) -> None:
    assert version_of(name) == version


@pytest.mark.parametrize(
    ("config", "versions"),
    [
        ({}, [12]),
        ({"latest": 2}, [3, 12]),
        ({"latest": 9}, [1, 3, 12]),
        ({"latest": None}, [1, 3, 12]),
        ({"latest": None, "specific": (1, 12)}, [1, 12]),
        ({"latest": None, "specific": (4,)}, []),
    ],
)
def test_the_policy_says_which_versions_are_served(
    place: Place, config: dict[str, object], versions: list[int]
) -> None:
    for version in ("1", "3", "0012", "temp", ".hidden"):
        put(place, version)
    place.write("README.md", b"not a version")
    assert served(place.source(**config).look()) == versions


def test_a_version_that_was_asked_for_and_is_not_there_is_named(place: Place) -> None:
    put(place, "1")
    found = place.source(latest=None, specific=(1, 4)).look()
    assert found.notes == (f"version 4 was asked for, and is not there: {place.url}",)


def test_of_two_folders_of_one_version_one_is_taken(place: Place) -> None:
    for name in ("1", "01", "001"):
        put(place, name, {"model.onnx": ONNX["model.onnx"], name: b""})
    found = place.source().look()
    assert sorted(path.name for path in found.wanted[1].iterdir()) == ["1", "model.onnx"]
    assert "version 1 has two folders: '1' is taken, '01' is not" in found.notes


def test_what_is_new_must_look_the_same_twice(place: Place, clock: Clock) -> None:
    clock.age = 5.0
    put(place, "1")
    source = place.source()
    found = source.look()
    assert (served(found), dict(found.waiting)) == ([], {1: "its files still change"})
    clock.now += place.seconds - 0.1
    assert served(source.look()) == []
    clock.now += 0.1
    assert served(source.look()) == [1]


def test_what_changes_is_waited_for(place: Place, clock: Clock) -> None:
    clock.age = 5.0
    source = place.source()
    for more in range(5):
        put(place, "1", {"model.onnx": ONNX["model.onnx"], f"extra{more}": b""})
        assert served(source.look()) == []
        clock.now += 10
    source.look()
    clock.now += 10
    assert served(source.look()) == [1]


def test_a_file_that_was_written_just_now_is_waited_for(tmp_path: Path, clock: Clock) -> None:
    clock.age = 0.5
    place = FilePlace(tmp_path / "models", clock)
    put(place, "1")
    source = place.source()
    source.look()
    clock.now += 10
    assert served(source.look()) == []
    clock.age = 1.5
    assert served(source.look()) == [1]


def test_a_clock_that_was_set_back_does_not_matter(place: Place, clock: Clock) -> None:
    clock.age = -5000.0
    put(place, "1")
    source = place.source()
    source.look()
    clock.now += 10
    assert served(source.look()) == [1]


def test_what_serves_stays_until_the_new_version_is_whole(place: Place, clock: Clock, saved_models: Path) -> None:
    """Every file of a SavedModel arrives in every order (in a bucket in some), and between two of them any time may pass."""
    files = contents(saved_models / "line")
    needed = [path for path in files if path != "fingerprint.pb" and not path.startswith("assets.extra")]
    assert len(needed) == 4
    put(place, "1")
    source = place.source()
    assert served(source.look()) == [1]
    orders = list(permutations(needed))[:: 1 if isinstance(place, FilePlace) else 5]
    for number, order in enumerate(orders, 2):
        for path in order[:-1]:
            place.write(f"{number}/{path}", files[path])
            assert served(source.look()) == [number - 1]
        found = source.look()
        assert "missing" in found.waiting[number] or "none of" in found.waiting[number]
        place.write(f"{number}/{order[-1]}", files[order[-1]])
        found = source.look()
        assert served(found) == [number]
        assert {path: (found.wanted[number] / path).read_bytes() for path in needed} == {
            one: files[one] for one in needed
        }
        source.keep(found.wanted.values())


def test_a_file_that_grows_is_not_whole(tmp_path: Path, clock: Clock, saved_models: Path) -> None:
    files = contents(saved_models / "line")
    place = FilePlace(tmp_path / "models", clock)
    put(place, "1", files)
    for path, data in files.items():
        if path not in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
            continue
        for size in (0, 1, len(data) // 2, len(data) - 1):
            place.write(f"1/{path}", data[:size])
            found = place.source().look()
            assert served(found) == [], (path, size)
            assert path in found.waiting[1]
        place.write(f"1/{path}", data)
    assert served(place.source().look()) == [1]


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx.tmp",
        "x/.model.onnx.Ab12Cd",
        "model.onnx._COPYING_",
        "w.part",
        "w_.gstmp",
        "v/variables_temp/part-0",
        "a#7",
    ],
)
def test_a_name_of_what_is_being_written_is_waited_for(tmp_path: Path, clock: Clock, name: str) -> None:
    place = FilePlace(tmp_path / "models", clock)
    put(place, "1")
    place.write(f"1/{name}", b"")
    found = place.source().look()
    assert dict(found.waiting) == {1: f"{tmp_path}/models/1 is not whole: {name} is still being written"}
    place.remove(f"1/{name}")
    assert served(place.source().look()) == [1]


def test_a_version_without_a_model_is_named(place: Place) -> None:
    put(place, "2", {"notes.txt": b"to come"})
    put(place, "1")
    found = place.source().look()
    assert served(found) == [1]
    assert "none of saved_model.pb, *.onnx, *.tflite and manifest.json is there" in found.waiting[2]


def test_a_removed_version_gives_way_to_the_one_before(place: Place) -> None:
    put(place, "1")
    put(place, "2")
    source = place.source()
    assert served(source.look()) == [2]
    place.remove("2/model.onnx")
    assert served(source.look()) == [1]


def test_an_emptied_base_path_unloads_nothing(place: Place) -> None:
    put(place, "1")
    source = place.source()
    source.look()
    place.remove("1/model.onnx")
    found = source.look()
    assert list(found.wanted) == [1]
    assert found.notes == (f"no version is left, what is served stays: {place.url}",)
    put(place, "2")
    assert served(source.look()) == [2]


def test_an_emptied_base_path_unloads_everything_where_that_is_wanted(place: Place) -> None:
    put(place, "1")
    source = place.source(allow_empty=True)
    source.look()
    place.remove("1/model.onnx")
    assert source.look() == Found({})


def test_a_base_path_that_is_gone_is_an_error_and_unloads_nothing(tmp_path: Path, clock: Clock) -> None:
    place = FilePlace(tmp_path / "models", clock)
    put(place, "1")
    source = place.source(allow_empty=True)
    source.look()
    place.root.rename(tmp_path / "elsewhere")
    with pytest.raises(NotFoundError, match="Could not find base path"):
        source.look()
    (tmp_path / "elsewhere").rename(place.root)
    assert served(source.look()) == [1]


def test_a_bucket_that_does_not_answer_is_an_error_and_unloads_nothing(bucket: BucketPlace) -> None:
    put(bucket, "1")
    source = bucket.source()
    source.look()
    bucket.s3.broken = True

    with pytest.raises(SkyliftError):
        _without_retries(source).look()
    bucket.s3.broken = False
    assert served(source.look()) == [1]


def _without_retries(source: Source) -> Source:
    from obstore.store import S3Store

    base = source._opened()
    base._store._raw = S3Store("bucket", prefix="models/m", retry_config={"max_retries": 0})  # type: ignore[attr-defined]
    return source


def test_a_file_url_is_a_folder(tmp_path: Path, clock: Clock) -> None:
    place = FilePlace(tmp_path / "my models", clock)
    put(place, "1")
    config = ModelConfig("m", place.root.as_uri())
    source = Source(config, Versions(tmp_path / "cache"), now=clock, wall=place._wall)
    assert source.look().wanted == {1: place.root / "1"}
    with pytest.raises(InputError, match="no absolute file URL"):
        Source(ModelConfig("m", "file://models"), Versions(tmp_path / "cache")).look()


def test_a_version_behind_a_link_is_followed(tmp_path: Path, clock: Clock) -> None:
    """Kubernetes mounts volumes of several files so."""
    place = FilePlace(tmp_path / "models", clock)
    place.write("..data/model.onnx", ONNX["model.onnx"])
    (place.root / "1").symlink_to("..data")
    assert served(place.source().look()) == [1]


def test_files_are_not_listed_again_once_a_version_is_taken(bucket: BucketPlace) -> None:
    put(bucket, "1")
    source = bucket.source()
    source.look()
    bucket.s3.requests.clear()
    source.look()
    assert len(bucket.s3.requests) == 1


def test_of_a_bucket_only_what_is_served_stays_here(bucket: BucketPlace) -> None:
    put(bucket, "1")
    source = bucket.source()
    first = source.look().wanted[1]
    put(bucket, "2")
    second = source.look().wanted[2]
    source.keep([first, second])
    assert first.exists()
    source.keep([second])
    assert (first.exists(), second.exists()) == (False, True)
    source.keep([])
    assert second.exists()  # the last look found it: whoever loads may not have begun
    source.close()
    assert not second.exists()


def test_what_is_fetched_while_others_are_removed_stays(bucket: BucketPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    put(bucket, "1")
    source = bucket.source(latest=2)
    first = source.look().wanted[1]
    put(bucket, "2")
    put(bucket, "3")
    real = Versions.fetch

    def fetch(*arguments: Any) -> Path:
        source.keep([first])  # as another thread does between two downloads
        return real(*arguments)

    monkeypatch.setattr(Versions, "fetch", fetch)
    assert served(source.look()) == [2, 3]
    assert first.exists()
    source.keep([])
    assert not first.exists()
