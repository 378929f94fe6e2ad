"""What a SavedModel's file says of its signatures beside their tensors: methods, defaults, tags.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/meta_graph.proto, message SignatureDef.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving.backends.base import Array, first_line
from skylift.errors import DeployError

FILES = ("saved_model.pb", "saved_model.pbtxt")


class Described:
    """The graph of a SavedModel that has exactly these tags.

    Raises:
        DeployError: there is none; the message names the tags that there are.
    """

    def __init__(self, tensorflow: Any, folder: Path, tags: Sequence[str]) -> None:
        self._tf = tensorflow
        graphs = _read(folder).meta_graphs
        found = next((graph for graph in graphs if set(graph.meta_info_def.tags) == set(tags)), None)
        if found is None:
            named = "; ".join(", ".join(graph.meta_info_def.tags) or "none" for graph in graphs)
            raise DeployError(
                f"the SavedModel has no graph with the tags {', '.join(tags)}, only with: {named}",
                hint="export it with those tags, or name the ones that it has",
            )
        self._signatures: Mapping[str, Any] = found.signature_def

    def methods(self) -> dict[str, str]:
        return {name: signature.method_name for name, signature in self._signatures.items() if signature.method_name}

    def defaults(self) -> dict[str, dict[str, Array]]:
        """By signature, the values that its inputs have where a request leaves them out."""
        return {
            name: {tensor: np.asarray(self._tf.make_ndarray(proto)) for tensor, proto in signature.defaults.items()}
            for name, signature in self._signatures.items()
            if signature.defaults
        }


def _read(folder: Path) -> Any:
    from google.protobuf import text_format  # type: ignore[import-untyped]
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    binary, text = (folder / name for name in FILES)
    saved = SavedModel()
    try:
        if binary.is_file():
            saved.ParseFromString(binary.read_bytes())
        else:
            text_format.Parse(text.read_text(encoding="utf-8"), saved)
    except (OSError, DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise DeployError(
            f"the SavedModel in {folder.name} cannot be read: {first_line(error)}", hint="export it again"
        ) from None
    return saved
