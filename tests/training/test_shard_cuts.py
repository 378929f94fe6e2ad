"""Where a model is cut, given what was measured of its layers. Nothing here imports TensorFlow."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.errors import InputError
from training.shard.cuts import Layer, Wish, choose, costs, most_parts
from training.shard.report import efficiency


def layer(name: str, ms: float, sent: int = 1000, **more: Any) -> Layer:
    """One that takes `ms` for 32 rows, with `sent` bytes a row crossing in front of it."""
    usual: dict[str, Any] = {"variables": {}, "alive": 100, "may_cut": True, "is_passive": False}
    return Layer(name=name, ms={1: ms / 32, 32: ms}, bytes_before=sent, **(usual | more))


def widths(layers: list[Layer], wish: Wish) -> list[int]:
    ends = choose(layers, wish, "m:1")
    return [end - first for first, end in zip([0, *ends], ends, strict=False)]


def test_parts_take_the_same_time() -> None:
    layers = [layer(str(number), ms, 1) for number, ms in enumerate([1, 1, 1, 3, 3, 1, 1, 1])]
    assert widths(layers, Wish(4)) == [3, 1, 1, 3]


def test_of_balanced_cuts_the_one_that_sends_least_is_taken() -> None:
    layers = [layer(str(number), 1.0, 9000) for number in range(40)]
    layers[21] = layer("narrow", 1.0, 10)
    assert choose(layers, Wish(2, bandwidth=1e6), "m:1") == [21, 40]
    layers[21], layers[35] = layer("wide", 1.0, 9000), layer("narrow, but far from the middle", 1.0, 10)
    assert choose(layers, Wish(2, bandwidth=1e6), "m:1")[0] in (18, 19, 20, 21, 22)


def test_a_slow_network_moves_the_cut_to_where_little_is_sent() -> None:
    layers = [layer(str(number), 1.0, 100_000) for number in range(10)]
    layers[8] = layer("narrow", 1.0, 100)
    assert choose(layers, Wish(2, bandwidth=100.0), "m:1") == [5, 10]
    assert choose(layers, Wish(2, bandwidth=1.0), "m:1") == [8, 10]


def test_memory_is_shared_out_where_that_is_asked_and_a_variable_used_twice_counts_once() -> None:
    big, tied = 1_000_000, {1: 1_000_000}
    layers = [
        layer("embed", 1.0, variables=tied),
        layer("deep", 9.0, variables={2: 10}),
        layer("out", 1.0, variables=tied),
        layer("head", 1.0, variables={3: big}),
    ]
    assert choose(layers, Wish(2, "memory"), "m:1") == [3, 4]
    assert choose(layers, Wish(2, "time"), "m:1") == [2, 4]
    assert costs(layers, Wish(2, "memory"))(0, 3) == big + 10 + 100 * 32


def test_no_cut_where_rows_are_lost_and_no_part_that_computes_nothing() -> None:
    layers = [
        layer("a", 1.0),
        layer("dropout", 0.0, is_passive=True, may_cut=False),
        layer("b", 1.0, may_cut=False),
        layer("c", 1.0),
        layer("flatten", 0.0, is_passive=True),
    ]
    assert most_parts(layers) == 2
    assert choose(layers, Wish(2), "m:1") == [3, 5]
    with pytest.raises(InputError, match="m:1 cannot be cut into 3 parts: it has 1 place for cuts") as caught:
        choose(layers, Wish(3), "m:1")
    assert caught.value.hint == "give --parts 2 or fewer"
    with pytest.raises(InputError) as caught:
        choose(layers[:1], Wish(2), "m:1")
    assert caught.value.hint == "a model this small is served whole"


@pytest.mark.parametrize("number", range(6))
def test_the_search_finds_what_trying_everything_finds(number: int) -> None:
    from itertools import combinations

    import numpy as np

    rng = np.random.default_rng(number)
    layers = [layer(str(each), float(rng.uniform(0.1, 5)), int(rng.integers(1, 10**6))) for each in range(9)]
    for parts in (2, 3, 4):
        wish = Wish(parts)
        cost = costs(layers, wish)
        tried = []
        for ends in combinations(range(1, 9), parts - 1):
            bounds = list(zip([0, *ends], [*ends, 9], strict=True))
            tried.append(
                (max(cost(*pair) for pair in bounds), sum(layers[end].bytes_before for end in ends), [*ends, 9])
            )
        best = min(dearest for dearest, _, _ in tried)
        fewest = min(sent for dearest, sent, _ in tried if dearest <= best * 1.1)
        found = choose(layers, wish, "m:1")
        assert any(ends == found and dearest <= best * 1.1 and sent == fewest for dearest, sent, ends in tried)


@pytest.mark.parametrize(
    ("wish", "said"),
    [(Wish(1), "--parts 1 cuts nothing"), (Wish(65), "more than 64"), (Wish(2, bandwidth=0), "moves nothing")],
)
def test_what_cannot_be_meant(wish: Wish, said: str) -> None:
    with pytest.raises(InputError, match=said):
        wish.check()


def test_the_slowest_stage_sets_the_pace_and_receiving_counts() -> None:
    found = efficiency("onnx", 32, 10.0, [4.0, 4.0], [0.0, 1.0])
    assert (found.speedup, found.without_transfer) == (2.0, 2.5)
