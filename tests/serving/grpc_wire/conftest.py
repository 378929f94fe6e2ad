"""Connections without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from serving.grpc.wire.service import Wire
from tests.serving.grpc.line_models import InMemory
from tests.serving.grpc_wire.http2 import HELLO, Talk

Inside = Callable[[Talk], Coroutine[Any, Any, None]]


@asynccontextmanager
async def wired(**options: Any) -> AsyncIterator[Wire]:
    """Whatever goes wrong in the loop fails the test."""
    import asyncio

    loop = asyncio.get_running_loop()
    broken: list[Any] = []
    loop.set_exception_handler(lambda _, context: broken.append(context))
    wire = Wire(InMemory(), loop=loop, **options)
    try:
        yield wire
    finally:
        wire.close()
    assert not broken


@pytest.fixture
def talk() -> Callable[..., None]:
    """Runs a test's inside in an event loop, with a connection that has said hello."""
    import asyncio

    def run(inside: Inside, hello: bytes = HELLO, **options: Any) -> None:
        async def go() -> None:
            async with wired(**options) as wire:
                talking = Talk(wire, hello)
                try:
                    await inside(talking)
                finally:
                    talking.hang_up()
                assert wire.connections == 0 and talking.connection.held == 0 and not talking.connection.streams

        asyncio.run(go())

    return run
