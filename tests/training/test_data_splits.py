"""Which row is in which split, and in which shard."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.artifacts import datasets
from skylift.errors import InputError
from skylift.store import open_store
from tests.training.prepared import HEADER, Prepare, memberships, people, preparer, shard_bytes, write
from training.data import adding, array_files, chunks, csv_files, parquet_files, reading, shards, steps
from training.data.adding import Order
from training.data.reading import Shards
from training.data.schema import Asked


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    return preparer(tmp_path)


class TestSplitting:
    @settings(max_examples=12, deadline=None)
    @given(seed=st.integers(0, 1000), pieces=st.integers(1, 7), count=st.integers(40, 120))
    def test_splits_depend_on_neither_order_nor_pieces(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, pieces: int, count: int
    ) -> None:
        rows = people(count, seed)
        shuffled = random.Random(seed).sample(rows, len(rows))
        found = []
        for listed, parts in ((rows, 1), (shuffled, pieces)):
            folder = tmp_path_factory.mktemp("split")
            for part in range(parts):
                write(folder / "in" / f"{part}.csv", listed[part::parts])
            (folder / "keep").mkdir()
            order = Order("made", str(folder / "in"), (folder / "keep").as_uri(), Asked(target="bought", seed=seed))
            added = adding.add(order, lambda *_: None)
            datasets.fetch(open_store(order.keep), added.ref, folder / "out")
            found.append(memberships(folder / "out"))
        assert found[0] == found[1]

    @settings(max_examples=12, deadline=None)
    @given(counts=st.lists(st.integers(10, 90), min_size=2, max_size=5), share=st.sampled_from([0.1, 0.2, 0.33]))
    def test_every_class_has_its_share_in_every_split(
        self, tmp_path_factory: pytest.TempPathFactory, counts: list[int], share: float
    ) -> None:
        folder = tmp_path_factory.mktemp("strata")
        rows = [
            [f"{label}.{number:03}", "Rome", f"class {label}"]
            for label, count in enumerate(counts)
            for number in range(count)
        ]
        (folder / "keep").mkdir()
        asked = Asked(target="bought", test_share=share, validation_share=0.1, types={"age": "number"})
        order = Order("made", str(write(folder / "t.csv", rows)), (folder / "keep").as_uri(), asked)
        splits = adding.add(order, lambda *_: None).description.splits
        assert splits["test"].classes == [max(round(count * share), 1) for count in counts]
        assert splits["validation"].classes == [max(round(count * 0.1), 1) for count in counts]
        assert [sum(each) for each in zip(*(split.classes for split in splits.values()), strict=True)] == counts

    def test_a_leak_between_given_splits_is_found_and_named(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = people(90)
        write(tmp_path / "in" / "train.csv", rows[:70])
        write(tmp_path / "in" / "test.csv", [*rows[70:], rows[5]])
        with pytest.raises(InputError, match="leak") as caught:
            prepare(tmp_path / "in", target="bought")
        leak = caught.value.details["problems"][1]
        assert (leak["file"], leak["row"]) == ("test.csv", 21) and "(train.csv, row 6)" in leak["what"]
        added, _ = prepare(tmp_path / "in", target="bought", leaks="drop")
        assert added.description.splits["test"].rows == 21, "what was set aside stays whole"
        assert added.description.cleaning.leaks_dropped == 1
        assert added.description.splits["train"].rows + added.description.splits["validation"].rows == 69

    @settings(max_examples=10, deadline=None)
    @given(copies=st.sets(st.integers(0, 59), max_size=6))
    def test_all_leaks_of_a_split_column_are_counted(
        self, tmp_path_factory: pytest.TempPathFactory, copies: set[int]
    ) -> None:
        folder = tmp_path_factory.mktemp("leaks")
        rows = [[*row, "train" if at < 60 else "val" if at < 75 else "test"] for at, row in enumerate(people(90, 3))]
        rows += [[*rows[at][:3], "test"] for at in copies]
        (folder / "keep").mkdir()
        source = write(folder / "t.csv", rows, [*HEADER, "part"])
        order = Order("made", str(source), (folder / "keep").as_uri(), Asked(target="bought", split_column="part"))
        if not copies:
            assert [split.rows for split in adding.add(order, lambda *_: None).description.splits.values()] == [
                60,
                15,
                15,
            ]
            return
        with pytest.raises(InputError) as caught:
            adding.add(order, lambda *_: None)
        assert f"{len(copies)} rows leak" in caught.value.details["problems"][0]["what"]
        assert len(caught.value.details["problems"]) == 1 + len(copies)


class TestPieces:
    """A large file is cut; where it is cut changes nothing but the shards."""

    def test_cells_with_line_ends_are_never_cut(
        self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = random.Random(2)
        rows = [
            [f"{rng.random():.5f}", 'a "quoted"\nline, and\n\nmore' * rng.randint(0, 3), rng.choice("ab")]
            for _ in range(400)
        ]
        path = write(tmp_path / "t.csv", rows)
        whole = prepare(path, name="whole", target="bought", types={"city": "text"})
        for module in (csv_files, chunks):
            monkeypatch.setattr(module, "PIECE_BYTES", 2000)
        cut = prepare(path, name="cut", target="bought", types={"city": "text"})
        assert len(cut[0].description.splits["train"].shards) > 5
        assert memberships(cut[1]) == memberships(whole[1])
        assert cut[0].description.cleaning == whole[0].description.cleaning

    def test_rows_are_counted_over_pieces(
        self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = people(300)
        rows[250][0] = "old"
        for row in rows[251:]:
            row[0] = "older"
        for module in (csv_files, chunks):
            monkeypatch.setattr(module, "PIECE_BYTES", 1000)
        with pytest.raises(InputError) as caught:
            prepare(
                write(tmp_path / "t.csv", [*rows, *([["older", "Rome", "yes"]] * 300)]),
                target="bought",
                types={"age": "number"},
            )
        assert caught.value.details["problems"][0]["row"] == 251

    def test_shards_are_limited_and_read_as_one(
        self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x = np.random.default_rng(0).normal(size=(500, 30)).astype(np.float32)
        np.savez(tmp_path / "t.npz", x=x, y=np.arange(500) % 2)
        whole = np.asarray(reading.read(prepare(tmp_path / "t.npz")[1]).train.x)
        monkeypatch.setattr(shards, "SHARD_BYTES", 8192)
        added, folder = prepare(tmp_path / "t.npz")
        split = reading.read(folder).train
        assert isinstance(split.x, Shards) and split.x.shape == whole.shape and split.x.dtype == whole.dtype
        assert max(file.stat().st_size for file in folder.glob("train/*.npy")) <= 8192
        assert np.array_equal(split.x[:], whole)
        assert added.description.splits["train"].rows == len(whole) == len(split.y)

    def test_wide_rows_are_typed_a_few_at_a_time(
        self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / "t.csv", people(200))
        whole = prepare(path, target="bought", types={"city": "text"})[1]
        monkeypatch.setattr(steps, "TYPED_BYTES", 500)
        few = prepare(path, target="bought", types={"city": "text"})[1]
        assert memberships(few) == memberships(whole)

    def test_only_what_changed_is_sent(self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (csv_files, chunks):
            monkeypatch.setattr(module, "PIECE_BYTES", 50_000)
        write(tmp_path / "in" / "a.csv", people(20_000, 1))
        first = prepare(tmp_path / "in", target="bought")[1]
        write(tmp_path / "in" / "b.csv", people(2000, 2))
        second = prepare(tmp_path / "in", target="bought")[1]
        before, after = set(shard_bytes(first).values()), set(shard_bytes(second).values())
        assert len(before & after) > len(before) - 12, "shards of pieces that stayed are the same files"


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    start=st.integers(-50, 50),
    stop=st.integers(-50, 50),
    step=st.sampled_from([1, 2, 3, -1]),
    picks=st.lists(st.integers(0, 1000), max_size=12),
)
def test_shards_are_indexed_like_one_array(
    sizes: list[int], start: int, stop: int, step: int, picks: list[int]
) -> None:
    whole = np.arange(sum(sizes) * 2).reshape(-1, 2)
    made = Shards(np.split(whole, np.cumsum(sizes)[:-1]))
    rows = np.array([pick % len(whole) for pick in picks], np.int64)
    assert np.array_equal(made[start:stop:step], whole[start:stop:step])
    assert np.array_equal(made[rows], whole[rows])
    assert np.array_equal(made[-1], whole[-1]) and np.array_equal(np.asarray(made), whole)
    with pytest.raises(IndexError):
        made[np.array([len(whole)])]


def test_modules_of_readers_share_the_size_of_a_piece() -> None:
    assert array_files.PIECE_BYTES == csv_files.PIECE_BYTES == parquet_files.PIECE_BYTES == chunks.PIECE_BYTES
    assert io.DEFAULT_BUFFER_SIZE < chunks.PIECE_BYTES
