"""What clients ask of a worker and only the supervisor can do: the metrics of all workers, and changes of what is served."""

from __future__ import annotations

from typing import Any

import msgspec

from serving import control
from serving.contracts.shelf import Shelf
from serving.interface import Code, ModelConfig, StatusError
from serving.supervisor.library import Library
from serving.supervisor.pool import Pool
from serving.watch import render, snapshots
from serving.watch.merging import Ledger


class Book:
    """What every worker has counted, kept when it ends."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    def write(self, worker: int, body: str) -> None:
        """Take in a worker's snapshot; an empty text when it has ended."""
        if body:
            self.ledger.update(worker, snapshots.decode(body))
        else:
            self.ledger.ended(worker)


class Answers:
    """Answers what a worker asks.

    Args:
        library: where models may be changed; None where an endpoint's deployments say what is served.
        shelf: where they come and go by SageMaker's routes.
    """

    def __init__(self, book: Book, pool: Pool, library: Library | None, shelf: Shelf | None = None) -> None:
        self._book = book
        self._pool = pool
        self._library = library
        self._shelf = shelf or Shelf(library, None, 1)

    async def answer(self, ask: control.Ask) -> control.Reply:
        try:
            body = await self._do(ask.what, msgspec.json.decode(ask.body))
        except StatusError as refused:
            return control.Reply(ask.number, int(refused.code), refused.message)
        except Exception as broken:
            return control.Reply(ask.number, int(Code.INTERNAL), f"{type(broken).__name__}: {broken}")
        return control.Reply(ask.number, body=body)

    async def _do(self, what: str, body: Any) -> str:
        if what == "metrics":
            await self._pool.snapshots()
            page, content_type = render.render(self._book.ledger.total(), body["accept"])
            return msgspec.json.encode([page.decode(), content_type]).decode()
        if what in ("list", "add", "remove"):
            return await self._shelf.do(what, body)
        library = self._library
        if library is None:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "this server follows an endpoint, whose deployments say what is served: use `skylift deploy`",
            )
        match what:
            case "load":
                await library.load(body["name"])
            case "unload":
                await library.unload(body["name"])
            case "reload":
                await library.reload([msgspec.convert(one, ModelConfig) for one in body["configs"]])
            case _:
                raise StatusError(Code.UNIMPLEMENTED, f"{what} is not served here")
        return ""
