"""Batches of allowed sizes, rows of different length, requests greater than a batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from serving.backends.base import Array
from serving.batching.engine import Engine
from serving.batching.jobs import Job, LateError, Outcome
from serving.batching.options import BatchOptions
from serving.signature import ModelSignature, Tensor
from tests.serving.batching.engines import Bench

TEXTS = ModelSignature((Tensor("x", "string", (None, None)),), (Tensor("y", "string", (None, None)),))


class Echo:
    """Answers what it is given and keeps a copy of it."""

    name: str = "echo"
    concurrency = 1

    def __init__(self, signature: ModelSignature = TEXTS) -> None:
        self.signatures: Mapping[str, ModelSignature] = {"serving_default": signature}
        self.seen: list[Array] = []

    def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
        self.seen.append(inputs["x"].copy())
        return {"y": inputs["x"]}

    def close(self) -> None:
        pass


def padded(**more: bool) -> Bench:
    return Bench(BatchOptions(max_batch_rows=8, allowed_rows=(2, 4, 8), tune=False, **more))


def test_a_batch_is_filled_up_with_its_first_row_and_cut_again() -> None:
    bench = padded()
    one, two = bench.submit(7), bench.submit(8, 9)
    bench.turn()
    assert bench.model.computed == [7, 8, 9, 7]
    assert (bench.values(one), bench.values(two)) == ([14], [16, 18])
    assert (one.batch_rows, bench.engine.counts.rows, bench.engine.counts.padding_rows) == (3, 3, 1)


def test_one_row_alone_and_the_last_part_of_many_are_filled_up_too() -> None:
    bench = padded()
    one = bench.submit(5)
    bench.finish()
    many = bench.submit(*range(19))
    bench.finish()
    assert bench.model.sizes == [2, 8, 8, 4]
    assert bench.values(one) == [10]
    assert bench.values(many) == [2 * value for value in range(19)]


def test_a_model_that_does_not_answer_row_by_row_is_asked_as_it_was() -> None:
    bench = padded()
    run = bench.model.run
    bench.model.run = lambda signature, inputs, *_, **__: {"y": run(signature, inputs)["y"].sum(keepdims=True)}  # type: ignore[method-assign]
    one, two = bench.submit(1, 2, 3), bench.submit(4, 5, 6)
    bench.finish()
    assert (bench.values(one), bench.values(two)) == ([12], [30])
    three = bench.submit(1, 2, 3)
    bench.finish()
    assert bench.values(three) == [12]
    assert bench.model.sizes[-1] == 3


def ask(bench: Bench, value: Array) -> Job:
    job = Job("serving_default", {"x": value}, len(value), ("x", value.shape[1:]), lambda outcome: None)
    job.done = lambda outcome: bench.outcomes.setdefault(job, []).append(outcome)
    bench.engine.submit(job)
    return job


def answered(outcome: Outcome) -> Array:
    assert isinstance(outcome, dict), outcome
    return outcome["y"]


def texts(*rows: tuple[bytes, ...]) -> Array:
    array = np.empty((len(rows), len(rows[0])), dtype=object)
    array[:] = rows
    return array


def with_model(model: Echo, options: BatchOptions) -> Bench:
    bench = Bench(options)
    bench.engine = Engine(model, options, bench.loop, clock=bench.clock)
    return bench


def test_rows_of_different_length_are_computed_together_where_it_is_asked() -> None:
    model = Echo()
    bench = with_model(model, BatchOptions(max_batch_rows=8, allowed_rows=(1, 4, 8), pad_variable=True, tune=False))
    short, long = ask(bench, texts((b"a",))), ask(bench, texts((b"b", b"c", b"d"), (b"e", b"f", b"g")))
    bench.finish()
    assert [seen.tolist() for seen in model.seen] == [
        [[b"a", b"", b""], [b"b", b"c", b"d"], [b"e", b"f", b"g"], [b"a", b"", b""]]
    ]
    assert answered(bench.outcome(short)).tolist() == [[b"a", b"", b""]]
    assert answered(bench.outcome(long)).tolist() == [[b"b", b"c", b"d"], [b"e", b"f", b"g"]]


def test_and_else_each_length_by_itself_without_waiting_behind_the_other() -> None:
    model = Echo()
    bench = with_model(model, BatchOptions(max_batch_rows=8, tune=False))
    jobs = [ask(bench, texts((b"a",) * (1 + turn % 2))) for turn in range(8)]
    bench.finish()
    assert [seen.shape for seen in model.seen] == [(4, 1), (4, 2)]
    assert [answered(bench.outcome(job)).shape for job in jobs] == [(1, 1), (1, 2)] * 4


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8", "float16"])
def test_numbers_are_filled_up_with_zeros_of_their_type(dtype: str) -> None:
    shape = (None, None, None)
    model = Echo(ModelSignature((Tensor("x", dtype, shape),), (Tensor("y", dtype, shape),)))
    bench = with_model(model, BatchOptions(max_batch_rows=8, pad_variable=True, tune=False))
    ask(bench, np.ones((1, 1, 2), dtype))
    ask(bench, np.ones((1, 2, 1), dtype))
    bench.finish()
    assert model.seen[0].dtype == dtype
    assert model.seen[0].tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]


def test_parts_whose_answers_differ_in_length_are_computed_whole() -> None:
    class Cut(Echo):
        def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
            x = super().run(signature, inputs)["y"]
            return {"y": x[:, : max(1, int(x.max()))]}

    shape = (None, None)
    model = Cut(ModelSignature((Tensor("x", "int64", shape),), (Tensor("y", "int64", shape),)))
    bench = with_model(model, BatchOptions(max_batch_rows=2, tune=False))
    job = ask(bench, np.arange(12).reshape(4, 3) // 6 * 2)
    bench.finish()
    assert [len(seen) for seen in model.seen][-1] == 4
    assert answered(bench.outcome(job)).shape == (4, 2)


def test_the_rest_of_a_long_request_is_not_computed_for_a_client_that_left() -> None:
    bench = Bench()
    job = bench.submit(*range(40))
    bench.model.meanwhile = lambda until: bench.engine.cancel(job) if len(bench.model.sizes) == 3 else None
    bench.finish()
    assert bench.model.sizes == [4, 4, 4]


def test_nor_for_one_whose_time_is_over() -> None:
    bench = Bench(cost=lambda rows: 0.1)
    job = bench.submit(*range(40), seconds=0.25)

    def pass_in_loop(until: float) -> None:
        bench.clock.now = until
        bench.loop.run()

    bench.model.meanwhile = pass_in_loop
    bench.finish()
    assert isinstance(bench.outcome(job), LateError)
    assert len(bench.model.sizes) <= 4
