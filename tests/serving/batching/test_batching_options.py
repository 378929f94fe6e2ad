"""Options that cannot be are refused where they are made, all at once."""

from __future__ import annotations

import msgspec
import pytest

from serving.batching.options import BatchOptions
from skylift.errors import InputError


def test_every_mistake_is_said_at_once() -> None:
    with pytest.raises(InputError) as refused:
        BatchOptions(max_batch_rows=0, queue_seconds=0, max_delay_seconds=-1, latency_seconds=float("nan"))
    for name in ("max_batch_rows", "queue_seconds", "max_delay_seconds", "latency_seconds"):
        assert name in refused.value.message


@pytest.mark.parametrize("sizes", [(4, 2, 8), (1, 1, 8), (0, 8), (1, 4), (1, 16)])
def test_allowed_sizes_rise_to_the_greatest_batch(sizes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="allowed_rows"):
        BatchOptions(max_batch_rows=8, allowed_rows=sizes)


def test_a_batch_must_fit_into_the_queue() -> None:
    with pytest.raises(InputError, match="queue_rows"):
        BatchOptions(max_batch_rows=8, queue_rows=7)


def test_options_travel_as_json() -> None:
    options = BatchOptions(max_batch_rows=8, allowed_rows=(1, 8), pad_variable=True)
    assert msgspec.json.decode(msgspec.json.encode(options), type=BatchOptions) == options
