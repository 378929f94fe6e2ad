"""From a version's folder to a warm model: the slow part of a load, in a thread."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.backends.base import Array, Backend
from serving.options import WorkerOptions
from skylift.artifacts import layout
from skylift.artifacts.records import ModelManifest, Samples, decode
from skylift.errors import SkyliftError

SHOWN_SAMPLES = 3


@dataclass(frozen=True)
class Read:
    """A model that may be asked.

    Args:
        manifest: None where the folder holds none of ours.
        costs: what batches took in the warm-up [s], by rows.
        samples: a few rows as a request gives them, to show how one looks.
        warm_seconds: how long the warm-up took [s].
    """

    manifest: ModelManifest | None
    backend: Backend
    costs: Mapping[int, float]
    samples: Sequence[Any] = ()
    warm_seconds: float = 0.0


def read(folder: Path, options: WorkerOptions) -> Read:
    """Load what lies in a folder and warm it.

    Raises:
        SkyliftError: it cannot be served.
    """
    from serving.backends.choose import load
    from serving.backends.folders import load_folder
    from serving.backends.warm import warm

    path = folder / layout.MANIFEST
    manifest: ModelManifest | None = None
    backend: Backend
    gpu, mib = options.gpu_index, options.gpu_memory_mib
    if path.exists():
        manifest = decode(path.read_bytes(), ModelManifest, str(path))
        backend = load(manifest, folder, options.backend, options.threads, gpu_index=gpu, gpu_memory_mib=mib)
    else:
        _, backend = load_folder(
            folder, options.backend, options.threads, tags=options.tags, gpu_index=gpu, gpu_memory_mib=mib
        )
    began = time.monotonic()
    costs = warm(
        backend,
        options.batching.max_batch_rows,
        sizes=options.batching.allowed_rows,
        recorded=_recorded(folder, manifest, backend) if options.warms_up else (),
        iterations=options.warm_iterations,
        must_take_zeros=manifest is not None,
    )
    return Read(manifest, backend, costs.seconds, _samples(folder), time.monotonic() - began)


def _recorded(
    folder: Path, manifest: ModelManifest | None, backend: Backend
) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """Requests that were stored with a SavedModel."""
    from serving.sources.warmup import warmup_requests

    saved = manifest.formats.get("saved_model") if manifest is not None else None
    place = folder / saved.path if saved is not None else folder
    for request in warmup_requests(place, backend.signatures):
        yield request.signature, request.inputs


def _samples(folder: Path) -> Sequence[Any]:
    path = folder / layout.SAMPLES
    try:
        return decode(path.read_bytes(), Samples, str(path)).instances[:SHOWN_SAMPLES]
    except (OSError, SkyliftError):
        return ()  # they only show how a request looks
