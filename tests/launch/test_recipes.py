"""What is said of recipes, and how texts become hyperparameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from skylift.errors import InputError, NotFoundError, RecipeError
from skylift.launch import recipes
from skylift.launch.recipes import Hyperparameter, Recipe

TINY = Recipe(
    "tiny",
    "Two clouds.",
    [
        Hyperparameter("epochs", "int", 2, minimum=1, maximum=100),
        Hyperparameter("learning_rate", "float", 0.001, minimum=0),
        Hyperparameter("augment", "bool", False),
        Hyperparameter("optimizer", "str", "adam", choices=["adam", "sgd"]),
    ],
)


class TestParse:
    def test_a_short_name_is_recorded_under_the_full_one(self):
        fields = [Hyperparameter("learning_rate", "float", 0.1, minimum=0.0, short="lr")]
        recipe = Recipe("brief", "", fields)
        assert recipes.parse(recipe, {"lr": "0.001"}) == {"learning_rate": 0.001}
        with pytest.raises(InputError, match="lr and learning_rate are the same"):
            recipes.parse(recipe, {"lr": "0.001", "learning_rate": "0.1"})
        with pytest.raises(InputError, match="at least 0"):
            recipes.parse(recipe, {"lr": "-1"})

    def test_texts_get_their_types(self) -> None:
        given = {"epochs": "3", "learning_rate": "1e-2", "augment": "Yes", "optimizer": "sgd"}
        assert recipes.parse(TINY, given) == {"epochs": 3, "learning_rate": 0.01, "augment": True, "optimizer": "sgd"}

    def test_nothing_given_is_nothing_set(self) -> None:
        assert recipes.parse(TINY, {}) == {}

    @pytest.mark.parametrize(("text", "meant"), [("on", True), ("off", False), ("1", True), ("FALSE", False)])
    def test_words_for_true_and_false(self, text: str, meant: bool) -> None:
        assert recipes.parse(TINY, {"augment": text}) == {"augment": meant}

    def test_all_mistakes_at_once_with_near_misses(self) -> None:
        with pytest.raises(InputError) as told:
            recipes.parse(TINY, {"epoch": "3", "learning_rate": "fast", "augment": "maybe", "epochs": "2.5"})
        message = told.value.message
        assert "did you mean 'epochs'?" in message
        assert "learning_rate = 'fast' must be a number" in message
        assert "augment = 'maybe' must be true or false" in message
        assert "epochs = '2.5' must be a whole number" in message
        assert len(told.value.details["mistakes"]) == 4
        assert "epochs (int, 2)" in told.value.hint

    @pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
    def test_numbers_that_no_record_can_hold(self, text: str) -> None:
        with pytest.raises(InputError, match="must be a number"):
            recipes.parse(TINY, {"learning_rate": text})

    @pytest.mark.parametrize(
        ("name", "text", "limit"),
        [
            ("epochs", "0", "at least 1"),
            ("epochs", "101", "at most 100"),
            ("learning_rate", "-1", "at least 0"),
            ("optimizer", "adma", "one of 'adam', 'sgd'"),
        ],
    )
    def test_limits_are_told_before_a_run_begins(self, name: str, text: str, limit: str) -> None:
        with pytest.raises(InputError, match=limit):
            recipes.parse(TINY, {name: text})

    def test_a_recipe_without_any(self) -> None:
        with pytest.raises(InputError) as told:
            recipes.parse(Recipe("bare", "", []), {"x": "1"})
        assert told.value.hint == "it has none"


class TestAsking:
    """The training program itself answers; no recipe here needs TensorFlow."""

    def test_a_bundled_recipe_is_described_with_its_limits(self) -> None:
        found = recipes.describe("mnist")
        epochs = next(field for field in found.hyperparameters if field.name == "epochs")
        assert (epochs.type, epochs.minimum) == ("int", 1)
        with pytest.raises(InputError, match="at least 1"):
            recipes.parse(found, {"epochs": "0"})

    def test_an_unknown_one_has_a_near_miss(self) -> None:
        with pytest.raises(NotFoundError, match="did you mean 'mnist'") as told:
            recipes.describe("mnits")
        assert told.value.exit_code == 4

    def test_what_a_recipe_prints_does_not_spoil_the_answer(self, tmp_path: Path) -> None:
        (tmp_path / "loud.py").write_text(GOOD + "\nprint('hello'); import os; os.write(2, b'!')\n")
        found = recipes.describe_code(str(tmp_path), "loud")
        assert found.hyperparameters[0].name == "depth"

    def test_one_that_raises_tells_its_last_line(self, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("raise ValueError('no data here')\n")
        with pytest.raises(RecipeError, match="ValueError: no data here"):
            recipes.describe_code(str(tmp_path), "broken")


GOOD = '''"""Fine."""
from dataclasses import dataclass
from training.contract import Input, Task


@dataclass(frozen=True)
class Hyperparameters:
    depth: int = 3


def task(hp):
    return Task("regression", "mse", (Input((4,), "float32", "x"),))


def load(hp, source):
    raise NotImplementedError


def build(hp, data):
    raise NotImplementedError
'''
