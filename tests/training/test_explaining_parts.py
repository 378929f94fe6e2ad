"""What explanations are made of, without TensorFlow: characters and words, classes, tables, sums, and how the terminal shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skylift.artifacts.texts import row_of
from skylift.cli.explain import show
from skylift.errors import InputError
from training.contract import Input, Task
from training.explain.features import MOST_COLUMNS, parts, table
from training.explain.integrated_gradients import at_once
from training.explain.permutation import judge
from training.explain.pictures import AGAINST, FOR, overlay
from training.explain.result import Completeness
from training.explain.target import choose, prediction
from training.explain.words import characters, words

YES_NO = Task("binary", "binary_crossentropy", (Input((2,), "float32", "row"),), ("no", "yes"))
DIGITS = Task(
    "classification", "sparse_categorical_crossentropy", (Input((2,), "float32", "row"),), ("one", "two", "ten")
)


def bytes_of(text: str, length: int = 32) -> Any:
    return np.frombuffer(row_of(text, length), np.uint8)


class TestWords:
    def test_bytes_of_a_character_are_one_part_of_its_word(self) -> None:
        row = bytes_of("né à 東京")
        shares = np.zeros(32)
        shares[:12] = np.arange(12)
        found = words(row, shares)
        assert [(part.name, part.share) for part in found] == [
            ("né", 0 + 1 + 2 + 3),
            ("à", 4 + 5 + 6),
            ("東京", 7 + 8 + 9 + 10 + 11),
        ]
        assert [(each.name, each.share) for each in found[0].inner] == [("n", 0), ("é", 3), (" ", 3)]

    def test_nothing_of_the_sum_is_lost(self) -> None:
        shares = np.random.default_rng(0).normal(size=32)
        for text in ("a", "two words", "  spaces   between  ", "ğü 東 z"):
            found = words(bytes_of(text), shares)
            assert sum(part.share for part in found) == pytest.approx(shares.sum())
            assert found[-1].name == "(behind the text)"

    def test_bytes_that_are_no_text_stand_for_themselves(self) -> None:
        row = np.array([0xC3, 0x28, 0xFF, 0, 0], np.uint8)
        assert [text for text, _ in characters(row)] == ["\\xc3", "(", "\\xff"]
        assert words(np.zeros(4, np.uint8), np.zeros(4)) == ()


class TestTargets:
    def test_the_predicted_class_is_explained_unless_another_is_named(self) -> None:
        outputs = np.array([[0.2, 0.7, 0.1]])
        assert choose(DIGITS, outputs, None).label == "two"
        ten = choose(DIGITS, outputs, "TEN")
        assert (ten.index, ten.of(outputs)[0], ten.name) == (2, 0.1, "the probability of 'ten'")
        with pytest.raises(InputError, match="knows no class 'tow': did you mean 'two'"):
            choose(DIGITS, outputs, "tow")

    @pytest.mark.parametrize(("label", "expected"), [("no", 0.7), ("yes", 0.3), (None, 0.7)])
    def test_both_classes_of_a_binary_model_have_a_probability(self, label: str | None, expected: float) -> None:
        outputs = np.array([[0.3], [0.3]])
        target = choose(YES_NO, outputs[:1], label)
        assert target.of(outputs) == pytest.approx(expected)
        constant = 1.0 if target.flips else 0.0
        assert constant + (outputs @ target.weights(1))[0, 0] == pytest.approx(expected)
        assert prediction(YES_NO, outputs[:1])["scores"] == pytest.approx({"no": 0.7, "yes": 0.3})

    def test_a_value_among_several_goes_by_its_number(self) -> None:
        task = Task("regression", "mean_squared_error", (Input((2,), "float32", "row"),), unit="°C")
        assert choose(task, np.array([[1.0]]), None).name == "the value in °C"
        assert choose(task, np.array([[1.0, 5.0]]), "1").name == "value 1 of 2 in °C"
        assert choose(task, np.array([[1.0, 5.0]]), None, is_generic=True).index == 1
        with pytest.raises(InputError, match="knows no class 'warm'"):
            choose(task, np.array([[1.0, 5.0]]), "warm")


class TestTables:
    def test_rows_come_back_as_they_were_whatever_their_types(self) -> None:
        task = Task(
            "regression",
            "mean_squared_error",
            (Input((2,), "float32", "a"), Input((2, 2), "int32", "b")),
            input_kind="tabular",
        )
        rows = {"a": np.ones((3, 2), np.float32) / 3, "b": np.arange(12, dtype=np.int32).reshape(3, 2, 2)}
        layout = table(task, rows, "shap")
        assert layout.columns == ["a[0]", "a[1]", "b[0, 0]", "b[0, 1]", "b[1, 0]", "b[1, 1]"]
        again = layout.rows(layout.flat(rows))
        assert all(again[name].dtype == rows[name].dtype and (again[name] == rows[name]).all() for name in rows)

    def test_images_and_wide_tables_are_refused(self) -> None:
        image = Task("regression", "mean_squared_error", (Input((4, 4, 1), "float32", "x"),), input_kind="image")
        with pytest.raises(InputError, match="this model takes images"):
            table(image, {"x": np.zeros((1, 4, 4, 1))}, "permutation")
        wide = Task("regression", "mean_squared_error", (Input((MOST_COLUMNS + 1,), "float32", "x"),))
        with pytest.raises(InputError, match="this model takes 201 columns"):
            table(wide, {"x": np.zeros((1, MOST_COLUMNS + 1))}, "permutation")

    def test_the_shares_of_a_sequence_are_added_up_for_each_step(self) -> None:
        task = Task("regression", "mean_squared_error", (Input((3, 2), "float32", "x"),), input_kind="sequence")
        found = parts(task, {"x": np.ones((1, 3, 2))}, {"x": np.arange(6.0).reshape(3, 2)})
        assert [(part.name, part.share) for part in found] == [
            ("step 1 of 3", 1),
            ("step 2 of 3", 5),
            ("step 3 of 3", 9),
        ]


def test_the_loss_is_the_tasks_own() -> None:
    assert judge(YES_NO, np.array([1, 0]), np.array([[0.5], [0.5]]))["loss"] == pytest.approx(np.log(2))
    judged = judge(DIGITS, np.array([1, 0]), np.array([[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]]))
    assert judged == pytest.approx({"loss": -(np.log(0.5) + np.log(0.25)) / 2, "accuracy": 0.5})
    absolute = Task("regression", "mean_absolute_error", YES_NO.inputs)
    assert judge(absolute, np.array([1.0, 3.0]), np.array([[2.0], [0.0]])) == {"loss": 2.0}


def test_colours_go_by_sign_and_size() -> None:
    image = np.full((2, 2, 3), 200, np.uint8)
    drawn = overlay(image, np.array([[1.0, -1.0], [0.0, 0.3]])).astype(int)
    assert np.abs(drawn[0, 0] - FOR).max() < 12 and np.abs(drawn[0, 1] - AGAINST).max() < 12
    assert len(set(drawn[1, 0])) == 1  # grey: no share
    assert overlay(image, np.zeros((2, 2))).shape == (2, 2, 3)


def test_large_inputs_are_computed_a_few_at_once() -> None:
    assert at_once({"image": np.zeros((1, 28, 28, 1))}, 64) == 64
    assert at_once({"image": np.zeros((1, 224, 224, 3))}, 64) == 4
    assert at_once({"image": np.zeros((1, 2000, 2000, 3))}, 64) == 1


def test_a_gap_that_is_too_large_does_not_hold() -> None:
    assert Completeness(0.9, 0.1, 0.795, 0.008, 64).holds
    assert not Completeness(0.9, 0.1, 0.7, 0.008, 64).holds
    assert not Completeness(0.9, 0.1, float("nan"), 0.008, 64).holds


def test_the_terminal_shows_words_in_their_order_with_signs_and_says_what_is_not_shown(capsys: Any) -> None:
    explanation = {
        "method": "integrated-gradients",
        "explained": "the probability of 'French'",
        "baseline": "an embedding of zeros in each place",
        "shows": "What each part adds.",
        "shows_not": "Causes.",
        "parts": [
            {"name": "heure", "share": 0.4, "value": None, "characters": [{"name": "h", "share": 0.4}]},
            {"name": "du", "share": 0.01, "value": None, "characters": []},
            {"name": "Suisse", "share": -0.2, "value": None, "characters": []},
        ],
        "map": [[0.5, 0.0], [-0.5, 0.02]],
        "completeness": Completeness(0.9, 0.1, 0.795, 0.008, 64).to_dict(),
        "layers": [[[0.75, 0.05, 0.2]]],
        "notes": ["a note"],
    }
    said = {"label": "French", "probability": 0.909, "value": None, "unit": ""}
    show({"model": "text:1", "prediction": said, "truth": "French", "explanations": [explanation]}, 2)
    printed = capsys.readouterr().out
    assert "French (90.9%)" in printed and "It does not show: Causes." in printed and "a note" in printed
    lines = printed.splitlines()
    (heure,) = (number for number, line in enumerate(lines) if line.startswith("heure"))
    assert lines[heure].rstrip().endswith("| ████████████████████") and "+0.4000" in lines[heure]
    assert lines[heure + 1].startswith("Suisse") and "██████████ |" in lines[heure + 1]
    assert "the 2 largest of 3" in printed and "layer 1, head 1" in printed and "75%" in printed
    assert "  ##" in lines and "  ==. " in [f"{line} " for line in lines] + lines
    assert "the shares add up to +0.795, 0.005 off the difference after 64 steps (allowed: 0.008)" in printed
