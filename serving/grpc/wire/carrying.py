"""From a whole request to its answer: predictions by callbacks, everything else by tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

from serving.answering import failure
from serving.backends.base import RunError
from serving.batching.batcher import Batcher, Job, Outcome, ShedError
from serving.calls import Call, current
from serving.grpc.calls import parse
from serving.grpc.front import Front, note
from serving.grpc.methods import Streaming, Unary
from serving.grpc.wire import coding
from serving.grpc.wire.stream import Stream
from serving.grpc.work import Work
from serving.interface import Code, StatusError
from serving.models import Version


class Carrier:
    """Takes calls to the methods.

    Args:
        most_message: of a message that was compressed [bytes]; -1 for no limit.
    """

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop, most_message: int) -> None:
        self._front = front
        self._loop = loop
        self._most = most_message
        self._tasks: set[asyncio.Task[None]] = set()

    def carry(self, stream: Stream) -> None:
        """Answer a call whose request is whole, or which takes several."""
        method = stream.head.method
        if isinstance(method, Streaming):
            self._run(stream, self._stream, method)
            return
        assert method is not None
        arrived = time.monotonic()
        if stream.is_compressed:
            self._inflate(stream, method, arrived)
            return
        raw, stream.message = cast(bytes, stream.message), None
        size, message = len(raw), _parsed(stream, method, raw)
        del raw  # the message has a copy, and will make another of its tensors
        if message is not None:
            self._unary(stream, method, message, arrived, size)

    def _inflate(self, stream: Stream, method: Unary, arrived: float) -> None:
        raw, stream.message = cast(bytes, stream.message), None
        try:
            whole = coding.inflate_quickly(raw, stream.head.encoding, self._most)
        except StatusError as error:
            stream.fail(error)
            return
        if whole is None:
            self._run(stream, self._inflate_apart, method, raw, arrived)
            return
        message = _parsed(stream, method, whole)
        if message is not None:
            self._unary(stream, method, message, arrived, len(whole))

    async def _inflate_apart(self, stream: Stream, method: Unary, raw: bytes, arrived: float) -> None:
        whole = await asyncio.to_thread(coding.inflate, raw, stream.head.encoding, self._most)
        stream.cancel = None
        if not stream.is_over and (message := _parsed(stream, method, whole)) is not None:
            self._unary(stream, method, message, arrived, len(whole))

    def _unary(self, stream: Stream, method: Unary, message: Any, arrived: float, size: int) -> None:
        if method.prepare is None or not self._begin_work(stream, method, message, arrived, size):
            self._run(stream, self._answer, method, message, arrived, size)

    def _begin_work(self, stream: Stream, method: Unary, message: Any, arrived: float, size: int) -> bool:
        """Give a prediction to its batcher; False where it must be waited for in between."""
        front, kind = self._front, method.kind
        assert kind.api is not None and method.prepare is not None
        call = front.begin(kind, kind.api, stream, arrived, size)
        token = current.set(call)
        try:
            call.principal = front.check(kind, message, stream)
            work = method.prepare(message)
            if not isinstance(work.servable, Version):
                front.forget()
                return False
            _Asked(front, stream, call, work, work.servable).submit(front.deadline(stream, arrived))
        except Exception as problem:
            if getattr(problem, "reason", "") == "issuer_keys":
                front.forget()
                return False
            _give_up(front, stream, call, problem)
        finally:
            current.reset(token)
        return True

    async def _answer(self, stream: Stream, method: Unary, message: Any, arrived: float, size: int) -> None:
        raw = await self._front.pass_through(method.kind, message, stream, method.answer, arrived, size)
        stream.cancel = None
        stream.answer(raw)

    async def _stream(self, stream: Stream, method: Streaming) -> None:
        async for raw in method.answer(self._only(stream) if method.takes_one else stream.requests()):
            await stream.send(raw)
        stream.cancel = None
        stream.finish()

    async def _only(self, stream: Stream) -> AsyncIterator[bytes]:
        raw = cast(bytes, stream.message)
        yield coding.inflate(raw, stream.head.encoding, coding.MOST_QUICK) if stream.is_compressed else raw

    def _run(self, stream: Stream, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """As a task, until the client's time is over or it leaves."""
        task = self._loop.create_task(self._watched(stream, work, args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        stream.cancel = task.cancel

    async def _watched(self, stream: Stream, work: Callable[..., Awaitable[None]], args: Sequence[Any]) -> None:
        late = None
        if stream.deadline is not None:
            late = self._loop.call_later(max(0.0, stream.deadline - time.monotonic()), _late, stream)
        try:
            await work(stream, *args)
        except Exception as error:
            stream.cancel = None
            stream.fail(error)
        finally:
            if late is not None:
                late.cancel()


def _parsed(stream: Stream, method: Unary, raw: bytes) -> Any:
    """None where the call was refused."""
    try:
        return parse(method.request, raw)
    except StatusError as error:
        stream.fail(error)
        return None


def _late(stream: Stream) -> None:
    stream.fail(StatusError(Code.DEADLINE_EXCEEDED, "the request's time is over"))


def _give_up(front: Front, stream: Stream, call: Call, problem: Exception) -> None:
    stream.cancel = None
    note(call, problem)
    stream.fail(problem)
    front.end(call)


class _Asked:
    """A prediction at its batcher."""

    __slots__ = ("_batcher", "_call", "_front", "_job", "_stream", "_version", "_work")

    def __init__(self, front: Front, stream: Stream, call: Call, work: Work, version: Version) -> None:
        self._front, self._stream, self._call, self._work = front, stream, call, work
        self._version = version
        self._job: Job
        self._batcher: Batcher

    def submit(self, deadline: float | None) -> None:
        """
        Raises:
            StatusError: refused.
        """
        signature, loaded = self._work.signature, self._version.loaded
        self._job = job = loaded.maker(signature).make(self._work.inputs, self.done)
        job.deadline = deadline
        self._batcher = loaded.batcher_of(signature)
        self._call.begin_work(self._version, signature, job)
        try:
            self._batcher.submit(job)
        except ShedError as shed:
            raise failure(shed) from None
        self._stream.cancel = self.cancel

    def cancel(self) -> None:
        """The client left."""
        self._batcher.cancel(self._job)
        note(self._call, asyncio.CancelledError())
        self._front.end(self._call)

    def done(self, outcome: Outcome) -> None:
        call, stream = self._call, self._stream
        call.end_work(self._job)
        if isinstance(outcome, RunError):
            _give_up(self._front, stream, call, failure(outcome))
            return
        call.outputs = outcome
        try:
            raw = self._work.answer(outcome).SerializeToString()
        except Exception as problem:
            _give_up(self._front, stream, call, problem)
            return
        call.response_bytes = len(raw)
        stream.cancel = None
        stream.answer(raw)
        self._front.end(call)
