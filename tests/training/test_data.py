"""Datasets: what is cleaned, what is refused, and how recipes take them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skylift.errors import InputError, RecipeError
from tests.training.prepared import Prepare, people, preparer, write
from training.data import reading


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    return preparer(tmp_path)


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

    def test_another_delimiter_is_guessed_for_the_hint(self, prepare: Prepare, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a;y\n1;0\n2;1\n")
        assert self.problems(prepare, tmp_path / "t.csv")[0]["fix"] == "--delimiter ';'"

    def test_of_two_likely_targets_none_is_taken(self, prepare: Prepare, tmp_path: Path) -> None:
        path = write(tmp_path / "t.csv", [[n, n % 2, n % 3] for n in range(30)], ["a", "label", "y"])
        assert "nothing says which column" in self.problems(prepare, path)[0]["what"]

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

    def test_a_folder_of_nothing_known(self, prepare: Prepare, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "notes.doc").touch()
        assert "no file is of a known kind" in self.problems(prepare, tmp_path / "in")[0]["what"]


def test_a_target_of_the_wrong_type_says_what_to_do_about_a_target(prepare: Prepare, tmp_path: Path) -> None:
    rows: list[list[object]] = [[number, "many" if number % 3 else number * 0.5] for number in range(90)]
    with pytest.raises(InputError, match="column y: is no column of numbers: 60 of 90 values are none") as caught:
        prepare(write(tmp_path / "t.csv", rows, ["a", "y"]), target="y", task="regression")
    assert "--task classification" in caught.value.hint


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
