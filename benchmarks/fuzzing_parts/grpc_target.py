"""Mutated messages to every method of gRPC over a real channel."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from benchmarks.fuzzing_parts.grpc_seeds import STREAMS, Call, all_calls
from benchmarks.fuzzing_parts.grpc_wire import spoil_wire
from benchmarks.fuzzing_parts.http_target import OPTIONS
from benchmarks.fuzzing_parts.mutations import spoil
from benchmarks.fuzzing_parts.served import Served
from serving.grpc.front import Front
from serving.grpc.wire.service import Wire

AT_ONCE = 32
MOST_FAILURES = 20
SECONDS = 30.0
"""For a call, on a machine that others use too."""
DOCUMENTED = frozenset(
    {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "FAILED_PRECONDITION", "DEADLINE_EXCEEDED"}
)
"""What a call may end with here: any other code would say that it was the server's fault, or a right that is asked for."""
_METADATA = [
    (("x-request-id", "a b"), ("x-skylift-key", "k")),
    (("traceparent", "00-zz"), ("authorization", "Bearer x"), ("x-api-key", "?")),
    (("x-request-id", "y" * 3000),),
    (("a-bin", b"\xff\x00"),),
]


@dataclass
class Called:
    calls: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class _Raised(logging.Handler):
    """What the server logs as broken."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


class Grpc:
    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._calls = all_calls()
        self.done = Called()

    def run(self, count: int, *, first: int = 0, until: float = float("inf")) -> Called:
        """So many calls from `first` on, or until a time by `time.monotonic`."""
        asyncio.run(self._run(count, first, until))
        return self.done

    async def _run(self, count: int, first: int, until: float) -> None:
        loop = asyncio.get_running_loop()
        served = Served(self._folder, OPTIONS, loop)
        wire = Wire(served.models, Front(), loop=loop)
        server = await loop.create_server(wire.connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        raised = _Raised()
        logging.getLogger("serving.grpc").addHandler(raised)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await self._all(channel, range(first, first + count), until, raised)
        finally:
            logging.getLogger("serving.grpc").removeHandler(raised)
            server.close()
            await wire.drain(0)
            served.close()
        self.done.failures += served.errors

    async def _all(self, channel: Any, numbers: range, until: float, raised: _Raised) -> None:
        for call in self._calls:
            code, told = await self._call(channel, call, ())
            if code != "OK":
                self.done.failures.append(f"{call.path} as it should be: {code} {told}")
        for start in range(numbers.start, numbers.stop, AT_ONCE):
            if time.monotonic() >= until or len(self.done.failures) >= MOST_FAILURES:
                break
            some = range(start, min(start + AT_ONCE, numbers.stop))
            await asyncio.gather(*(self._one(channel, number) for number in some))
            await self._healthy(channel)
            self.done.failures += [f"one of grpc:{some.start} to grpc:{some.stop - 1}: {one}" for one in raised.records]
            raised.records.clear()

    async def _healthy(self, channel: Any) -> None:
        call = random.choice(self._calls)
        code, told = await self._call(channel, call, ())
        if code != "OK":
            self.done.failures.append(f"{call.path}, which is right, among mutated ones: {code} {told}")

    async def _one(self, channel: Any, number: int) -> None:
        call, metadata = self.case(number)
        code, told = await self._call(channel, call, metadata)
        self.done.calls += 1
        self.done.codes[code] += 1
        self.done.methods[call.path.rpartition("/")[2]] += 1
        if code not in DOCUMENTED or (code != "OK" and not told) or code == "DEADLINE_EXCEEDED":
            self.done.failures.append(
                f"grpc:{number} --seed {self._seed}: {call.path}: {code} {told}\n{call.message[:1000]!r}"
            )

    def case(self, number: int) -> tuple[Call, Any]:
        """Always the same for a seed and a number."""
        rng = random.Random(f"{self._seed}/grpc/{number}")
        call = rng.choice(self._calls)
        choice = rng.random()
        message = call.message
        if choice < 0.7:
            message = spoil_wire(message, rng)
        elif choice < 0.93:
            message = spoil(message, rng)
        elif choice < 0.97:
            message = rng.choice(self._calls).message
        return Call(call.path, message), rng.choice(_METADATA) if rng.random() < 0.1 else ()

    async def _call(self, channel: Any, call: Call, metadata: Any) -> tuple[str, str]:
        try:
            if call.path in STREAMS:
                await self._stream(channel, call, metadata)
            else:
                await channel.unary_unary(call.path)(call.message, timeout=SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", ""

    async def _stream(self, channel: Any, call: Call, metadata: Any) -> None:
        """The first answer of a stream; whoever watches health hears nothing more."""
        if call.path.endswith("Watch"):
            stream = channel.unary_stream(call.path)(call.message, timeout=SECONDS, metadata=metadata)
        else:
            stream = channel.stream_stream(call.path)(iter([call.message]), timeout=SECONDS, metadata=metadata)
        await stream.read()
        if stream.done():
            code = await stream.code()
            if code is not grpc.StatusCode.OK:
                raise grpc.aio.AioRpcError(code, (), (), details=await stream.details())
        stream.cancel()
