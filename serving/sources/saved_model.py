"""What a SavedModel's own file says, without TensorFlow and without reading the graph.

Field numbers are those of https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf: saved_model.proto and
meta_graph.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.sources.wire import Bytes, CutError, Span, blocks, mapped, text
from skylift.errors import DeployError

FILE = "saved_model.pb"
INDEX = "variables/variables.index"
SERVE = ("serve",)
_META_GRAPHS = 2
_INFO, _SAVER, _SIGNATURES, _ASSETS = 1, 3, 5, 6
_INFO_TAGS, _ASSET_NAME = 4, 2


@dataclass(frozen=True)
class Needs:
    """What must lie beside the file."""

    has_variables: bool
    assets: tuple[str, ...]


def needs(path: Path) -> Needs:
    """What all graphs of a `saved_model.pb` need.

    Raises:
        CutError: it is none, or not all of it is there.
        OSError: it cannot be read.
    """
    with mapped(path) as data:
        graphs = list(blocks(data, (0, len(data)), _META_GRAPHS))
        if not graphs:
            raise CutError("it holds no graph")
        has_variables = any(True for graph in graphs for _ in blocks(data, graph, _SAVER))
        assets = {
            text(data, name)
            for graph in graphs
            for asset in blocks(data, graph, _ASSETS)
            for name in blocks(data, asset, _ASSET_NAME)
        }
    return Needs(has_variables, tuple(sorted(assets)))


def signature_entries(data: Bytes, tags: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Names and serialized SignatureDefs of the graph that has just these tags.

    Raises:
        CutError: it is no SavedModel.
        DeployError: it has no such graph.
    """
    graph = _graph(data, tags)
    for entry in blocks(data, graph, _SIGNATURES):
        name = next((text(data, span) for span in blocks(data, entry, 1)), "")
        raw = next((data[begin:end] for begin, end in blocks(data, entry, 2)), b"")
        yield name, raw


def _graph(data: Bytes, tags: Sequence[str]) -> Span:
    found = []
    for graph in blocks(data, (0, len(data)), _META_GRAPHS):
        own = {text(data, tag) for info in blocks(data, graph, _INFO) for tag in blocks(data, info, _INFO_TAGS)}
        if own == set(tags):
            return graph
        found.append("{" + ", ".join(sorted(own)) + "}")
    raise DeployError(
        f"the SavedModel has no graph with the tags {{{', '.join(sorted(tags))}}}; it has {', '.join(found) or 'none'}",
        hint="export it with these tags, or name its own with --saved_model_tags",
    )
