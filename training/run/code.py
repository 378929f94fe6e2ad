"""A user's code from the bucket into a folder: digest checked, nothing outside the folder."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from skylift.artifacts import layout
from skylift.errors import InputError, NotFoundError
from skylift.store import ObjectNotFoundError, Store, translate


def unpack(keep: Store, digest: str, folder: Path) -> Path:
    """Fetch `code/<digest>.tar` and unpack it below `folder`; the folder that goes on sys.path.

    Raises:
        InputError: its bytes do not hash to the digest, or a member would land outside the folder.
    """
    key = layout.code(digest)
    archive = folder / "code.tar"
    found = hashlib.sha256()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with archive.open("wb") as file:
            for piece in keep.stream(key):
                found.update(piece)
                file.write(piece)
        _check(found.hexdigest(), digest, keep.where(key))
        root = folder / "code"
        with tarfile.open(archive) as members:
            members.extractall(root, filter="data")
    except ObjectNotFoundError:
        raise NotFoundError(
            f"the run's code {keep.where(key)} is gone", hint="start the run anew with `skylift train`"
        ) from None
    except tarfile.TarError as error:
        raise InputError(f"{keep.where(key)} cannot be unpacked: {error}", hint="start the run anew") from None
    except OSError as error:
        raise translate(error, str(folder), "write") from error
    archive.unlink()
    return root


def _check(found: str, digest: str, where: str) -> None:
    if found != digest:
        raise InputError(
            f"{where} was changed: its SHA-256 is {found[:12]}…, not {digest[:12]}…",
            hint="restore the object from an older version of the bucket, or start the run anew",
        )
