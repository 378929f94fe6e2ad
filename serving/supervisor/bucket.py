"""A bucket that may not be there yet, or not any more: a folder that is not mounted is out of reach, not empty."""

from __future__ import annotations

import contextlib

from skylift.errors import NotFoundError, UnreachableError
from skylift.store import Store, open_store


class Bucket:
    """Opens the bucket `url` when it can be reached.

    Raises:
        InputError: the URL is of no known form.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_files = url.startswith("file:")
        self._store: Store | None = None
        with contextlib.suppress(NotFoundError):  # a replica starts all the same, from its last copy
            self._store = open_store(url)

    def store(self) -> Store:
        """The open bucket.

        Raises:
            UnreachableError: it is a folder that is not there.
        """
        try:
            store = self._store = self._store or open_store(self.url)
        except NotFoundError as error:
            raise UnreachableError(error.message, hint=error.hint) from None
        if store.folder is not None and not store.folder.is_dir():
            raise UnreachableError(f"there is no folder {store.folder}", hint="is the disk mounted?")
        return store
