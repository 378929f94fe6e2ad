"""Versions of models as the readers of bodies see them."""

from __future__ import annotations

from typing import Any

from serving.media.facts import MediaLimits, VersionFacts
from serving.signature import ModelSignature, Tensor
from skylift.artifacts.records import TaskInfo


def facts(
    *inputs: tuple[str, str, tuple[int | None, ...] | None], limits: MediaLimits | None = None, **task: Any
) -> VersionFacts:
    signature = ModelSignature(tuple(Tensor(*one) for one in inputs), (Tensor("y", "float32", (None, 2)),))
    return VersionFacts(signature, TaskInfo(**task), limits or MediaLimits())


DIGIT = facts(("image", "float32", (None, 28, 28, 1)), input_kind="image")
TABLE = facts(("x", "float32", (None, 3)), input_kind="tabular", input_names=["age", "height", "weight"])
ROWS = facts(("x", "float32", (None, 3)))
WHOLE = facts(("n", "int32", (None, 2)))
PAIR = facts(("a", "float32", (None,)), ("b", "int64", (None, 1)))
TEXT = facts(("t", "string", (None,)))
