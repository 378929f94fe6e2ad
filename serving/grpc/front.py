"""What every gRPC call passes on its way in and out: who asks, and what is known of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from serving.calls import Api, Call, Way, current
from serving.guard import certificates
from serving.guard.guard import Guard
from serving.interface import Code, StatusError
from skylift.artifacts.access import Verb

Context = Any  # grpc.aio.ServicerContext
Message = Any  # google.protobuf.message.Message
Answer = Callable[[Any, float | None], Awaitable[Message]]

CANARY_KEY = b"x-skylift-key"


@dataclass(frozen=True)
class Kind:
    """What a method is.

    Args:
        verb: the right that it needs; None where it is open to everybody.
        api: what it predicts; None where it predicts nothing.
        model: the name of the model that a message is for.
    """

    way: Way
    verb: Verb | None
    api: Api | None = None
    model: Callable[[Any], str] = lambda _: ""


class Watching(Protocol):
    """Who is told of calls."""

    def begin(self, given: str | bytes | None) -> str:
        """The id of a request."""
        ...

    def done(self, call: Call) -> None: ...


class Front:
    """
    Args:
        guard: who may ask; None where everybody may.
        seconds: how long a request may take in all; 0 for no limit but the client's.
    """

    def __init__(self, guard: Guard | None = None, watching: Watching | None = None, seconds: float = 0.0) -> None:
        self._guard = guard
        self._watching = watching
        self._seconds = seconds
        self.in_flight = 0
        """Predictions that are being made."""

    async def pass_through(
        self, kind: Kind, message: Message, context: Context, answer: Answer, arrived: float, size: int
    ) -> bytes:
        """The answer's bytes.

        Raises:
            StatusError: refused.
        """
        metadata = _metadata(context)
        if kind.api is None:
            await self._admit(kind, message, metadata, context)
            raw: bytes = (await answer(message, self._deadline(context, arrived))).SerializeToString()
            return raw
        call = Call(kind.way, kind.api, arrived=arrived, request_bytes=size)
        call.key = metadata.get(CANARY_KEY)
        if self._watching is not None:
            call.request_id = self._watching.begin(metadata.get(b"x-request-id"))
            call.client = _address(context.peer())
            call.traceparent = metadata.get(b"traceparent", b"").decode("latin-1")
        token = current.set(call)
        self.in_flight += 1
        try:
            call.principal = await self._admit(kind, message, metadata, context)
            raw = (await answer(message, self._deadline(context, arrived))).SerializeToString()
            call.response_bytes = len(raw)
            return raw
        except StatusError as problem:
            call.status, call.error = int(problem.code), problem.message
            raise
        except BaseException as problem:
            call.status, call.error = int(Code.UNKNOWN), type(problem).__name__
            raise
        finally:
            current.reset(token)
            self.in_flight -= 1
            call.answered = time.monotonic()
            if self._watching is not None:
                self._watching.done(call)

    async def _admit(self, kind: Kind, message: Message, metadata: Mapping[bytes, bytes], context: Context) -> str:
        if self._guard is None or kind.verb is None:
            return ""
        peer = certificates.of_grpc(context.auth_context())
        who = await self._guard.admit(
            metadata, model=kind.model(message), verb=kind.verb, peer_certificate=peer, now=time.monotonic()
        )
        return who.name

    def _deadline(self, context: Context, arrived: float) -> float | None:
        remaining = context.time_remaining()
        deadlines = [time.monotonic() + remaining] if remaining is not None else []
        if self._seconds:
            deadlines.append(arrived + self._seconds)
        return min(deadlines, default=None)


def _metadata(context: Context) -> dict[bytes, bytes]:
    return {
        key.encode(): value if isinstance(value, bytes) else value.encode("latin-1", "replace")
        for key, value in context.invocation_metadata() or ()
    }


def _address(peer: str) -> str:
    """gRPC names a peer `ipv4:127.0.0.1:50051`, an IPv6 one percent-encoded in brackets."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
