"""What the readers of bodies need to know of the version that a request is for."""

from __future__ import annotations

from dataclasses import dataclass, field

from serving.media.errors import MediaError
from serving.signature import ModelSignature, Tensor
from skylift.artifacts.records import TaskInfo

NUMBERS = frozenset(
    {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)
MOST_DIMS = 32
MOST_ELEMENTS = 2**48
MOST_TEXTS = 1_000_000
"""Each is an object of some 50 bytes, however short."""


@dataclass(frozen=True)
class MediaLimits:
    """What one body may cost.

    Args:
        decoded_bytes: of all arrays of an .npz together, decompressed, and of all rows that pictures make; more is 413.
        pixels: of one picture before it is scaled, at up to ten bytes of memory each; more is 413. All pictures of a body may have
            eight times as many.
        parts: pictures of one multipart/form-data body; more is 413.
    """

    decoded_bytes: int = 128 * 1024 * 1024
    pixels: int = 25_000_000
    parts: int = 256


@dataclass(frozen=True)
class VersionFacts:
    """A version as far as its bodies go. Made once when it is loaded."""

    signature: ModelSignature
    task: TaskInfo = field(default_factory=TaskInfo)
    limits: MediaLimits = MediaLimits()

    @property
    def only_input(self) -> Tensor | None:
        return self.signature.inputs[0] if len(self.signature.inputs) == 1 else None


def said(tensor: Tensor) -> str:
    """An input for messages."""
    return f'"{tensor.name}" ({tensor.dtype} {tensor.shape_text()})'


def all_said(facts: VersionFacts) -> str:
    return ", ".join(said(tensor) for tensor in facts.signature.inputs) or "no input"


def check_shape(tensor: Tensor, shape: tuple[int, ...]) -> None:
    """
    Raises:
        MediaError: the model does not take it, or no array can have it.
    """
    given = "[" + ",".join(map(str, shape)) + "]"
    if len(shape) > MOST_DIMS:
        raise MediaError(f'input "{tensor.name}" has {len(shape)} dimensions, at most {MOST_DIMS} are possible')
    if not tensor.accepts(shape):
        raise MediaError(f'input "{tensor.name}" has shape {given}, the model takes {tensor.shape_text()}')
    size = 1
    for one in shape:
        size *= one or 1  # an array without elements may still have sizes that numpy cannot multiply
    if size > MOST_ELEMENTS:
        raise MediaError(f'input "{tensor.name}" has shape {given}, which is too great')
