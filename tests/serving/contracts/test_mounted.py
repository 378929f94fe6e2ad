"""The forms in which services put models into folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.contracts.mounted import find_models
from serving.contracts.room import check_room, free_memory
from serving.interface import StatusError
from skylift.errors import InputError
from tests.serving.contracts.services import Place


def found(root: Path) -> dict[str, str]:
    return {one.name: str(Path(one.base_path).relative_to(root)) for one in find_models(str(root))}


class TestForms:
    @pytest.mark.parametrize(
        ("folders", "models"),
        [
            ([""], {"model": "."}),
            (["1"], {"model": "."}),
            (["1", "2"], {"model": "."}),
            (["half/00000123"], {"half": "half"}),
            (["half/1", "third/1", "third/2"], {"half": "half", "third": "third"}),
            (["model"], {"model": "model"}),
            (["INPUT_model_path/my model/3"], {"my model": "INPUT_model_path/my model"}),
            (["1", "code"], {"model": "."}),
        ],
    )
    def test_they_are_found(self, place: Place, folders: list[str], models: dict[str, str]) -> None:
        for folder in folders:
            place.put(folder) if folder else (place.models / "model.onnx").write_bytes(b"x")
        assert found(place.models) == models

    def test_a_manifest_of_ours_says_the_name(self, place: Place) -> None:
        place.publish("anything", "mnist", 2)
        assert found(place.models) == {"mnist": "anything"}

    def test_nothing_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no model"):
            find_models(str(tmp_path))

    def test_two_of_one_name_are_refused(self, place: Place) -> None:
        place.put("a/half/1")
        place.put("b/half/1")
        with pytest.raises(InputError, match="several models called 'half'"):
            find_models(str(place.models))

    def test_of_a_bucket_nothing_is_asked_yet(self) -> None:
        (only,) = find_models("gs://nowhere/artifacts")
        assert (only.name, only.base_path, only.is_mounted) == ("model", "gs://nowhere/artifacts", True)


class TestRoom:
    def test_what_does_not_fit_is_507(self) -> None:
        with pytest.raises(StatusError, match="memory is short") as refused:
            check_room(2**30, 2, 3 * 2**30)
        assert refused.value.http == 507
        check_room(2**30, 1, 3 * 2**30)
        check_room(2**40, 1, None)

    def test_the_tightest_group_counts_without_what_may_go(self, tmp_path: Path) -> None:
        inner = tmp_path / "groups" / "a" / "b"
        inner.mkdir(parents=True)
        (inner / "memory.max").write_text("max\n")
        (inner / "memory.current").write_text("5\n")
        (inner.parent / "memory.max").write_text("1000\n")
        (inner.parent / "memory.current").write_text("700\n")
        (inner.parent / "memory.stat").write_text("anon 300\ninactive_file 200\n")
        (tmp_path / "own").write_text("0::/a/b\n")
        (tmp_path / "machine").write_text("MemTotal: 9 kB\nMemAvailable: 4 kB\n")
        assert free_memory(tmp_path / "groups", tmp_path / "own", tmp_path / "machine") == 500
        (inner.parent / "memory.max").write_text("9000\n")
        assert free_memory(tmp_path / "groups", tmp_path / "own", tmp_path / "machine") == 4096

    def test_the_older_groups(self, tmp_path: Path) -> None:
        group = tmp_path / "memory" / "a"
        group.mkdir(parents=True)
        (group / "memory.limit_in_bytes").write_text("1000\n")
        (group / "memory.usage_in_bytes").write_text("700\n")
        (tmp_path / "own").write_text("4:cpu,cpuacct:/x\n3:memory:/a\n")
        assert free_memory(tmp_path, tmp_path / "own", tmp_path / "none") == 300

    def test_nobody_knows_elsewhere(self, tmp_path: Path) -> None:
        assert free_memory(tmp_path, tmp_path / "none", tmp_path / "none") is None
