"""Whether all files of a version are there: an upload in progress is never taken for a version.

The files themselves say what belongs to them: a manifest of ours names each with size and digest; a SavedModel's graph says whether
it has variables and which assets, the index of the variables how large their files are; an ONNX file which others hold its tensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from serving.sources import bundle, onnx_file, saved_model
from serving.sources.wire import CutError
from skylift.artifacts.layout import MANIFEST
from skylift.artifacts.records import ModelManifest, decode
from skylift.errors import RecordError
from skylift.files import PIECE

Sizes = Mapping[str, int]
"""A version's files by path, with their sizes [bytes]."""

_UNFINISHED = re.compile(
    r"""(?ix) (?:^|/) (?:
        [^/]*(?:\.te?mp|\.part(?:ial)?|\._copying_|\.crdownload|\.filepart|_\.gstmp|\#\d+)
        | [^/]*\.tempstate\d*  # a checkpoint that TensorFlow writes, file
        | [^/]+_temp/.*         # and folder
        | \.[^/]+\.[a-z0-9]{6}  # rsync
    )$"""
)
_TFLITE = b"TFL3"


def unfinished(sizes: Sizes) -> list[str]:
    """Files under a name that programs give to what they are still writing."""
    return sorted(path for path in sizes if _UNFINISHED.search(path))


def heads(sizes: Sizes) -> list[str]:
    """The files that tell which others there must be."""
    known = {MANIFEST, saved_model.FILE, saved_model.INDEX}
    return sorted(path for path in sizes if path in known or ("/" not in path and path.endswith((".onnx", ".tflite"))))


def missing(folder: Path, sizes: Sizes) -> list[str]:
    """What a version lacks, for people; empty where it is whole.

    Args:
        folder: holds the version, or its `heads` at least.
        sizes: all files of the version, wherever they lie.
    """
    if late := unfinished(sizes):
        return [f"{path} is still being written" for path in late]
    if MANIFEST in sizes:
        return _checked(folder, MANIFEST, lambda path: _by_manifest(path, sizes))
    found = []
    if saved_model.FILE in sizes:
        found += _checked(folder, saved_model.FILE, lambda path: _saved_model(folder, path, sizes))
    for name in heads(sizes):
        if name.endswith(".onnx"):
            found += _checked(folder, name, lambda path: _held(onnx_file.outside(path), sizes, ""))
        elif name.endswith(".tflite"):
            found += _checked(folder, name, _tflite)
    others = [name for name in ("saved_model.pbtxt", "saved_model.cpb") if name in sizes]
    if not others and set(heads(sizes)) <= {saved_model.INDEX}:
        found.append(f"none of {saved_model.FILE}, *.onnx, *.tflite and {MANIFEST} is there")
    return found


def damaged(folder: Path) -> list[str]:
    """Files whose bytes are not those that the version's manifest names. Reads all of them; empty without a manifest."""
    if not (folder / MANIFEST).exists():
        return []
    manifest = decode((folder / MANIFEST).read_bytes(), ModelManifest, str(folder / MANIFEST))
    return [
        f"{entry.path} is not what was published"
        for entry in manifest.files
        if _digest(folder / entry.path) != entry.sha256
    ]


def _checked(folder: Path, name: str, check: Callable[[Path], Iterator[str] | Sequence[str]]) -> list[str]:
    try:
        return list(check(folder / name))
    except (CutError, RecordError) as error:
        return [f"{name}: {error}"]
    except OSError as error:
        return [f"{name}: {error.strerror}"]


def _by_manifest(path: Path, sizes: Sizes) -> Iterator[str]:
    manifest = decode(path.read_bytes(), ModelManifest, path.name)
    for entry in manifest.files:
        if sizes.get(entry.path) != entry.size:
            yield _short(entry.path, sizes, entry.size)


def _saved_model(folder: Path, path: Path, sizes: Sizes) -> Iterator[str]:
    wanted = saved_model.needs(path)
    for asset in wanted.assets:
        if f"assets/{asset}" not in sizes:
            yield f"assets/{asset} is missing"
    if saved_model.INDEX in sizes:
        yield from _checked(
            folder, saved_model.INDEX, lambda index: _held(bundle.shard_sizes(index), sizes, "variables/")
        )
    elif wanted.has_variables:
        yield f"{saved_model.INDEX} is missing"


def _held(least: Mapping[str, int], sizes: Sizes, prefix: str) -> Iterator[str]:
    for name, size in sorted(least.items()):
        path = prefix + PurePosixPath(name).as_posix()
        if sizes.get(path, -1) < size:
            yield _short(path, sizes, size)


def _short(path: str, sizes: Sizes, size: int) -> str:
    if path not in sizes:
        return f"{path} is missing"
    return f"{path} has {sizes[path]} of {size} bytes"


def _tflite(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        if file.read(8)[4:] != _TFLITE:
            yield f"{path.name}: it is no TFLite file"


def _digest(path: Path) -> str:
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            seen.update(piece)
    return seen.hexdigest()
