"""From a version's folder to a warm model: the slow part of a load, in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from serving.backends.base import Backend
from serving.options import WorkerOptions
from skylift.artifacts import layout
from skylift.artifacts.records import ModelManifest, decode


def read(folder: Path, options: WorkerOptions) -> tuple[ModelManifest | None, Backend, Mapping[int, float]]:
    """What lies in a folder, loaded and warm: its manifest if it has one of ours, the model, what batches took [s] by rows.

    Raises:
        SkyliftError: it cannot be served.
    """
    from serving.backends.choose import load
    from serving.backends.folders import load_folder
    from serving.backends.warm import warm

    path = folder / layout.MANIFEST
    manifest: ModelManifest | None = None
    backend: Backend
    if path.exists():
        manifest = decode(path.read_bytes(), ModelManifest, str(path))
        backend = load(manifest, folder, options.backend, options.threads)
    else:
        _, backend = load_folder(folder, options.backend, options.threads)
    costs = warm(
        backend,
        options.batching.max_batch_rows,
        sizes=options.batching.allowed_rows,
        must_take_zeros=manifest is not None,
    )
    return manifest, backend, costs.seconds
