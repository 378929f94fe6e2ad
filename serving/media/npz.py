"""`application/x-npz`: arrays by the names of a model's inputs or outputs, in a ZIP archive as `numpy.savez` writes it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from serving.backends.base import Array
from serving.media import npy
from serving.media.errors import MediaError
from serving.media.facts import VersionFacts, all_said

if TYPE_CHECKING:
    import zipfile  # at run time by the first archive: it brings lzma and bz2 along

NPZ = b"application/x-npz"

_END = b"PK\x05\x06"
_END_BYTES = 22
_LONGEST_DIRECTORY = 64 * 1024
_STEP = 1024 * 1024


def decode(body: bytes, facts: VersionFacts) -> dict[str, Array]:
    """Every input of the model, each as the file `NAME.npy`.

    Raises:
        MediaError: no such archive, arrays that are missing or too many, more than the limit once decompressed, or as `npy.read`.
    """
    import zipfile

    _check_end(body)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return _arrays(archive, facts)
    except MediaError:
        raise
    except Exception as error:
        # zipfile and zlib raise struct.error, KeyError, RuntimeError, NotImplementedError, … at damaged archives
        raise MediaError(f"the body is no .npz file that can be read: {error}"[:300]) from None


def _check_end(body: bytes) -> None:
    """Refuse directories that would take long before zipfile reads them: it makes an object of each entry."""
    end = body[-_END_BYTES:]
    if body[:2] != b"PK" or end[:4] != _END:
        raise MediaError("the body is no .npz file: it does not begin and end as one")
    if int.from_bytes(end[12:16], "little") > _LONGEST_DIRECTORY:
        raise MediaError("the .npz file has more entries than a model has inputs")


def _arrays(archive: zipfile.ZipFile, facts: VersionFacts) -> dict[str, Array]:
    entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    wanted = {tensor.name: tensor for tensor in facts.signature.inputs}
    if entries.keys() != wanted.keys() or len(archive.infolist()) != len(wanted):
        names = ", ".join(f'"{name}"' for name in list(entries)[:10])
        raise MediaError(f"the .npz file holds {names or 'nothing'}, the model takes {all_said(facts)}")
    left = facts.limits.decoded_bytes
    arrays = {}
    for name, tensor in wanted.items():
        content = _content(archive, entries[name], left)
        left -= len(content)
        arrays[name] = npy.read(content, tensor)
    return arrays


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    import zipfile

    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise MediaError(f"{entry.filename} is compressed in a way that is not read: store or deflate it")
    content = io.BytesIO()
    with archive.open(entry) as file:
        while piece := file.read(_STEP):
            content.write(piece)
            if content.tell() > limit:
                raise MediaError("the .npz file's arrays are longer than the limit once decompressed", status=413)
    return content.getvalue()


def pack(outputs: Mapping[str, Array]) -> bytes:
    """All outputs, not compressed.

    Raises:
        MediaError: as `npy.pack`.
    """
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, value in outputs.items():
            # Without the time of day equal outputs are equal bytes; 1980 is where ZIP's calendar begins.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy.pack(name, value))
    return packed.getvalue()
