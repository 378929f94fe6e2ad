"""What may be a source of a dataset: files of each kind, URLs, sets that packages carry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from skylift.errors import InputError, NotFoundError
from skylift.store import Store, open_store
from tests.training.prepared import Prepare, memberships, people, preparer, write
from training.data import adding, folder, places, reading
from training.data.adding import Order
from training.data.schema import Asked


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    return preparer(tmp_path)


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

    @pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
    def test_objects_are_read_by_ranges(
        self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """Through the store's own verbs, as of a bucket; here the store is a folder."""
        rng = np.random.default_rng(0)
        (tmp_path / "in").mkdir()
        columns = {"a": rng.normal(size=400), "b": rng.integers(0, 9, 400), "y": rng.integers(0, 2, 400)}
        if kind == "npz":
            np.savez_compressed(tmp_path / "in" / "t.npz", **columns)
        elif kind == "parquet":
            pq.write_table(pa.table(columns), tmp_path / "in" / "t.parquet", row_group_size=100)
        else:
            write(tmp_path / "in" / "t.csv", list(zip(*columns.values(), strict=True)), list(columns))
        here = prepare(tmp_path / "in")[0].ref
        as_path = places.as_path
        monkeypatch.setattr(places, "as_path", lambda url: None if url.startswith("file:") else as_path(url))
        assert prepare((tmp_path / "in").as_uri())[0].ref == here
        assert prepare((tmp_path / "in" / f"t.{kind}").as_uri())[0].ref == here

    def test_a_work_folder_in_a_bucket_gives_the_same_and_is_empty_afterwards(
        self, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As with workers elsewhere: shards are uploaded by the step and fetched at the end; here the bucket is a folder."""
        path = write(tmp_path / "t.csv", people(300))
        here = prepare(path, target="bought")[0].ref

        def open_far(url: str) -> Store:
            store = open_store(url)
            store.folder = None
            return store

        monkeypatch.setattr(folder, "open_store", open_far)
        (tmp_path / "work").mkdir()
        order = Order(
            "made", str(path), (tmp_path / "keep").as_uri(), Asked(target="bought"), work=(tmp_path / "work").as_uri()
        )
        assert adding.add(order, lambda done, total, text: None).ref == here
        assert list((tmp_path / "work").iterdir()) == []

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


def test_a_flipped_bit_in_a_tfrecord_is_found(prepare: Prepare, tmp_path: Path) -> None:
    raw = bytearray(b"".join(framed(example(number)) for number in range(10)))
    raw[len(framed(example(0))) + 30] ^= 1
    (tmp_path / "t.tfrecord").write_bytes(raw)
    with pytest.raises(InputError) as caught:
        prepare(tmp_path / "t.tfrecord", target="label")
    found = caught.value.details["problems"][0]
    assert found["row"] == 2 and "checksum" in found["what"]


def test_plain_arrays_are_tables_by_number(prepare: Prepare, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 4))
    values[:, 3] = np.arange(60) % 2
    np.save(tmp_path / "t.npy", values)
    assert [column.name for column in prepare(tmp_path / "t.npy", target="3")[0].description.columns] == ["0", "1", "2"]


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
