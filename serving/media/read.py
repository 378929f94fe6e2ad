"""Bodies of predictions by their media type: which are read here, and what they hold. JSON is the protocols' own matter."""

from __future__ import annotations

from functools import lru_cache

from serving.backends.base import Array
from serving.media import accept, csv, images, multipart, npy, npz
from serving.media.accept import Item
from serving.media.errors import MediaError
from serving.media.facts import VersionFacts

FORM = b"multipart/form-data"
TYPES = (npy.NPY, npz.NPZ, csv.CSV, *images.TYPES, FORM)
QUICK_BYTES = 256 * 1024
"""Up to here everything but pictures is read in under a millisecond."""

_JSON = frozenset(
    {"", "application/json", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"}
)
"""What clients say who send JSON, among them `curl -d` and those who say nothing."""
_SHOWN = ", ".join(["application/json", *(name.decode() for name in TYPES)])
_ACCEPT = b"Accept: %b\r\n" % _SHOWN.encode()


def taken(facts: VersionFacts) -> list[bytes]:
    """The media types beside JSON that a version's requests may have."""
    names = []
    if all(npy.takes(tensor) for tensor in facts.signature.inputs):
        names += [npy.NPY, npz.NPZ] if facts.only_input is not None else [npz.NPZ]
    if csv.takes(facts):
        names.append(csv.CSV)
    if images.takes(facts):
        names += [*images.TYPES, FORM]
    return names


def is_ours(content_type: bytes, body: bytes) -> bool:
    """Whether a body is to be read here; else it is JSON, whatever its type says: TensorFlow Serving does not look at that.

    Raises:
        MediaError: 415, as the type is unknown and the body is no JSON object either.
    """
    if not content_type or content_type == b"application/json":
        return False
    name = _split(content_type[:1024]).name
    if name.encode("latin-1") in TYPES:
        return True
    if name in _JSON or name.endswith("+json") or body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return False
    raise MediaError(
        f"Content-Type {name[:100]!r} is not supported: send {_SHOWN}", status=415, is_found=False, headers=_ACCEPT
    )


def is_slow(content_type: bytes, body: bytes) -> bool:
    """Whether `decode` belongs into a thread: it may take longer than a millisecond."""
    return len(body) > QUICK_BYTES or _split(content_type[:1024]).name.startswith(("image/", "multipart/"))


def decode(content_type: bytes, body: bytes, facts: VersionFacts) -> dict[str, Array]:
    """The inputs of a request, in types and shapes that the model takes. Arrays may be read-only views of the body.

    Args:
        content_type: one for which `is_ours` holds.

    Raises:
        MediaError: what is wrong, with the name of the input or the row and column.
    """
    media = _split(content_type[:1024])
    name = media.name.encode("latin-1")
    if not body:
        raise MediaError(f"the body is empty, expected {media.name}")
    if name == npy.NPY:
        return npy.decode(body, facts)
    if name == npz.NPZ:
        return npz.decode(body, facts)
    if name == csv.CSV:
        return csv.decode(body, facts, media.parameters)
    if name == FORM:
        return images.decode(multipart.files(body, media.parameters, facts.limits.parts), facts)
    return images.decode([body], facts)


@lru_cache(maxsize=256)
def _split(content_type: bytes) -> Item:
    return accept.split(content_type.decode("latin-1"))
