"""What the bundled recipes load: real rows, cleaned and counted, in splits that share nothing."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.artifacts.texts import row_of, text_of
from skylift.errors import RecipeError
from training.loop.checks import check_data, check_task
from training.recipes import resnet, sequence, tabular, text
from training.recipes.loading import BUNDLED, bundled


def loaded(name: str, source: Path | None = None, **settings: Any) -> Any:
    recipe = bundled(name)
    hp = recipe.hyperparameters(**settings)
    task, data = recipe.task(hp), recipe.load(hp, source)
    check_task(name, task)
    check_data(name, data, task)
    return data


def splits(data: Any) -> list[Any]:
    return [data.train, data.validation, data.test]


@pytest.mark.parametrize("name", sorted(set(BUNDLED) - {"mnist"}))
def test_every_load_is_the_same_and_no_row_is_in_two_splits(name: str) -> None:
    data, again = loaded(name), loaded(name)
    rows = [{row.tobytes() for row in split.x} for split in splits(data)]
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])
    for one, other in zip(splits(data), splits(again), strict=True):
        assert np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)


@pytest.mark.parametrize("name", sorted(set(BUNDLED)))
def test_a_recipe_is_one_short_module(name: str) -> None:
    source = (files("training.recipes") / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) < 120


@pytest.mark.parametrize("name", ["resnet", "tabular", "text"])
def test_every_split_has_the_same_share_of_each_class_and_another_seed_other_rows(name: str) -> None:
    data, other = loaded(name), loaded(name, split_seed=1)
    shares = [np.bincount(split.y) / split.rows for split in splits(data)]
    assert np.allclose(shares[0], shares[2], atol=0.01) and np.allclose(shares[0], shares[1], atol=0.01)
    assert not np.array_equal(data.test.x, other.test.x)


class TestTabular:
    def test_columns_and_labels_are_those_that_scikit_learn_documents(self) -> None:
        from sklearn.datasets import load_breast_cancer

        known = load_breast_cancer()
        task = tabular.task(tabular.Hyperparameters())
        assert list(task.input_names) == known.feature_names.tolist()
        data = loaded("tabular")
        kinds = {
            row.tobytes(): known.target_names[kind]
            for row, kind in zip(known.data.astype(np.float32), known.target, strict=True)
        }
        assert all(
            kinds[row.tobytes()] == task.labels[label] for row, label in zip(data.test.x, data.test.y, strict=True)
        )

    def test_impossible_and_repeated_rows_are_dropped_and_counted(self) -> None:
        table = np.ones((6, 31))
        table[:, 0], table[:, -1] = [1, 2, np.nan, 1, 4, 5], [0, 1, 0, 0, 7, 1]
        measures, malignant, dropped = tabular.clean(table)
        assert measures[:, 0].tolist() == [1, 2, 5] and malignant.tolist() == [1, 0, 0]
        assert dropped == {"missing values": 1, "unknown labels": 1, "duplicates": 1}

    def test_a_dataset_of_the_same_form_takes_its_place(self, tmp_path: Path) -> None:
        lines = ["a line on top", *(",".join([f"{row}.5"] * 30 + [str(row % 2)]) for row in range(80))]
        (tmp_path / "breast_cancer.csv").write_text("\n".join(lines))
        assert loaded("tabular", tmp_path).facts["rows kept"] == 80


class TestSequence:
    def test_validation_and_test_lie_behind_training_and_share_no_year_with_it(self) -> None:
        with (sequence._bundled()).open() as file:
            counts = [float(row[1]) for row in list(csv.reader(file))[1:]]
        ends = []
        for split in splits(loaded("sequence")):
            stretch = [*split.x[0, :, 0], *split.y]
            start = next(at for at in range(len(counts)) if np.allclose(counts[at : at + len(stretch)], stretch))
            ends.append((start, start + len(stretch)))
        assert ends[0][1] == ends[1][0] and ends[1][1] == ends[2][0] and ends[2][1] == len(counts) == 309

    def test_windows_with_a_missing_count_are_dropped_and_counted(self) -> None:
        split, dropped = sequence.windows(np.array([1, 2, 3, np.nan, 5, 6, 7, 8], np.float32), 2)
        assert (
            np.asarray(split.x)[:, :, 0].tolist() == [[1, 2], [5, 6], [6, 7]]
            and split.y.tolist() == [3, 7, 8]
            and dropped == 3
        )

    def test_a_window_longer_than_a_split_is_refused(self) -> None:
        from skylift.errors import RecipeError

        with pytest.raises(RecipeError, match="the validation split is empty"):
            loaded("sequence", window=60, validation_share=0.1)


class TestText:
    def test_no_text_is_in_two_languages_and_rows_are_the_texts_themselves(self) -> None:
        data = loaded("text")
        texts = [text_of(row.tobytes()) for split in splits(data) for row in split.x]
        assert len({each.casefold() for each in texts}) == len(texts) == data.facts["texts kept"] > 10_000
        assert "Österreich" in texts and "Nepal" not in texts

    def test_what_was_dropped_is_counted(self) -> None:
        given = [
            ("de", "Frankreich"),
            ("de", "FRANKREICH"),
            ("de", "Nepal"),
            ("en", "nepal"),
            ("xx", "Ruritania"),
            ("en", "May"),
        ]
        rows, languages, dropped = text.clean(given, 8)
        assert [text_of(row.tobytes()) for row in rows] == ["Frankrei"] and languages.tolist() == [0]
        assert dropped == {"unknown languages": 1, "too short": 1, "duplicates": 1, "in several languages": 2}

    def test_a_dataset_takes_its_place(self, tmp_path: Path) -> None:
        words = [("de", f"Straße {'abcdefghij'[n]}") for n in range(10)] + [
            ("en", f"street {'abcdefghij'[n]}") for n in range(10)
        ]
        lines = ["language,text", *(f"{code},{word}" for code, word in words)]
        (tmp_path / "texts.csv").write_text("\n".join(lines), encoding="utf-8")
        assert loaded("text", tmp_path).facts["texts kept"] == 20


class TestFilesOfOnesOwn:
    """A folder with the file that a recipe asks for."""

    @pytest.mark.parametrize(
        ("name", "file", "text", "said"),
        [
            ("tabular", "breast_cancer.csv", None, "the dataset has no file breast_cancer.csv"),
            ("tabular", "breast_cancer.csv", "top\n" + ",".join(["1"] * 30 + ["x"]), "could not convert string 'x'"),
            ("tabular", "breast_cancer.csv", "top\n1,2,3", "its rows have 3 numbers; the recipe takes rows of 31"),
            ("resnet", "digits.csv.gz", "no gzip", "digits.csv.gz is damaged or no table of that form"),
            ("mnist", "mnist_5k.csv.gz", None, "the dataset has no file mnist_5k.csv.gz"),
            ("sequence", "sunspots.csv", "year,count\n1700,5\n1701,many", "sunspots.csv, row 2: 'many' is no number"),
            ("sequence", "sunspots.csv", "year,count\n1700", "sunspots.csv, row 1: there is no cell 2"),
            ("text", "texts.csv", b"language,text\nde,Stra\xdfe", "texts.csv is damaged or no table"),
        ],
    )
    def test_what_is_wrong_is_named_with_the_fix(
        self, tmp_path: Path, name: str, file: str, text: str | bytes | None, said: str
    ) -> None:
        if text is not None:
            (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(RecipeError) as caught:
            loaded(name, tmp_path)
        assert said in caught.value.message and "skylift data add" in caught.value.hint

    @pytest.mark.filterwarnings("ignore:.*input contained no data")
    def test_a_file_without_rows(self, tmp_path: Path) -> None:
        (tmp_path / "breast_cancer.csv").write_text("top\n")
        with pytest.raises(RecipeError, match="it has no rows"):
            loaded("tabular", tmp_path)

    def test_rows_that_are_all_dropped_leave_empty_splits(self, tmp_path: Path) -> None:
        (tmp_path / "breast_cancer.csv").write_text("top\n" + ",".join(["nan"] * 31))
        with pytest.raises(RecipeError, match="the train split is empty"):
            loaded("tabular", tmp_path)

    def test_one_class_is_nothing_to_learn(self, tmp_path: Path) -> None:
        lines = ["top", *(",".join([f"{row}.5"] * 30 + ["0"]) for row in range(80))]
        (tmp_path / "breast_cancer.csv").write_text("\n".join(lines))
        with pytest.raises(RecipeError, match="one class only: every row is 'malignant'"):
            loaded("tabular", tmp_path)


class TestResnet:
    def test_images_are_as_bright_as_image_files(self) -> None:
        data = loaded("resnet")
        assert (data.train.x.min(), data.train.x.max()) == (0.0, 255.0) and data.train.x.shape[1:] == (8, 8, 1)

    def test_impossible_and_repeated_rows_are_dropped_and_counted(self) -> None:
        table = np.zeros((5, 65), np.float32)
        table[:, 0], table[:, -1] = [1, 17, 1, 2, 3], [1, 2, 1, 4, 12]
        images, digits, dropped = resnet.clean(table)
        assert digits.tolist() == [1, 4] and images[:, 0, 0, 0].tolist() == [255 / 16, 255 / 8]
        assert dropped == {"out of range": 2, "duplicates": 1}


class TestRowOfText:
    def test_a_text_is_cut_behind_a_whole_character(self) -> None:
        assert row_of("Österreich", 1) == b"\0"
        assert row_of("aÖ", 2) == b"a\0" and row_of("aÖ", 3) == "aÖ".encode()

    def test_what_looks_the_same_is_the_same_row(self) -> None:
        assert row_of(" O\u0308l\n", 8) == row_of("Öl", 8) and text_of(row_of("Öl", 8)) == "Öl"

    def test_no_text_becomes_padding_in_its_midst_and_broken_text_is_still_a_row(self) -> None:
        assert row_of("a\0b", 4) == b"a b\0" and row_of("a\ud800", 3) == b"a?\0"
