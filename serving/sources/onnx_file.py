"""Whether an ONNX file, and what it keeps outside of itself, is there as a whole.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from serving.sources.wire import Bytes, CutError, Span, blocks, fields, mapped, text

_GRAPH, _OPSETS = 7, 8
_INITIALIZERS, _EXTERNAL = 5, 13


def outside(path: Path) -> Mapping[str, int]:
    """Files that hold an ONNX model's large tensors, relative to it, each with the bytes that it holds at least.

    Raises:
        CutError: it is no such file, or not all of it is there.
        OSError: it cannot be read.
    """
    least: dict[str, int] = {}
    with mapped(path) as data:
        graphs, seen = [], set()
        for number, value in fields(data, (0, len(data))):
            seen.add(number)
            if number == _GRAPH and isinstance(value, tuple):
                graphs.append(value)
        if not {_GRAPH, _OPSETS} <= seen:
            raise CutError("it holds no whole graph")
        for graph in graphs:
            for name, end in _external(data, graph):
                least[name] = max(least.get(name, 0), end)
    return least


def _external(data: Bytes, graph: Span) -> Iterator[tuple[str, int]]:
    for tensor in blocks(data, graph, _INITIALIZERS):
        entries = {}
        for entry in blocks(data, tensor, _EXTERNAL):
            key, value = (next((text(data, one) for one in blocks(data, entry, number)), "") for number in (1, 2))
            entries[key] = value
        if location := entries.get("location"):
            if PurePosixPath(location).is_absolute() or ".." in PurePosixPath(location).parts:
                raise CutError(f"it points to {location!r}, which is outside of its folder")
            yield location, _number(entries.get("offset", "")) + _number(entries.get("length", ""))


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise CutError(f"{text!r} is no place in a file")
    return int(text or 0)
