"""What a model's manifest says of the data that it learned from, for comparing requests with."""

from __future__ import annotations

from typing import Literal

import msgspec


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How a number or a text was spread over the rows that a model learned from: `counts` by bin.

    Args:
        edges: of a number's bins: the first is below `edges[0]`, the next from there to below `edges[1]`, the last from the last edge on.
        values: of a text's bins, one each; the last count is that of all other texts.
        missing: values that were no finite number.
    """

    name: str
    edges: list[float] = []
    values: list[str] = []
    counts: list[int]
    missing: int = 0


Measure = Literal["features", "whole", "text", "strings", "classes", "probability"]
"""What of a tensor is compared, see skylift/artifacts/profiles.py."""


class TensorProfile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    measure: Measure
    distributions: list[Distribution]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's inputs and outputs looked like when it was made, so that serving can tell when they no longer do.

    Args:
        rows: that were looked at: of the training split for inputs, of the test split for outputs.
    """

    rows: int
    inputs: list[TensorProfile] = []
    outputs: list[TensorProfile] = []
