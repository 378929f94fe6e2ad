"""Texts and series of one's own, as the bundled recipes take them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.artifacts import models
from skylift.artifacts.texts import row_of, text_of
from skylift.errors import RecipeError
from tests.training.prepared import Prepare, people, preparer, write
from training.contract import Data
from training.data import adding
from training.data.adding import Order
from training.data.fitting import fitted, named
from training.data.schema import Asked
from training.loop.checks import check_data
from training.recipes.loading import bundled

LANGUAGES = {"fi": "Finnish", "tr": "Turkish", "de": "German"}


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    return preparer(tmp_path)


def names(path: Path) -> Path:
    """The countries and languages of Unicode's locale data, by language."""
    from babel import Locale

    known = {code: Locale(code) for code in LANGUAGES}
    rows = [
        [name, LANGUAGES[code]]
        for code, each in known.items()
        for name in (*each.territories.values(), *each.languages.values())
    ]
    return write(path, rows, ["name", "language"])


def sunspots(path: Path, left_out: Sequence[int] = (), turned: bool = False) -> Path:
    """statsmodels' series as a CSV file."""
    from training.recipes.sequence import _bundled

    with _bundled().open() as file:
        rows = [row for row in list(csv.reader(file))[1:] if int(float(row[0])) not in left_out]
    return write(path, rows[::-1] if turned else rows, ["year", "count"])


def loaded(name: str, folder: Path, **settings: Any) -> Data:
    """What the recipe loads, checked as a run checks it."""
    recipe = bundled(name)
    hp = recipe.hyperparameters(**settings)
    with named(name, "mine@0123456789abcdef", folder):
        data = recipe.load(hp, folder)
        check_data(name, data, fitted(recipe.task(hp), data))
    return data


class TestTexts:
    def test_labels_and_rows_are_the_datasets_own(self, prepare: Prepare, tmp_path: Path) -> None:
        added, folder = prepare(names(tmp_path / "names.csv"), target="language")
        data = loaded("text", folder, length=12)
        task = fitted(bundled("text").task(bundled("text").hyperparameters()), data)
        assert data.labels == task.labels == ("Finnish", "German", "Turkish")
        rows = {
            (text_of(row.tobytes()), data.labels[label]) for row, label in zip(data.test.x, data.test.y, strict=True)
        }
        assert data.test.x.shape == (added.description.splits["test"].rows, 12)
        with (tmp_path / "names.csv").open(newline="") as file:
            known = {(text_of(row_of(name, 12)), language) for name, language in csv.reader(file)}
        assert rows <= known and max(len(text) for text, _ in rows) == 12

    def test_rows_of_the_right_length_stay_files(self, prepare: Prepare, tmp_path: Path) -> None:
        folder = prepare(names(tmp_path / "names.csv"), target="language", text_bytes=24)[1]
        x = loaded("text", folder, length=24).train.x
        assert isinstance(x, np.memmap)

    def test_a_table_is_refused_with_the_command_that_makes_it_fit(self, prepare: Prepare, tmp_path: Path) -> None:
        folder = prepare(write(tmp_path / "t.csv", people()), target="bought")[1]
        with pytest.raises(RecipeError) as caught:
            loaded("text", folder)
        assert caught.value.message == (
            "recipe 'text' on dataset mine@0123456789ab: it takes one column of text, there are 0; "
            "it takes no other columns, there are age, city"
        )
        assert "skylift data add NAME PATH --target 'bought' --type 'city=text' --ignore 'age'" in caught.value.hint
        assert "age (number), city (category) and the target bought (binary)" in caught.value.hint

    def test_two_labels_are_enough(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = [[f"{'good' if number % 3 else 'bad'} day, number {number}", number % 3 > 0] for number in range(90)]
        folder = prepare(write(tmp_path / "t.csv", rows, ["said", "is_good"]), target="is_good")[1]
        assert loaded("text", folder).labels == ("False", "True")

    def test_that_command_does_make_it_fit(self, prepare: Prepare, tmp_path: Path) -> None:
        path = names(tmp_path / "names.csv")
        folder = prepare(path, target="language", types={"name": "text"}, duplicates="keep")[1]
        assert loaded("text", folder).train.rows > 500


class TestSeries:
    def test_rows_in_any_order_give_the_bundled_windows(self, prepare: Prepare, tmp_path: Path) -> None:
        recipe = bundled("sequence")
        own = recipe.load(recipe.hyperparameters(), None)
        data = loaded("sequence", prepare(sunspots(tmp_path / "s.csv", turned=True), target="count")[1])
        for part in ("train", "validation", "test"):
            one, other = getattr(data, part), getattr(own, part)
            assert np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)
        assert fitted(recipe.task(recipe.hyperparameters()), data).unit == ""

    def test_no_window_spans_a_year_that_is_missing(self, prepare: Prepare, tmp_path: Path) -> None:
        whole = loaded("sequence", prepare(sunspots(tmp_path / "s.csv"), target="count", name="whole")[1])
        folder = prepare(sunspots(tmp_path / "t.csv", left_out=[1800]), target="count", name="gap")[1]
        gap = loaded("sequence", folder)
        assert gap.facts["windows with missing counts"] == 23
        assert whole.train.rows - gap.train.rows == 23

    def test_ones_own_splits_are_kept(self, prepare: Prepare, tmp_path: Path) -> None:
        with sunspots(tmp_path / "s.csv").open() as file:
            rows = list(csv.reader(file))[1:]
        for name, part in (("train", rows[:200]), ("validation", rows[200:250]), ("test", rows[250:])):
            write(tmp_path / "in" / f"{name}.csv", part, ["year", "count"])
        data = loaded("sequence", prepare(tmp_path / "in", target="count")[1])
        assert [data.train.rows, data.validation.rows, data.test.rows] == [200 - 22, 50 - 22, 59 - 22]
        assert data.test.y[-1] == pytest.approx(float(rows[-1][1]), abs=1e-4)

    def test_two_values_of_one_time_are_named(self, prepare: Prepare, tmp_path: Path) -> None:
        rows = [[1e9 + number, number % 50 + 0.5] for number in range(200)]
        folder = prepare(write(tmp_path / "t.csv", rows, ["second", "value"]), target="value")[1]
        with pytest.raises(RecipeError, match="two values of the series have the same time, second = 1") as caught:
            loaded("sequence", folder)
        assert "from the series' beginning" in caught.value.hint

    def test_labels_are_no_series(self, prepare: Prepare) -> None:
        with pytest.raises(RecipeError) as caught:
            loaded("sequence", prepare("sklearn:iris")[1])
        assert "it takes one column of numbers that tells the time, there are 4" in caught.value.message
        assert "prepared for a classification" in caught.value.message
        assert "--task regression --ignore" in caught.value.hint


def test_images_of_another_size_say_how_to_get_the_right_one(prepare: Prepare) -> None:
    folder = prepare("sklearn:digits")[1]
    with pytest.raises(RecipeError) as caught:
        loaded("mnist", folder)
    assert "has rows of shape [8, 8, 1], the task says [28, 28, 1]" in caught.value.message
    assert "--image-size" in caught.value.hint and "image (tensor 8×8×1)" in caught.value.hint


@pytest.mark.slow
def test_a_run_learns_the_labels_of_a_csv_and_publishes_them(bench: Any, tmp_path: Path) -> None:
    order = Order("names", str(names(tmp_path / "names.csv")), bench.keep.url, Asked(target="language"))
    added = adding.add(order, lambda done, total, text: None)
    run = bench.ask("text", model="names", dataset=added.ref, hp={"epochs": 3, "length": 24})
    code, printed = bench.run(run)
    assert code == 0, printed
    manifest = models.read_manifest(bench.keep, models.resolve(bench.keep, "names"))
    assert manifest.task.labels == ["Finnish", "German", "Turkish"]
    assert manifest.signature.outputs[0].shape == [None, 3]
    assert bench.result(run).metrics["accuracy"] >= 0.7
