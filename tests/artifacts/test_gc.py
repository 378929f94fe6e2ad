from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from skylift.artifacts import datasets, endpoints, gc, layout, models, runs
from skylift.artifacts.records import ModelManifest, ModelRef, RunResult, RunSpec, now
from skylift.errors import ConflictError
from skylift.store import Store

Age = Callable[..., None]
Spec = Callable[..., RunSpec]
Result = Callable[..., RunResult]
LONG_AGO = now() - timedelta(days=40)


def named(items: list[gc.Item], kind: str) -> dict[str, gc.Item]:
    return {item.name: item for item in items if item.kind == kind}


def run_id(number: int) -> str:
    return f"20260301t000000-{number:06x}"


def keep_files(keep: Store) -> Path:
    """A folder with a file that a chain has beside its manifest."""
    assert keep.folder is not None
    folder = keep.folder.parent / "chain-files"
    folder.mkdir()
    (folder / "sharding.json").write_text("{}")
    return folder


@pytest.fixture
def add_run(keep: Store, work: Store, spec: Spec, result: Result) -> Callable[..., str]:
    def add(number: int, state: str = "", **fields: object) -> str:
        runs.create_run(keep, spec(run_id(number), **fields))
        if state:
            runs.write_result(keep, result(run_id(number), state, ended=LONG_AGO))
        work.create(f"{layout.checkpoint(run_id(number), 7)}/state.bin", b"c" * 100)
        work.create(f"{layout.logs(run_id(number))}/00000000", b"l" * 10)
        work.create(f"{layout.events(run_id(number))}/00000000.jsonl", b"e" * 5)
        return run_id(number)

    return add


@pytest.fixture
def publish(keep: Store, tmp_path: Path, manifest: Callable[..., ModelManifest]) -> Callable[..., None]:
    def make(count: int, **fields: object) -> None:
        (tmp_path / "export").mkdir(exist_ok=True)
        for n in range(count):
            (tmp_path / "export" / "model.onnx").write_text(f"weights {n}")
            models.publish(keep, "mnist", tmp_path / "export", manifest(**fields))

    return make


class TestRuns:
    def test_checkpoints_of_ended_runs_may_go_those_of_live_ones_stay(
        self, keep: Store, work: Store, add_run: Callable[..., str]
    ) -> None:
        ended = {add_run(n, state): state for n, state in enumerate(["succeeded", "failed", "cancelled"])}
        add_run(10)
        found = named(gc.plan(keep, work), "checkpoints")
        assert set(found) == set(ended)
        assert {item.bytes for item in found.values()} == {100}
        assert "has failed" in found[run_id(1)].why

    def test_what_a_live_run_goes_on_from_stays(self, keep: Store, work: Store, add_run: Callable[..., str]) -> None:
        add_run(1, "failed")
        add_run(2, "failed")
        add_run(3, resumed_from=run_id(1))
        assert set(named(gc.plan(keep, work), "checkpoints")) == {run_id(2)}

    def test_logs_stay_for_a_while(self, keep: Store, work: Store, add_run: Callable[..., str], age: Age) -> None:
        add_run(1, "succeeded")
        add_run(2)
        assert named(gc.plan(keep, work), "logs") == {}
        age(work, "", timedelta(days=31))
        found = named(gc.plan(keep, work), "logs")
        assert set(found) == {run_id(1)} and found[run_id(1)].bytes == 15
        assert named(gc.plan(keep, work, keep_logs=timedelta(days=60)), "logs") == {}

    def test_logs_of_a_groups_members_are_their_runs(
        self, keep: Store, work: Store, add_run: Callable[..., str], age: Age
    ) -> None:
        add_run(1, "succeeded")
        add_run(2)
        for number in (1, 2):
            work.create(f"{layout.logs(run_id(number), 1)}/00000000", b"m" * 10)
        age(work, "", timedelta(days=31))
        assert set(named(gc.plan(keep, work), "logs")) == {run_id(1), f"{run_id(1)}.1"}

    def test_an_old_run_without_result_loses_nothing(
        self, keep: Store, work: Store, add_run: Callable[..., str], age: Age
    ) -> None:
        add_run(1)
        age(keep)
        age(work)
        assert gc.plan(keep, work) == []

    def test_leftovers_of_a_run_that_is_gone(self, keep: Store, work: Store, age: Age) -> None:
        work.create(f"{layout.checkpoint(run_id(1), 7)}/state.bin", b"c")
        assert gc.plan(keep, work) == []
        age(work)
        assert [item.why.split(";")[0] for item in gc.plan(keep, work)] == ["there is no such run"]


class TestVersions:
    def test_never_deployed_and_not_among_the_newest(
        self, keep: Store, work: Store, publish: Callable[..., None], age: Age
    ) -> None:
        publish(6)
        for version in (1, 2):
            endpoints.deploy(keep, "digits", models.resolve(keep, f"mnist:{version}"), by="ada")
        assert gc.plan(keep, work, keep_versions=2) == []
        age(keep)
        found = named(gc.plan(keep, work, keep_versions=2), "model")
        assert set(found) == {"mnist:3", "mnist:4"}
        assert found["mnist:3"].bytes == sum(
            stat.size for stat in keep.list(found["mnist:3"].keys[0].rpartition("/")[0])
        )
        assert found["mnist:3"].keys[0].endswith("/manifest.json")
        assert set(named(gc.plan(keep, work, keep_versions=0), "model")) == {f"mnist:{n}" for n in (3, 4, 5, 6)}

    def test_parts_of_a_chain_that_was_deployed_stay(
        self, keep: Store, work: Store, publish: Callable[..., None], manifest: Callable[..., ModelManifest], age: Age
    ) -> None:
        publish(4)
        parts = [models.resolve(keep, f"mnist:{version}") for version in (1, 2)]
        chain = models.publish(keep, "chain", keep_files(keep), manifest(chain=parts))
        ref = ModelRef(name="chain", version=chain.version, digest=chain.digest)
        endpoints.deploy(keep, "digits", ref, by="ada")
        age(keep)
        assert set(named(gc.plan(keep, work, keep_versions=0), "model")) == {"mnist:3", "mnist:4"}
        with pytest.raises(ConflictError, match="mnist:1 is what endpoint digits serves"):
            models.remove_version(keep, parts[0])

    def test_what_was_deployed_meanwhile_is_refused(
        self, keep: Store, work: Store, publish: Callable[..., None], age: Age
    ) -> None:
        publish(2)
        age(keep)
        items = gc.plan(keep, work, keep_versions=1)
        endpoints.deploy(keep, "digits", models.resolve(keep, "mnist:1"), by="ada")
        with pytest.raises(ConflictError, match="endpoint digits"):
            gc.carry_out(items)
        models.verify(keep, models.resolve(keep, "mnist:1"))

    def test_datasets_and_code_that_nothing_refers_to(
        self,
        keep: Store,
        work: Store,
        tmp_path: Path,
        publish: Callable[..., None],
        add_run: Callable[..., str],
        age: Age,
    ) -> None:
        (tmp_path / "data").mkdir()
        refs = []
        for n in range(5):
            (tmp_path / "data" / "rows.csv").write_text(f"{n}\n")
            refs.append(datasets.publish(keep, "digits", tmp_path / "data"))
            age(keep, layout.dataset(*refs[-1].split("@")), timedelta(days=40 - n))
        for digest in ("aa", "bb"):
            keep.create(layout.code(digest), b"code")
        publish(1, dataset=refs[1])
        add_run(1, "succeeded", dataset=refs[2], code="aa")
        age(keep, "code")
        found = gc.plan(keep, work)
        digests = [ref.split("@")[1][:12] for ref in refs]
        assert set(named(found, "dataset")) == {f"digits@{digests[0]}", f"digits@{digests[3]}"}
        assert set(named(found, "code")) == {"bb"}

    def test_an_upload_that_is_under_way_stays(self, keep: Store, work: Store, age: Age) -> None:
        """Its files may be links to old ones, so their own time says nothing."""
        keep.create("datasets/digits/1/rows.csv", b"1\n")
        age(keep)
        keep.copy("datasets/digits/1/rows.csv", "datasets/digits/2/rows.csv")
        keep.delete(["datasets/digits/1/rows.csv"])
        assert gc.plan(keep, work) == []
        assert [item.name for item in gc.plan(keep, work, young=timedelta(seconds=-1))] == ["digits@2"]


def test_carrying_out_removes_what_was_named_and_nothing_else(
    keep: Store, work: Store, publish: Callable[..., None], add_run: Callable[..., str], age: Age
) -> None:
    publish(4)
    add_run(1, "failed")
    add_run(2)
    age(keep)
    age(work)
    items = gc.plan(keep, work, keep_versions=1)
    before = {stat.key for store in (keep, work) for stat in store.list()}
    assert gc.carry_out(items) == sum(item.bytes for item in items) > 0
    after = {stat.key for store in (keep, work) for stat in store.list()}
    assert before - after == {key for item in items for key in item.keys}
    assert gc.plan(keep, work, keep_versions=1) == []
    models.verify(keep, models.resolve(keep, "mnist:4"))
    assert list(work.folders("checkpoints")) == [run_id(2)]
