"""Models that come and go by SageMaker's multi-model routes: the supervisor's side, which alone may change what is served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from serving.contracts.mounted import find_models
from serving.contracts.room import check_room, free_memory
from serving.interface import Code, ModelConfig, StatusError
from serving.supervisor.library import Library
from skylift.errors import InputError


class Shelf:
    """
    Args:
        library: holds the models; None where an endpoint's deployments say what is served.
        folder: below it lie the models that may be added; None where none may.
    """

    def __init__(self, library: Library | None, folder: Path | None, workers: int) -> None:
        self._library = library
        self._folder = folder
        self._workers = workers
        self._arriving: set[str] = set()

    async def do(self, what: str, body: Any) -> str:
        """Answer `list`, `add` or `remove`.

        Raises:
            StatusError: it was refused.
        """
        if what == "list":
            return msgspec.json.encode(self._list()).decode()
        if what == "add":
            await self._add(body["name"], body["url"])
        else:
            await self._remove(body["name"])
        return ""

    def _list(self) -> list[tuple[str, str]]:
        configs = self._library.configs if self._library is not None else ()
        return sorted((config.name, config.base_path) for config in configs if config.name not in self._arriving)

    def _may_change(self) -> Library:
        if self._library is None or self._folder is None:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "models do not come and go here: start the server with SAGEMAKER_MULTI_MODEL=true or --models-folder FOLDER",
            )
        return self._library

    async def _add(self, name: str, url: str) -> None:
        library = self._may_change()
        if name in self._arriving or name in {config.name for config in library.configs}:
            raise StatusError(Code.ALREADY_EXISTS, f"model {name} is loaded already")
        self._arriving.add(name)
        try:
            config = await asyncio.to_thread(self._look, name, url)
            await library.add(config)
        finally:
            self._arriving.discard(name)

    async def _remove(self, name: str) -> None:
        library = self._may_change()
        if name in self._arriving:
            raise StatusError(Code.NOT_FOUND, f"model {name} is being loaded")
        await library.remove(name)

    def _look(self, name: str, url: str) -> ModelConfig:
        folder = self._allowed(url)
        try:
            found = find_models(str(folder))
        except InputError as error:
            raise StatusError(Code.NOT_FOUND, f"model {name}: {error.message}") from None
        if len(found) > 1:
            names = ", ".join(one.name for one in found)
            raise StatusError(Code.INVALID_ARGUMENT, f"model {name}: {url} holds several: {names}")
        check_room(_size(Path(found[0].base_path)), self._workers, free_memory())
        return ModelConfig(name, found[0].base_path, is_mounted=True)

    def _allowed(self, url: str) -> Path:
        """No request may name any other file of this machine."""
        assert self._folder is not None
        folder = Path(url.removeprefix("file://")).resolve()
        if not folder.is_relative_to(self._folder.resolve()):
            raise StatusError(
                Code.PERMISSION_DENIED, f"{url!r} is not below {self._folder}, where models may come from"
            )
        if not folder.is_dir():
            raise StatusError(Code.NOT_FOUND, f"Could not find base path {url}")
        return folder


def _size(base: Path) -> int:
    """Bytes of what will be loaded: the newest version, or all."""
    numbered = [one for one in base.iterdir() if one.name.isdigit() and one.is_dir()]
    newest = max(numbered, key=lambda one: int(one.name), default=base)
    return sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
