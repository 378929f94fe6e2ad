"""Recipes are found, checked and described before anything heavy is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skylift.errors import RecipeError
from training.contract import setting
from training.loop.settings import LoopSettings
from training.recipes.hyperparameters import fill
from training.recipes.loading import BUNDLED, bundled, from_code, last_line


def recipes(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-P", "-m", "training", "recipes", *arguments]
    return subprocess.run(program, capture_output=True, text=True, cwd=cwd, check=False)


@dataclass(frozen=True)
class Hyperparameters:
    units: int = setting(16, "Units.", minimum=1, maximum=64)
    rate: float = 0.1
    is_wide: bool = False
    batch_size: int = 4


class TestFill:
    def test_defaults_of_recipe_and_loop_are_filled_in(self) -> None:
        hp, loop, values = fill("mine", Hyperparameters, {"units": 8, "epochs": 3})
        assert hp == Hyperparameters(units=8)
        assert loop == LoopSettings(epochs=3, batch_size=4)
        assert values["rate"] == 0.1 and values["optimizer"] == "adam" and values["epochs"] == 3

    @pytest.mark.parametrize(
        ("name", "given", "read"),
        [
            ("units", "8", 8),
            ("rate", 1, 1.0),
            ("rate", "1e-3", 0.001),
            ("is_wide", "true", True),
            ("is_wide", False, False),
        ],
    )
    def test_text_and_whole_numbers_are_read_as_the_fields_type(self, name: str, given: Any, read: Any) -> None:
        value = fill("mine", Hyperparameters, {name: given})[2][name]
        assert value == read and type(value) is type(read)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"unist": 8}, "did you mean 'units'?"),
            ({"units": 0}, "must be at least 1"),
            ({"units": 65}, "must be at most 64"),
            ({"units": 1.5}, "must be a whole number"),
            ({"units": True}, "must be a whole number"),
            ({"rate": "nan"}, "must be a finite number"),
            ({"is_wide": 1}, "must be true or false"),
            ({"optimizer": "adm"}, "did you mean 'adam'?"),
        ],
    )
    def test_mistakes_are_named(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(RecipeError) as caught:
            fill("mine", Hyperparameters, given)
        assert said in caught.value.message

    def test_all_mistakes_come_at_once(self) -> None:
        with pytest.raises(RecipeError) as caught:
            fill("mine", Hyperparameters, {"units": 0, "rate": "fast", "none": 1})
        assert len(caught.value.details["problems"]) == 3


class TestShortNames:
    def test_a_short_name_sets_the_field_and_the_full_name_is_recorded(self) -> None:
        _, loop, values = fill("mine", Hyperparameters, {"lr": "0.01"})
        assert loop.learning_rate == values["learning_rate"] == 0.01 and "lr" not in values

    def test_short_and_full_name_together_are_refused(self) -> None:
        with pytest.raises(RecipeError, match="lr and learning_rate are the same"):
            fill("mine", Hyperparameters, {"lr": 0.01, "learning_rate": 0.02})

    def test_a_recipe_that_has_such_a_field_keeps_it_for_itself(self) -> None:
        @dataclass(frozen=True)
        class Own:
            lr: int = 3

        own, loop, values = fill("mine", Own, {"lr": 5})
        assert own.lr == 5 and loop.learning_rate == LoopSettings().learning_rate and values["lr"] == 5

    def test_a_bare_field_of_the_loops_name_changes_the_default_alone(self) -> None:
        with pytest.raises(RecipeError, match="batch_size = 0: must be at least 1"):
            fill("mine", Hyperparameters, {"batch_size": 0})


class TestLoading:
    def test_everything_that_lacks_is_said_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "lacking.py").write_text(
            "from dataclasses import dataclass\n@dataclass\nclass Hyperparameters:\n    a: int\n    b: list = None\n    c: int = 'x'\n"
            "def load(hp): pass\n"
        )
        with pytest.raises(RecipeError) as caught:
            from_code(tmp_path, "lacking")
        problems = caught.value.details["problems"]
        assert {"has no build", "has no task", "load cannot be called as load(hp, source)"} <= set(problems)
        assert "Hyperparameters.a has no default" in problems
        assert any("Hyperparameters.b is of type list" in each for each in problems)
        assert any("Hyperparameters.c has the default 'x'" in each for each in problems)

    def test_a_syntax_error_names_its_line(self, tmp_path: Path) -> None:
        (tmp_path / "broken_syntax.py").write_text("x = 1\ndef load(:\n")
        with pytest.raises(RecipeError, match=r"broken_syntax\.py, line 2"):
            from_code(tmp_path, "broken_syntax")

    def test_a_package_that_is_not_installed_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "needs_more.py").write_text("import not_there_at_all.sub\n")
        with pytest.raises(RecipeError) as caught:
            from_code(tmp_path, "needs_more")
        assert "'not_there_at_all'" in caught.value.message and "uv add not_there_at_all" in caught.value.hint

    def test_a_module_that_is_not_in_the_code_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="there is no module 'absent_recipe'"):
            from_code(tmp_path, "absent_recipe")

    def test_a_recipe_with_the_name_of_an_installed_module_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "json.py").write_text("")
        with pytest.raises(RecipeError, match="has the name of an installed one"):
            from_code(tmp_path, "json")

    def test_what_its_functions_raise_names_the_line_of_the_recipe(self, tmp_path: Path) -> None:
        (tmp_path / "raising_recipe.py").write_text(
            "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Hyperparameters:\n    a: int = 1\n"
            "def load(hp, source):\n    return {}['missing']\ndef build(hp, data): ...\ndef task(hp): return 5\n"
        )
        recipe = from_code(tmp_path, "raising_recipe")
        with pytest.raises(RecipeError, match=r"load raised KeyError: 'missing' \(raising_recipe\.py, line 6\)"):
            recipe.load(recipe.hyperparameters(), None)
        with pytest.raises(RecipeError, match=r"task returned int, not a training\.contract\.Task"):
            recipe.task(recipe.hyperparameters())

    def test_a_package_with_modules_of_its_own_loads(self, tmp_path: Path) -> None:
        package = tmp_path / "own_package"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "sizes.py").write_text("UNITS = 3\n")
        (package / "recipe.py").write_text(
            "'''Mine.'''\nfrom dataclasses import dataclass\nfrom own_package.sizes import UNITS\n@dataclass(frozen=True)\n"
            "class Hyperparameters:\n    units: int = UNITS\ndef load(hp, source): ...\ndef build(hp, data): ...\ndef task(hp): ...\n"
        )
        recipe = from_code(tmp_path, "own_package.recipe")
        assert (recipe.summary, recipe.hyperparameters().units) == ("Mine.", 3)


class TestProgram:
    def test_every_recipe_of_the_folder_is_listed_with_summary_and_typed_hyperparameters(self, tmp_path: Path) -> None:
        done = recipes("--json", cwd=tmp_path)
        listed = json.loads(done.stdout)
        assert [each["name"] for each in listed] == list(BUNDLED)
        assert {"mnist", "resnet", "tabular", "sequence", "text"} == set(BUNDLED)
        fields = {field["name"]: field for field in listed[0]["hyperparameters"]}
        assert fields["epochs"]["type"] == "int" and fields["epochs"]["minimum"] == 1 and fields["epochs"]["help"]
        assert {"constant", "cosine"} <= set(fields["schedule"]["choices"])
        assert fields["learning_rate"]["short"] == "lr"
        assert listed[0]["summary"].startswith("Handwritten digits")
        assert listed[0]["task"]["inputs"] == [{"name": "image", "dtype": "float32", "shape": [28, 28, 1]}]

    def test_listing_imports_nothing_heavy(self, tmp_path: Path) -> None:
        code = (
            "import sys; sys.argv = ['training', 'recipes', '--json']\n"
            "from training.__main__ import main\nmain(['recipes', '--json'])\n"
            "heavy = {'tensorflow', 'keras', 'onnx', 'onnxruntime', 'mlxtend', 'matplotlib', 'sklearn', 'pandas', 'PIL',"
            " 'babel', 'statsmodels'}\n"
            "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert done.stderr.strip() == "[]"

    def test_a_users_file_is_described_and_its_chatter_is_no_part_of_the_json(self, tmp_path: Path, bench: Any) -> None:
        (tmp_path / "mine.py").write_text("print('importing')\n" + bench.recipe)
        done = recipes("--file", "mine.py", "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["task"]["labels"] == ["low", "high"]

    def test_an_error_is_one_line_and_a_hint_without_traceback(self, tmp_path: Path) -> None:
        (tmp_path / "empty.py").write_text("")
        done = recipes("--file", "empty.py", cwd=tmp_path)
        assert done.returncode == 3
        assert done.stderr.startswith(
            "error: recipe 'empty' breaks the contract: has no Hyperparameters; has no load; has no"
        )
        assert "Traceback" not in done.stderr
        as_json = recipes("--file", "empty.py", "--json", cwd=tmp_path)
        assert json.loads(as_json.stdout)["error"]["kind"] == "recipe"

    def test_a_folder_named_training_where_it_is_started_shadows_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "training").mkdir()
        (tmp_path / "training" / "__init__.py").write_text("raise SystemExit('shadowed')")
        assert recipes("mnist", cwd=tmp_path).returncode == 0


class TestMnist:
    def test_the_data_is_whole_split_by_seed_and_stratified(self) -> None:
        import numpy as np

        recipe = bundled("mnist")
        hp = recipe.hyperparameters()
        data, again = recipe.load(hp, None), recipe.load(hp, None)
        assert [split.rows for split in (data.train, data.validation, data.test)] == [3500, 500, 1000]
        assert np.array_equal(data.test.x, again.test.x)
        assert np.bincount(data.test.y).tolist() == [100] * 10
        assert data.train.x.shape == (3500, 28, 28, 1) and data.train.x.dtype == np.float32
        assert (data.train.x.min(), data.train.x.max()) == (0.0, 255.0)
        other = recipe.load(recipe.hyperparameters(split_seed=1), None)
        assert not np.array_equal(other.test.x, data.test.x)
        rows = {row.tobytes() for split in (data.train, data.validation, data.test) for row in split.x}
        assert len(rows) == 5000

    def test_impossible_and_repeated_rows_are_dropped_and_counted(self) -> None:
        import numpy as np

        from training.recipes.mnist import clean

        table = np.zeros((6, 785), np.float32)
        table[:, 0] = [1, 2, 300, 2, np.nan, 3]
        table[:, -1] = [1, 2, 3, 2, 5, 11]
        pixels, digits, dropped = clean(table)
        assert digits.tolist() == [1, 2]
        assert pixels[:, 0].tolist() == [1, 2]
        assert dropped == {"out of range": 3, "duplicates": 1}

    def test_a_dataset_of_the_same_form_takes_its_place(self, tmp_path: Path) -> None:
        import numpy as np

        table = np.random.default_rng(0).integers(0, 256, (200, 785))
        table[:, -1] = np.arange(200) % 10
        np.savetxt(tmp_path / "mnist_5k.csv.gz", table, fmt="%d", delimiter=",")
        recipe = bundled("mnist")
        assert recipe.load(recipe.hyperparameters(), tmp_path).train.rows == 140


class TestLastLine:
    def test_message_of_many_lines_is_told_by_its_first(self) -> None:
        error = ValueError("shapes differ:\n  [1 2 3]\n  [4 5]")
        assert last_line(error) == "ValueError: shapes differ:"

    def test_syntax_error_is_told_by_its_last(self) -> None:
        with pytest.raises(SyntaxError) as raised:
            compile("x = (", "mine.py", "exec")
        assert last_line(raised.value).startswith("SyntaxError: ")
