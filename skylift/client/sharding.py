"""Models cut into parts that serve as a chain. The training program cuts; here parts are asked one behind another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from skylift.artifacts import layout, models
from skylift.artifacts.records import ModelManifest, ModelRef
from skylift.errors import InputError, NotFoundError
from skylift.launch import asking, recipes

if TYPE_CHECKING:
    from skylift.client.prediction import Prediction
    from skylift.client.stack import Stack

Objective = Literal["time", "memory"]


@dataclass(frozen=True)
class Cutting:
    """How a model is to be cut.

    Args:
        objective: what is balanced between parts: the time of a batch, or memory.
        bandwidth: between two parts [Gbit/s].
        name: what the parts' names begin with; empty: the model's name.
        out: a new folder to write the parts to, instead of publishing them.
    """

    parts: int
    objective: Objective = "time"
    bandwidth: float = 10.0
    name: str = ""
    out: Path | None = None


def shard(
    stack: Stack, model: str, how: Cutting, progress: Callable[[int, int, str], None] = lambda done, total, text: None
) -> dict[str, Any]:
    """Cut a published model and publish its parts; what came of it (docs/sharding.md names the fields).

    Raises:
        NotFoundError: no such model.
        InputError: it cannot be cut so: the error says into how many parts it can.
        MachineError: TensorFlow is not installed, or the disk is full.
    """
    from skylift.client.stack import who

    ref = models.resolve(stack.keep, model)
    layout.check_name("model", how.name or ref.name)
    recipes.require_training()
    arguments = [
        *("shard", f"{ref.name}:{ref.version}", f"--keep={stack.keep.url}", f"--parts={how.parts}"),
        *(f"--objective={how.objective}", f"--bandwidth={how.bandwidth!r}", f"--by={who()}", f"--name={how.name}"),
    ]
    if how.out is not None:
        arguments.append(f"--out={how.out.absolute()}")
    report: dict[str, Any] = asking.ask_training_aloud(arguments, progress)
    return report


def predict(stack: Stack, chain: str, source: Any, *, invert: bool = False) -> list[Prediction]:
    """Ask the endpoints that serve the parts of a chain one behind another, and decode the last answer.

    Args:
        chain: what `shard` published: `digits-in3`.
        source: as for Stack.predict.

    Raises:
        InputError: it is no chain, or the input does not fit.
        NotFoundError: no endpoint serves one of its parts.
        UnreachableError: a server does not answer.
    """
    from skylift.client import inputs, prediction

    ref = models.resolve(stack.keep, chain)
    whole = models.read_manifest(stack.keep, ref)
    if not whole.chain:
        raise InputError(f"{ref.name}:{ref.version} is no chain of parts", hint=f"`skylift shard {ref.name} --parts 2`")
    places = _endpoints(stack, whole.chain)
    given = inputs.read(source, whole.signature.inputs, whole.task, invert=invert)
    rows: Sequence[Any] = given.rows if isinstance(given.rows, list) else given.rows.tolist()
    known = _columns(rows, [spec.name for spec in whole.signature.inputs])
    answers: list[Prediction] = []
    for part, endpoint in zip(whole.chain, places, strict=True):
        manifest = models.read_manifest(stack.keep, part)
        asked = _rows(known, [spec.name for spec in manifest.signature.inputs])
        answers = prediction.predict(stack, asked, endpoint=endpoint)
        known.update(_columns([answer.raw for answer in answers], _given(manifest)))
    return answers


def _given(manifest: ModelManifest) -> list[str]:
    return [spec.name for spec in manifest.signature.outputs]


def _columns(rows: Sequence[Any], names: Sequence[str]) -> dict[str, list[Any]]:
    """Rows as a request or an answer has them, by the name of the tensor: of several, a row is a mapping."""
    if len(names) == 1:
        return {names[0]: [row[names[0]] if isinstance(row, dict) else row for row in rows]}
    return {name: [row[name] for row in rows] for name in names}


def _rows(known: dict[str, list[Any]], names: Sequence[str]) -> list[Any]:
    if len(names) == 1:
        return known[names[0]]
    columns = [known[name] for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _endpoints(stack: Stack, parts: Sequence[ModelRef]) -> list[str]:
    """Of each part, an endpoint that serves it."""
    from skylift.client import releases

    serving = {
        (deployment.model.name, deployment.model.digest): name
        for name in stack.outputs.endpoints
        if (deployment := releases.serving_now(stack, name)) is not None
    }
    missing = [f"{part.name}:{part.version}" for part in parts if (part.name, part.digest) not in serving]
    if missing:
        raise NotFoundError(
            f"no endpoint serves {', '.join(missing)}",
            hint=f"`skylift deploy {missing[0]} --endpoint NAME`; `skylift:endpoints` in the stack's file names endpoints",
        )
    return [serving[part.name, part.digest] for part in parts]
