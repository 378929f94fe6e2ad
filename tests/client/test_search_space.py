"""What a study searches: as it was written, and what is drawn from a recipe."""

from __future__ import annotations

import pytest

from skylift.artifacts.studies import Parameter
from skylift.client import search_space
from skylift.errors import InputError
from skylift.launch.recipes import Hyperparameter, Recipe

RECIPE = Recipe(
    name="cells",
    summary="",
    hyperparameters=[
        Hyperparameter("epochs", "int", 20, minimum=1),
        Hyperparameter("batch_size", "int", 32, minimum=1),
        Hyperparameter("learning_rate", "float", 0.003, minimum=0.0, short="lr"),
        Hyperparameter("schedule", "str", "cosine", choices=["constant", "cosine"]),
        Hyperparameter("cell", "str", "gru", choices=["lstm", "gru"]),
        Hyperparameter("units", "int", 24, minimum=1, maximum=40),
        Hyperparameter("heads", "int", 4, minimum=1),
        Hyperparameter("window", "int", 22, minimum=2, maximum=60),
        Hyperparameter("dropout", "float", 0.3, minimum=0.0, maximum=0.95),
        Hyperparameter("test_share", "float", 0.2, minimum=0.01, maximum=0.4),
        Hyperparameter("split_seed", "int", 9, minimum=0),
        Hyperparameter("note", "str", ""),
        Hyperparameter("flip", "bool", False),
    ],
    task={"metrics": ["accuracy"], "inputs": [{"name": "years", "shape": [22, 1]}]},
)


def parse(*written: str, fixed: tuple[str, ...] = ()) -> list[Parameter]:
    return search_space.parse(RECIPE, written, fixed)


def test_ranges_and_choices_are_typed() -> None:
    assert parse("lr=1e-4..1e-1:log", "units=4..40", "cell=lstm, gru", "flip=yes,no", "batch_size=16,64") == [
        Parameter(name="learning_rate", type="float", low=1e-4, high=0.1, log=True),
        Parameter(name="units", type="int", low=4, high=40),
        Parameter(name="cell", type="str", choices=["lstm", "gru"]),
        Parameter(name="flip", type="bool", choices=[True, False]),
        Parameter(name="batch_size", type="int", choices=[16, 64]),
    ]
    assert [str(each) for each in parse("lr=1e-4..0.1:log", "cell=gru,lstm")] == [
        "learning_rate=0.0001..0.1:log",
        "cell=gru,lstm",
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("unit=1..2", "unit is none of its hyperparameters; did you mean 'units'?"),
        ("units", "'units' is no search: write NAME=LOW..HIGH"),
        ("units=", "is no search"),
        ("units=8..4", "units: 8..4 has no values between its ends"),
        ("units=4..80", "units: 80 must be at most 40"),
        ("units=1.5..8", "units: '1.5..8' is no range of whole numbers"),
        ("units=4..8:lin", "'lin' is no scale: `:log`, or nothing"),
        ("units=4..8..9", "is no range of whole numbers"),
        ("units=8", "'8' is one value: give a range such as 1..10, or `--set units=8`"),
        ("units=4,4", "units: 4 is listed twice"),
        ("units=4,many", "units: 'many' is no int"),
        ("cell=lstm,rnn", "cell: rnn must be one of 'lstm', 'gru'"),
        ("dropout=0..0.5:log", "dropout: a range on a logarithmic scale begins above 0, not at 0"),
        ("lr=0.1..inf", "learning_rate: '0.1..inf' is no range of numbers"),
        ("flip=maybe,no", "flip: 'maybe' is no bool"),
    ],
)
def test_a_mistake_names_the_parameter_and_what_would_work(written: str, said: str) -> None:
    with pytest.raises(InputError) as told:
        parse(written)
    assert said in told.value.message
    assert "`skylift recipes cells` lists its hyperparameters" in told.value.hint


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InputError) as told:
        parse("unit=1..2", "lr=0.1..0.2", "learning_rate=1..2", "cell=gru,lstm", "dropout=9..10", fixed=("cell",))
    mistakes = told.value.details["mistakes"]
    assert len(mistakes) == 4
    assert "learning_rate is searched twice" in mistakes[1]
    assert "cell is both set and searched: leave out `--set cell=…`" in mistakes[2]


def test_what_matters_is_searched_and_what_chooses_data_or_shape_is_not() -> None:
    space = {each.name: each for each in search_space.derive(RECIPE, {})}
    assert list(space) == ["batch_size", "learning_rate", "cell", "units", "dropout", "flip"]
    assert str(space["learning_rate"]) == "learning_rate=0.0003..0.03:log"
    assert space["batch_size"].choices == [16, 32, 64]
    assert space["units"].choices == [12, 24], "twice as many would pass its limit"
    assert (space["dropout"].low, space["dropout"].high, space["dropout"].log) == (0.0, 0.6, False)
    for parameter, field in ((space[each.name], each) for each in RECIPE.hyperparameters if each.name in space):
        assert parameter.holds(field.default), "the first trial tries the recipe as it is"


def test_what_is_set_is_not_searched_and_something_must_be_left() -> None:
    everything = {each.name: each.default for each in RECIPE.hyperparameters}
    left = search_space.derive(RECIPE, {name: value for name, value in everything.items() if name != "cell"})
    assert [each.name for each in left] == ["cell"]
    with pytest.raises(InputError, match="no hyperparameter that is searched by itself") as told:
        search_space.derive(RECIPE, everything)
    assert "--search NAME=LOW..HIGH" in told.value.hint
