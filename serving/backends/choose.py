"""Which stored form of a version is served, and by what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from serving.backends.base import Backend
from serving.backends.lazy import LazyBackend
from serving.options import BackendChoice
from serving.signature import ModelSignature, of_spec
from skylift.artifacts.records import Format, ModelManifest, OtherSignature, Signature
from skylift.errors import DeployError

if TYPE_CHECKING:
    from serving.backends.remotes import Remotes

Kind = Literal["onnx", "tensorflow", "tflite"]

_FORMS: dict[Kind, Literal["onnx", "saved_model", "tflite"]] = {
    "onnx": "onnx",
    "tensorflow": "saved_model",
    "tflite": "tflite",
}


def choose(manifest: ModelManifest, choice: BackendChoice) -> tuple[Kind, str]:
    """What serves a version and the path of its stored form.

    `auto` takes ONNX Runtime where the ONNX file was compared with the model and holds, else TensorFlow, else LiteRT where the TFLite
    file holds; or what is all there is without ever having been compared (a model that was added).

    Raises:
        DeployError: the version has no form that can be served, or not the one that was asked for.
    """
    onnx, saved, tflite = (manifest.formats.get(form) for form in ("onnx", "saved_model", "tflite"))
    if choice != "auto":
        stored = manifest.formats.get(_FORMS[choice])
        if stored is not None:
            return choice, stored.path
    elif onnx is not None and _holds(onnx):
        return "onnx", onnx.path
    elif saved is not None:
        return "tensorflow", saved.path
    elif tflite is not None and _holds(tflite):
        return "tflite", tflite.path
    elif onnx is not None and onnx.parity is None:
        return "onnx", onnx.path
    elif tflite is not None and tflite.parity is None:
        return "tflite", tflite.path
    raise DeployError(
        f"this version of model {manifest.name!r} has no form that backend {choice!r} can serve; it has "
        f"{', '.join(sorted(manifest.formats)) or 'none'}",
        hint="set the endpoint's backend to auto, or publish a version with that form",
        details={"backend": choice, "formats": sorted(manifest.formats)},
    )


def load(
    manifest: ModelManifest,
    folder: Path,
    choice: BackendChoice,
    threads: int,
    *,
    gpu_index: int = 0,
    gpu_memory_mib: int = 0,
    remotes: Remotes | None = None,
) -> Backend:
    """Load a version from its folder; of a chain its parts, each from `part<number>` below the folder, as `skylift shard --out` lays it.

    Signatures that only its SavedModel has (`explain`) are served by TensorFlow beside whatever answers `serving_default`, loaded when
    they are first asked: see `serving.backends.base.parts_of`.

    Args:
        threads: of one operation.
        gpu_memory_mib: of the GPU, at most; 0: what it needs.
        remotes: of a chain, the parts that other servers have.

    Raises:
        DeployError: it cannot be served.
        MachineError: the package that would serve it is not installed.
        UnreachableError: another server has a part, and does not answer.
    """
    if manifest.chain:
        from serving.backends.chain import load_chain
        from serving.backends.remotes import LOCAL

        folders = {part: folder / f"part{number}" for number, part in enumerate(manifest.chain, start=1)}
        return load_chain(
            manifest,
            folders.__getitem__,
            remotes or LOCAL,
            choice=choice,
            threads=threads,
            gpu_index=gpu_index,
            gpu_memory_mib=gpu_memory_mib,
        )
    kind, path = choose(manifest, choice)
    wanted = of_manifest(manifest.signature)
    if kind == "tensorflow":
        return _tensorflow(folder / path, threads, wanted, gpu_memory_mib, ())
    first: Backend
    if kind == "onnx":
        from serving.backends.onnx import OnnxBackend

        first = OnnxBackend(folder / path, threads, wanted, gpu_index=gpu_index, gpu_memory_mib=gpu_memory_mib)
    else:
        from serving.backends.tflite import TFLiteBackend

        first = TFLiteBackend(folder / path, threads, wanted)
    saved = manifest.formats.get("saved_model")
    if saved is None or not manifest.signatures:
        return first
    from serving.backends.composite import CompositeBackend

    return CompositeBackend(first, [_on_demand(manifest, folder / saved.path, threads, gpu_memory_mib)])


def of_manifest(signature: Signature | OtherSignature) -> ModelSignature:
    return ModelSignature(
        tuple(of_spec(spec) for spec in signature.inputs), tuple(of_spec(spec) for spec in signature.outputs)
    )


def _holds(stored: Format) -> bool:
    return stored.parity is not None and stored.parity.holds


def _on_demand(manifest: ModelManifest, saved: Path, threads: int, gpu_memory_mib: int) -> LazyBackend:
    signatures = {name: of_manifest(other) for name, other in manifest.signatures.items()}
    return LazyBackend(
        "tensorflow",
        "tensorflow_savedmodel",
        signatures,
        lambda: _tensorflow(saved, threads, None, gpu_memory_mib, tuple(signatures)),
    )


def _tensorflow(
    path: Path, threads: int, wanted: ModelSignature | None, gpu_memory_mib: int, only: tuple[str, ...]
) -> Backend:
    from serving.backends.tensorflow import TensorFlowBackend

    return TensorFlowBackend(path, threads, wanted, gpu_memory_mib=gpu_memory_mib, only=only)
