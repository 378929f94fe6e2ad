"""From a version's folder to a warm model: the slow part of a load, in a thread."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving import log
from serving.backends.base import Array, Backend
from serving.batching.options import BatchOptions
from serving.options import WorkerOptions
from skylift.artifacts import layout
from skylift.artifacts.records import ModelManifest, Samples, decode
from skylift.errors import SkyliftError, UnreachableError

if TYPE_CHECKING:
    from serving.backends.remotes import Remotes
    from serving.backends.warm import Costs

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
    batching: BatchOptions
    costs: Mapping[int, float]
    samples: Sequence[Any] = ()
    warm_seconds: float = 0.0


def read(folder: Path, options: WorkerOptions, platform: str = "", *, must_answer: bool = True) -> Read:
    """Load what lies in a folder and warm it.

    Args:
        platform: what the model's configuration says that it is; may be empty.
        must_answer: whether servers of remote parts must be there.

    Raises:
        UnreachableError: the server of a remote part does not answer.
        SkyliftError: it cannot be served.
    """
    from serving.backends.choose import load
    from serving.backends.folders import load_folder
    from serving.backends.warm import Costs
    from serving.sources.forms import backend_for

    path = folder / layout.MANIFEST
    manifest: ModelManifest | None = None
    backend: Backend
    gpu, mib = options.gpu_index, options.gpu_memory_mib
    if path.exists():
        manifest = decode(path.read_bytes(), ModelManifest, str(path))
        backend = load(
            manifest,
            folder,
            options.backend,
            options.threads,
            gpu_index=gpu,
            gpu_memory_mib=mib,
            remotes=_remotes(options, must_answer=must_answer) if manifest.chain else None,
        )
    else:
        choice = backend_for(folder, options.backend, platform, prefer_tflite=options.prefer_tflite)
        _, backend = load_folder(folder, choice, options.threads, tags=options.tags, gpu_index=gpu, gpu_memory_mib=mib)
    batching = _batching(folder, options)
    began = time.monotonic()
    try:
        costs = _warm(folder, manifest, backend, batching, options)
    except UnreachableError:
        if must_answer:
            backend.close()
            raise
        costs = Costs({})
    except BaseException:
        backend.close()
        raise
    return Read(manifest, backend, batching, costs.seconds, _samples(folder), time.monotonic() - began)


def _warm(
    folder: Path, manifest: ModelManifest | None, backend: Backend, batching: BatchOptions, options: WorkerOptions
) -> Costs:
    from serving.backends.warm import warm

    return warm(
        backend,
        batching.max_batch_rows,
        sizes=batching.allowed_rows,
        recorded=_recorded(folder, manifest, backend) if options.warm_iterations else (),
        iterations=max(1, options.warm_iterations),
        must_take_zeros=manifest is not None,
    )


def _remotes(options: WorkerOptions, *, must_answer: bool) -> Remotes:
    from serving.backends.part_key import headers_of
    from serving.backends.remotes import Remotes

    return Remotes(options.parts, headers_of(options.part_key_file) if options.parts else None, must_answer)


def _batching(folder: Path, options: WorkerOptions) -> BatchOptions:
    from serving.flags.files import PER_MODEL_FILE, read_batching

    path = folder / PER_MODEL_FILE
    if not (options.per_model_batching and path.exists()):
        return options.batching
    batching, notes = read_batching(path)
    for note in notes:
        log.event("no_effect", where=str(path), message=note)
    return batching


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
