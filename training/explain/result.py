"""What an explanation holds, whatever method it is of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.contract import Array


@dataclass(frozen=True)
class Part:
    """A part of the input that people have a name for: a column, a time step, a word; `share` is what the method gives to it.

    Args:
        value: what the input has there.
        spread: standard deviation of `share` over repetitions.
        inner: the characters of a word.
        more: other measures of it by name.
    """

    name: str
    share: float
    value: float | str | None = None
    spread: float | None = None
    inner: tuple[Part, ...] = ()
    more: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Completeness:
    """Whether the shares add up to the difference between what the model gives for the input and for the baseline."""

    value: float
    baseline_value: float
    sum: float
    tolerance: float
    steps: int | None = None
    """Along the path of integrated gradients."""

    @property
    def gap(self) -> float:
        return abs(self.sum - (self.value - self.baseline_value))

    @property
    def holds(self) -> bool:
        return self.gap <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**found, "gap": self.gap, "holds": self.holds}


@dataclass(frozen=True)
class Explanation:
    """One method's answer.

    Args:
        explained: which of the model's numbers, in words.
        baseline: what the input is compared with, in words; empty for methods without one.
        parts: in the input's order.
        map: of images: the share of each pixel `[height, width]`.
        layers: of attention: what each head of each layer gives to each part, `[heads, parts]`.
        notes: what else is good to know.
    """

    method: str
    explained: str
    baseline: str = ""
    parts: tuple[Part, ...] = ()
    map: Array | None = None
    completeness: Completeness | None = None
    layers: tuple[Array, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "explained": self.explained,
            "baseline": self.baseline,
            "parts": [_plain(part) for part in self.parts],
            "map": None if self.map is None else self.map.astype(float).tolist(),
            "completeness": None if self.completeness is None else self.completeness.to_dict(),
            "layers": [layer.astype(float).tolist() for layer in self.layers],
            "notes": list(self.notes),
        }


def _plain(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"name": part.name, "share": part.share, "value": part.value}
    if part.spread is not None:
        found["spread"] = part.spread
    if part.inner:
        found["characters"] = [{"name": each.name, "share": each.share} for each in part.inner]
    return found | part.more
