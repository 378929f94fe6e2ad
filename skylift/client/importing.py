"""Models that were made elsewhere, as versions of this stack. The training program reads and compares them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.artifacts import existing, layout
from skylift.artifacts.records import PublishedModel
from skylift.errors import InputError
from skylift.launch import asking, recipes

if TYPE_CHECKING:
    from skylift.client.stack import Stack


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a model mean, which its file does not say.

    Args:
        labels: names of the classes in order: it is a classifier.
        unit: of the value: it is a regression.
        is_image: the input is an image `[height, width, channels]`.
    """

    labels: tuple[str, ...] = ()
    unit: str = ""
    is_image: bool = False


class _Added(msgspec.Struct, frozen=True):
    """What `training import` prints."""

    model: PublishedModel
    notes: list[str] = []


def add(
    stack: Stack,
    name: str,
    path: Path | str,
    meaning: Meaning = Meaning(),
    *,
    tell: Callable[[str], None] | None = None,
) -> PublishedModel:
    """Publish an existing model as the next version of `name`.

    Args:
        path: a .keras, .h5 or .onnx file, or a SavedModel folder.
        tell: gets what is good to know of the version, such as why it has no ONNX form; one call per note.

    Raises:
        InputError: it is no model that can be read and run, or it does not fit its meaning.
        MachineError: what reads this kind of model is not installed.
    """
    layout.check_name("model", name)
    with_comma = [label for label in meaning.labels if "," in label]
    if with_comma:
        raise InputError(f"label {with_comma[0]!r} has a comma in it", hint="labels are told apart by commas")
    source = Path(path).absolute()
    if existing.kind_of(source) != "onnx":
        recipes.require_training()
    added = msgspec.convert(asking.ask_training(_arguments(stack, name, source, meaning)), _Added)
    if tell is not None:
        for note in added.notes:
            tell(note)
    return added.model


def _arguments(stack: Stack, name: str, path: Path, meaning: Meaning) -> list[str]:
    from skylift.client.stack import who

    # With `=`, for a value may begin with a dash.
    arguments = ["import", f"--path={path}", f"--keep={stack.keep.url}", f"--name={name}", f"--by={who()}"]
    if meaning.labels:
        arguments.append(f"--labels={','.join(meaning.labels)}")
    if meaning.unit:
        arguments.append(f"--unit={meaning.unit}")
    return [*arguments, "--image"] if meaning.is_image else arguments
