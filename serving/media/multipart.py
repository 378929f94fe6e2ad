"""`multipart/form-data` (RFC 7578): the contents of its files, in order. Form fields without a file name are passed over."""

from __future__ import annotations

import re
from collections.abc import Mapping

from serving.media.errors import MediaError

_LONGEST_HEAD = 4096
_FILE = re.compile(rb"content-disposition\s*:[^\r\n]*;\s*filename\*?\s*=", re.IGNORECASE)
_PICTURE = re.compile(rb"content-type\s*:\s*image/", re.IGNORECASE)


def files(body: bytes, parameters: Mapping[str, str], most: int) -> list[bytes]:
    """
    Args:
        parameters: of the media type; `boundary` is among them.

    Raises:
        MediaError: the body is not parted as its type says, has no file, or more than `most`.
    """
    boundary = parameters.get("boundary", "").encode("latin-1", "replace")
    if not 0 < len(boundary) <= 70:
        raise MediaError("multipart/form-data names no boundary, or one longer than 70 characters")
    mark = b"\r\n--" + boundary
    if body.startswith(mark[2:]):
        at = len(mark) - 2
    elif (start := body.find(mark)) >= 0:
        at = start + len(mark)
    else:
        raise MediaError("the multipart body has no part that begins with its boundary")
    found: list[bytes] = []
    for _ in range(2 * most + 1):
        if body[at : at + 2] == b"--":
            break
        at, content = _part(body, at, mark)
        if content is not None:
            found.append(content)
        if len(found) > most:
            raise MediaError(f"the multipart body has more than {most} files", status=413)
    else:
        raise MediaError(f"the multipart body has more than {2 * most} parts", status=413)
    if not found:
        raise MediaError("the multipart body has no file: send one as -F image=@FILE does")
    return found


def _part(body: bytes, at: int, mark: bytes) -> tuple[int, bytes | None]:
    """The part that begins behind a boundary: where the next boundary ends, and the content if it is a file."""
    head_end = body.find(b"\r\n\r\n", at, at + _LONGEST_HEAD)
    end = body.find(mark, head_end + 2) if head_end >= 0 else -1
    if end < 0:
        raise MediaError("the multipart body ends before its last boundary, or a part has no headers")
    head = body[at:head_end]
    is_file = _FILE.search(head) or _PICTURE.search(head)
    return end + len(mark), body[head_end + 4 : end] if is_file else None
