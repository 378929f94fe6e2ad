"""A file that says which models are served, looked at again and again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from serving import log
from serving.interface import StatusError
from serving.sources.config import read_models
from serving.supervisor.library import Library
from skylift.errors import SkyliftError


class ModelsFile:
    """Has the library serve what the file says whenever it changes. One with mistakes changes nothing, and is logged once."""

    def __init__(self, path: Path, seconds: float, library: Library) -> None:
        self._path = path
        self._seconds = seconds
        self._library = library
        self._seen = self._mark()
        self._said = ""

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            await asyncio.sleep(self._seconds)
            mark = await asyncio.to_thread(self._mark)
            if mark != self._seen and await self._take():
                self._seen = mark

    async def _take(self) -> bool:
        try:
            found = await asyncio.to_thread(read_models, self._path)
            await self._library.reload(found.models)
        except (SkyliftError, StatusError) as problem:
            if problem.message != self._said:
                self._said = problem.message
                log.event("models_file_not_taken", path=str(self._path), message=problem.message)
            return isinstance(problem, StatusError)  # what the file says was tried; a damaged file is read again
        self._said = ""
        log.event("models_file_taken", path=str(self._path), models=len(found.models))
        return True

    def _mark(self) -> tuple[int, int] | None:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_size
