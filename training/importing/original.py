"""A model as somebody made it, whatever its format: what it takes, how it is called, how it is stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from skylift.artifacts.existing import Kind
from skylift.artifacts.records import TensorSpec
from skylift.errors import InputError
from training.export.compare import Named
from training.export.formats import Exported


class Original(Protocol):
    """`outputs` holds the shapes that the file declares, None where it declares none."""

    inputs: list[TensorSpec]
    outputs: dict[str, list[int | None] | None]

    def run(self, rows: Named) -> Named: ...

    def store(self, rows: Named, expected: Named, folder: Path) -> Exported:
        """Write every form below the new folder and compare it.

        Raises:
            ExportError: the main form fails or differs; another one that does is dropped with a note.
        """
        ...


def read(kind: Kind, path: Path) -> Original:
    """Load a model.

    Raises:
        InputError: it cannot be loaded, or takes or gives what cannot be served.
        MachineError: what loads it is not installed.
    """
    if kind == "onnx":
        from training.importing.onnx_file import OnnxFile

        return OnnxFile(path)
    if kind == "keras":
        from training.importing.keras_file import KerasFile

        return KerasFile(path)
    from training.importing.saved_model import SavedModelFolder

    return SavedModelFolder(path)


def start_tensorflow() -> tuple[Any, Any]:
    """(tf, keras).

    Raises:
        MachineError: they are not installed.
    """
    from skylift.errors import MachineError
    from training.loop import backend

    backend.prepare(0)
    try:
        return backend.start(0)
    except ImportError as error:
        raise MachineError(
            f"TensorFlow cannot be imported: {error}", hint="install it: `pip install 'skylift[train]'`"
        ) from None


def named_function(tf: Any, inputs: Sequence[TensorSpec], call: Any) -> Any:
    """`call`, which takes and returns tensors by name, compiled for any number of rows."""
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def serve(*tensors: Any) -> dict[str, Any]:
        named = dict(zip((spec.name for spec in inputs), tensors, strict=True))
        outputs: dict[str, Any] = call(named)
        return outputs

    return serve


def require_rows(name: str, shape: Sequence[int | None] | None) -> list[int | None]:
    """The shape of an input whose first dimension is any number of rows.

    Raises:
        InputError: it is not, or the shape is unknown.
    """
    if not shape:
        raise InputError(
            f"input {name!r} has no batch dimension: it is a scalar, or the model leaves its shape open",
            hint="export the model with inputs of the shape [rows, …], where rows may vary",
        )
    if shape[0] is not None:
        raise InputError(
            f"input {name!r} has the shape {show(shape)}: its first dimension is fixed, so there is no batch dimension",
            hint="export the model with a first dimension that may vary (PyTorch: dynamic axes; Keras: no batch_size)",
            details={"input": name, "shape": list(shape)},
        )
    return list(shape)


def show(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


def first_line(error: BaseException | str) -> str:
    """What an error says, without the traceback that TensorFlow puts before it where it compiles a function."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0] == "in user code:":
        said = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        return said[0] if said else lines[-1]
    return lines[0] if lines else type(error).__name__
