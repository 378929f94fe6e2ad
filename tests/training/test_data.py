"""Datasets from sources to shards: what is read, cleaned, refused, split and read again."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skylift.artifacts import datasets
from skylift.errors import InputError, NotFoundError, RecipeError
from skylift.store import open_store
from training.data import adding, array_files, chunks, csv_files, parquet_files, reading, shards
from training.data.adding import Added, Order
from training.data.reading import Shards
from training.data.schema import Asked

Prepare = Callable[..., tuple[Added, Path]]
HEADER = ["age", "city", "bought"]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Prepares a source and fetches what was published."""
    keep = tmp_path / "keep"
    keep.mkdir()

    def call(source: Path | str, *, name: str = "made", **asked: Any) -> tuple[Added, Path]:
        order = Order(name, str(source), keep.as_uri(), Asked(**asked))
        added = adding.add(order, lambda done, total, text: None)
        folder = tmp_path / "fetched" / added.ref.replace("@", "-")
        datasets.fetch(open_store(keep.as_uri()), added.ref, folder)
        return added, folder

    return call


def write(path: Path, rows: list[list[object]], header: list[str] | None = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*([header] if header else []), *rows])
    return path


def people(count: int = 200, seed: int = 0) -> list[list[object]]:
    rng = random.Random(seed)
    return [
        [f"{rng.uniform(18, 90):.4f}", rng.choice(["Rome", "Oslo"]), rng.choice(["yes", "no", "no"])]
        for _ in range(count)
    ]


def shard_bytes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def memberships(folder: Path) -> dict[bytes, str]:
    """Every row's bytes with the split that it is in."""
    data = reading.read(folder)
    found = {}
    for name in ("train", "validation", "test"):
        x = getattr(data, name).x
        columns = list(x.values()) if isinstance(x, dict) else [x]
        for row in range(len(columns[0])):
            found[b"".join(np.asarray(column[row]).tobytes() for column in columns)] = name
    return found


class TestSources:
    """The same rows, however they are kept, become the same splits."""

    def test_csv_parquet_and_arrays_give_the_same_rows_to_the_same_splits(
        self, prepare: Prepare, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(300, 3)), rng.integers(0, 3, 300)
        write(
            tmp_path / "a" / "t.csv",
            [[*map(repr, map(float, row)), int(label)] for row, label in zip(x, y, strict=True)],
            ["p", "q", "r", "y"],
        )
        table = {name: x[:, at] for at, name in enumerate("pqr")} | {"y": y}
        (tmp_path / "b").mkdir()
        pq.write_table(pa.table(table), tmp_path / "b" / "t.parquet", row_group_size=70)
        np.savez(tmp_path / "t.npz", **table)
        found = [memberships(prepare(each)[1]) for each in (tmp_path / "a", tmp_path / "b", tmp_path / "t.npz")]
        assert found[0] == found[1] == found[2] and len(found[0]) == 300

    def test_a_url_is_read_like_a_path(self, prepare: Prepare, tmp_path: Path) -> None:
        path = write(tmp_path / "in" / "t.csv", people())
        assert prepare(path.as_uri(), target="bought")[0].ref == prepare(path, target="bought")[0].ref

    def test_images_are_labelled_by_folder_and_scaled_to_the_common_size(
        self, prepare: Prepare, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(1)
        for number in range(40):
            side = 12 if number == 7 else 8
            pixels = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
            path = tmp_path / "in" / ("cats" if number % 2 else "dogs") / f"{number}.{'jpg' if number % 3 else 'png'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        added, folder = prepare(tmp_path / "in")
        data = reading.read(folder)
        assert data.train.x.shape[1:] == (8, 8, 3) and data.train.x.dtype == np.uint8
        assert added.description.target.labels == ["cats", "dogs"]
        assert (folder / "profile.html").read_text().count("<img ") == 40

    def test_tfrecords_that_tensorflow_would_write_are_read_without_it(self, prepare: Prepare, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        with (tmp_path / "in" / "t.tfrecord").open("wb") as file:
            for number in range(60):
                file.write(framed(example(number)))
        added, folder = prepare(tmp_path / "in", target="label")
        data = reading.read(folder)
        assert {column.name: column.kind for column in added.description.columns} == {
            "place": "category",
            "spot": "tensor",
            "weight": "number",
        }
        assert data.train.rows + data.validation.rows + data.test.rows == 60
        assert data.train.x["spot"].shape[1:] == (2,)
        assert min(data.train.x["numbers"].min(), data.test.x["numbers"].min()) < 0, "negative numbers stay negative"

    @pytest.mark.parametrize(
        ("source", "rows", "task"),
        [
            ("sklearn:breast_cancer", 569, "binary"),
            ("sklearn:digits", 1797, "classification"),
            ("statsmodels:sunspots", 309, "regression"),
        ],
    )
    def test_sets_of_packages_are_whole(self, prepare: Prepare, source: str, rows: int, task: str) -> None:
        added, _ = prepare(source)
        cleaning = added.description.cleaning
        assert (cleaning.rows_read, added.description.target.task) == (rows, task)
        assert cleaning.rows_kept == rows - cleaning.duplicates_dropped

    def test_an_unknown_set_names_the_near_one(self, prepare: Prepare) -> None:
        with pytest.raises(NotFoundError, match="did you mean 'sklearn:digits'"):
            prepare("sklearn:digit")

    def test_arrays_of_named_splits_keep_them(self, prepare: Prepare, tmp_path: Path) -> None:
        x = np.arange(400, dtype=np.float32).reshape(100, 4)
        y = np.arange(100) % 2
        np.savez(tmp_path / "t.npz", x_train=x[:80], y_train=y[:80], x_test=x[80:], y_test=y[80:])
        added, folder = prepare(tmp_path / "t.npz")
        assert set(np.asarray(reading.read(folder).test.x)[:, 0].tolist()) == set(x[80:, 0].tolist())
        assert added.description.splits["validation"].rows == 12  # of the 80, for none was given


def example(number: int) -> bytes:
    """A tf.train.Example, put together by hand as protobuf does it."""
    features = {
        "label": _message(1, b"" + _bytes(1, b"yes" if number % 3 else b"no")),
        "place": _message(1, _bytes(1, [b"Rome", b"Oslo"][number % 2])),
        "weight": _message(3, _bytes(1, _varint((number - 30) & (1 << 64) - 1))),
        "spot": _message(2, _bytes(1, np.array([number, 0.5], "<f4").tobytes())),
    }
    entries = b"".join(_bytes(1, _bytes(1, name.encode()) + _bytes(2, value)) for name, value in features.items())
    return _bytes(1, entries)


def _message(number: int, data: bytes) -> bytes:
    return _bytes(number, data)


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def framed(record: bytes) -> bytes:
    from training.data.tfrecord_files import crc32c

    def masked(data: bytes) -> bytes:
        crc = crc32c(data)
        return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    length = len(record).to_bytes(8, "little")
    return length + masked(length) + record + masked(record)


class TestCleaning:
    def test_every_count_is_told_by_column_with_what_was_done(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = people(100)
        rows[3], rows[4], rows[5] = ["", "Rome", "no"], ["NA", "Oslo", "no"], ["old", "Lima", "no"]
        rows[6][1], rows[7][0] = "", "1e6"
        rows += [list(rows[0]), list(rows[0])]
        added, folder = prepare(write(tmp_path / "t.csv", rows), target="bought")
        by_column = {each.column: each for each in added.description.cleaning.columns}
        assert (by_column["age"].missing, by_column["age"].wrong, by_column["age"].outliers) == (2, 1, 1)
        assert by_column["age"].filled == 3 and "median" in by_column["age"].did
        assert (by_column["city"].missing, by_column["city"].did) == (1, "kept as code 0")
        assert added.description.cleaning.duplicates_dropped == 2
        data = reading.read(folder)
        assert np.isfinite(
            np.concatenate([np.asarray(s.x["numbers"]) for s in (data.train, data.validation, data.test)])
        ).all()

    def test_numbers_are_filled_and_normalised_by_the_training_split_alone(
        self, prepare: Prepare, tmp_path: Path
    ) -> None:
        rows = people(300)
        for row in rows[::7]:
            row[0] = ""
        added, folder = prepare(write(tmp_path / "t.csv", rows), target="bought")
        column = next(each for each in added.description.columns if each.name == "age")
        train = np.asarray(reading.read(folder).train.x["numbers"])[:, 0].astype(np.float64)
        assert column.fill is not None
        assert column.fill == pytest.approx(np.median(train), abs=1e-4)
        assert column.normalisation.mean[0] == pytest.approx(train.mean(), rel=1e-6)
        assert column.normalisation.deviation[0] == pytest.approx(train.std(), rel=1e-6)

    def test_a_vocabulary_holds_what_training_rows_hold(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = [[f"{number}", f"town {number % 60}", "yes" if number % 2 else "no"] for number in range(120)]
        added, folder = prepare(write(tmp_path / "t.csv", rows), target="bought", types={"city": "category"})
        vocabulary = next(each.vocabulary for each in added.description.columns if each.name == "city")
        data = reading.read(folder)
        assert len(vocabulary) < 60, "with so many rare towns some are in no training row"
        assert set(np.asarray(data.train.x["categories"])[:, 0].tolist()) == set(range(1, len(vocabulary) + 1))
        assert 0 in np.concatenate([np.asarray(s.x["categories"])[:, 0] for s in (data.validation, data.test)])

    @pytest.mark.parametrize(("policy", "kept", "largest"), [("keep", 100, 1e6), ("drop", 99, 90), ("clip", 100, 999)])
    def test_outliers_are_kept_dropped_or_clipped(
        self, prepare: Prepare, tmp_path: Path, policy: str, kept: int, largest: float
    ) -> None:
        rows = people(100)
        rows[7][0] = "1e6"
        added, folder = prepare(write(tmp_path / "t.csv", rows), target="bought", outliers=policy)
        data = reading.read(folder)
        values = np.concatenate([np.asarray(s.x["numbers"]) for s in (data.train, data.validation, data.test)])
        assert added.description.cleaning.rows_kept == kept and values.max() <= largest
        assert next(each for each in added.description.cleaning.columns if each.column == "age").outliers == 1

    def test_rows_with_missing_values_are_dropped_where_asked(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = people(100)
        rows[3][0], rows[4][1], rows[5][2] = "", "", ""
        cleaning = prepare(write(tmp_path / "t.csv", rows), target="bought", missing="drop")[0].description.cleaning
        assert (cleaning.incomplete, cleaning.unusable, cleaning.rows_kept) == (2, 1, 97)

    def test_equal_inputs_with_another_target_are_named(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = [*people(100), ["33", "Rome", "yes"], ["33", "Rome", "no"]]
        cleaning = prepare(write(tmp_path / "t.csv", rows), target="bought")[0].description.cleaning
        assert (cleaning.duplicates, cleaning.contradicting) == (1, 1)

    def test_kept_copies_stay_together_in_one_split(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = [["1" if number % 2 else "2", "Rome", "yes" if number % 3 else "no"] for number in range(60)] + people(
            100
        )
        added, folder = prepare(write(tmp_path / "t.csv", rows), target="bought", duplicates="keep")
        assert added.description.cleaning.rows_kept == 160
        data = reading.read(folder)
        where = [
            name for name in ("train", "validation", "test") if 1.0 in np.asarray(getattr(data, name).x["numbers"])
        ]
        assert len(where) == 1


class TestProblems:
    """Everything that is wrong, in one error, with file, row, column and fix."""

    def problems(self, prepare: Prepare, source: Path, **asked: Any) -> list[dict[str, Any]]:
        with pytest.raises(InputError) as caught:
            prepare(source, **asked)
        assert caught.value.hint
        found: list[dict[str, Any]] = caught.value.details["problems"]
        return found

    def test_all_problems_of_all_files_come_at_once(self, prepare: Prepare, tmp_path: Path) -> None:
        write(tmp_path / "in" / "a.csv", people(20))
        (tmp_path / "in" / "empty.csv").touch()
        (tmp_path / "in" / "latin.csv").write_bytes("age,city,bought\n1,Köln,yes\n".encode("latin-1"))
        write(tmp_path / "in" / "short.csv", [["1", "Rome", "yes"], ["2", "Oslo"]])
        found = self.problems(prepare, tmp_path / "in", target="bougt", types={"town": "text"})
        by_file = {each["file"]: each for each in found if each["file"]}
        assert set(by_file) == {"empty.csv", "latin.csv", "short.csv"}
        assert "empty" in by_file["empty.csv"]["what"] and "UTF-8" in by_file["latin.csv"]["what"]
        assert by_file["short.csv"]["row"] == 2
        assert any(each["fix"] == "--target bought" for each in found)
        assert any(each["column"] == "town" for each in found)

    def test_one_class_only(self, prepare: Prepare, tmp_path: Path) -> None:
        found = self.problems(
            prepare, write(tmp_path / "t.csv", [[n, "Rome", "yes"] for n in range(20)]), target="bought"
        )
        assert "one class only" in found[0]["what"] and found[0]["column"] == "bought"

    def test_a_column_of_the_wrong_type_is_named_with_its_first_bad_cell(
        self, prepare: Prepare, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "t.csv", people(20))
        found = self.problems(prepare, path, target="bought", types={"city": "number"})
        assert (found[0]["file"], found[0]["row"], found[0]["column"]) == ("t.csv", 1, "city")

    def test_labels_out_of_range_are_named_with_their_rows(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = people(20)
        rows[12][2] = "maybe"
        found = self.problems(prepare, write(tmp_path / "t.csv", rows), target="bought", labels=["no", "yes"])
        assert any(each["row"] == 13 and "maybe" in each["what"] for each in found)

    @pytest.mark.parametrize("name", ["t.parquet", "t.npz", "t.npy", "t.tfrecord", "t.csv.gz"])
    @pytest.mark.parametrize("content", [b"", b"this is nothing of the kind, but long enough to look at"])
    def test_damaged_files(self, prepare: Prepare, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        assert self.problems(prepare, tmp_path / name, target="y")[0]["file"] == name

    def test_damaged_images_are_each_named_or_dropped(self, prepare: Prepare, tmp_path: Path) -> None:
        for number in range(24):
            path = tmp_path / "in" / str(number % 2) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), number * 9, np.uint8)).save(path)
        (tmp_path / "in" / "0" / "half.png").write_bytes(path.read_bytes()[:20])
        (tmp_path / "in" / "1" / "none.png").touch()
        found = self.problems(prepare, tmp_path / "in")
        assert {each["file"] for each in found} == {"0/half.png", "1/none.png"}
        assert prepare(tmp_path / "in", unreadable="drop")[0].description.cleaning.unusable == 2

    def test_a_flipped_bit_in_a_tfrecord_is_found(self, prepare: Prepare, tmp_path: Path) -> None:
        raw = bytearray(b"".join(framed(example(number)) for number in range(10)))
        raw[len(framed(example(0))) + 30] ^= 1
        (tmp_path / "t.tfrecord").write_bytes(raw)
        found = self.problems(prepare, tmp_path / "t.tfrecord", target="label")
        assert found[0]["row"] == 2 and "checksum" in found[0]["what"]

    def test_a_folder_of_nothing_known(self, prepare: Prepare, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "notes.doc").touch()
        assert "no file is of a known kind" in self.problems(prepare, tmp_path / "in")[0]["what"]


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


class TestRecipes:
    def test_the_bundled_recipes_take_the_sets_that_they_are_made_for(self, prepare: Prepare) -> None:
        from training.loop.checks import check_data
        from training.recipes.loading import bundled

        for name, source in (("tabular", "sklearn:breast_cancer"), ("resnet", "sklearn:digits")):
            recipe = bundled(name)
            hp = recipe.hyperparameters()
            check_data(name, recipe.load(hp, prepare(source)[1]), recipe.task(hp))

    def test_a_set_of_other_labels_is_refused_with_both(self, prepare: Prepare) -> None:
        from training.recipes.loading import bundled

        recipe = bundled("tabular")
        with pytest.raises(RecipeError, match="other labels than the recipe, such as 'setosa'"):
            recipe.load(recipe.hyperparameters(), prepare("sklearn:iris")[1])

    def test_a_shard_that_is_cut_off_is_named(self, prepare: Prepare) -> None:
        folder = prepare("sklearn:iris")[1]
        shard = next(folder.glob("test/numbers*"))
        shard.write_bytes(shard.read_bytes()[:-4])
        with pytest.raises(InputError, match=r"numbers-00000\.npy is missing or damaged"):
            reading.read(folder)

    def test_a_folder_that_was_never_prepared_says_how(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="no prepared dataset"):
            reading.read(tmp_path)


def test_the_profile_needs_nothing_else_and_shows_what_was_done(prepare: Prepare, tmp_path: Path) -> None:
    rows = people(100)
    rows[3][0] = ""
    rows[4][1] = "<script>alert(1)</script>"
    page = (prepare(write(tmp_path / "t.csv", rows), target="bought")[1] / "profile.html").read_text()
    assert "filled with the training split&#39;s median" in page and "Class balance" in page
    assert "<script" not in page and "http://" not in page and "https://" not in page


def test_the_program_answers_in_json_and_tells_its_progress(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    path = write(tmp_path / "t.csv", people(60))
    program = [
        sys.executable,
        "-P",
        "-m",
        "training",
        "data",
        "add",
        "--name=people",
        f"--source={path}",
        "--json",
        "--progress",
    ]
    asked = ['--options={"target": "bought"}', f"--keep={(tmp_path / 'keep').as_uri()}"]
    done = subprocess.run([*program, *asked], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["description"]["cleaning"]["rows_kept"] == 60
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert {text for _, _, text in told} >= {"looking at every row", "hashing rows", "cleaning and writing"}
    refused = subprocess.run([*program, asked[1]], capture_output=True, text=True, check=False)
    assert refused.returncode == 3 and "--target with one of" in json.loads(refused.stdout)["error"]["hint"]


def test_plain_arrays_are_tables_by_number(prepare: Prepare, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 4))
    values[:, 3] = np.arange(60) % 2
    np.save(tmp_path / "t.npy", values)
    assert [column.name for column in prepare(tmp_path / "t.npy", target="3")[0].description.columns] == ["0", "1", "2"]


def test_modules_of_readers_share_the_size_of_a_piece() -> None:
    assert array_files.PIECE_BYTES == csv_files.PIECE_BYTES == parquet_files.PIECE_BYTES == chunks.PIECE_BYTES
    assert io.DEFAULT_BUFFER_SIZE < chunks.PIECE_BYTES
