"""What every gRPC call passes on its way in and out: who asks, and what is known of it afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from serving.calls import Api, Call, Way, current
from serving.interface import Code, StatusError
from skylift.artifacts.access import Verb

if TYPE_CHECKING:  # who keeps nobody out does without its imports
    from serving.guard.certificates import Peer
    from serving.guard.guard import Guard

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


class Asking(Protocol):
    """What a transport knows of who asks."""

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """Names in lower case."""
        ...

    @property
    def client(self) -> str:
        """The address without the port; empty where there is none."""
        ...

    @property
    def certificate(self) -> Peer | None: ...

    @property
    def deadline(self) -> float | None:
        """The client's, by `time.monotonic`."""
        ...


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
        self, kind: Kind, message: Message, asking: Asking, answer: Answer, arrived: float, size: int
    ) -> bytes:
        """The answer's bytes.

        Raises:
            StatusError: refused.
        """
        if kind.api is None:
            await self._admit(kind, message, asking)
            raw: bytes = (await answer(message, self.deadline(asking, arrived))).SerializeToString()
            return raw
        call = self.begin(kind, kind.api, asking, arrived, size)
        token = current.set(call)
        try:
            call.principal = await self._admit(kind, message, asking)
            raw = (await answer(message, self.deadline(asking, arrived))).SerializeToString()
            call.response_bytes = len(raw)
            return raw
        except BaseException as problem:
            note(call, problem)
            raise
        finally:
            current.reset(token)
            self.end(call)

    def begin(self, kind: Kind, api: Api, asking: Asking, arrived: float, size: int) -> Call:
        """Note that a prediction is asked for. `end` or `forget` follows."""
        call = Call(kind.way, api, arrived=arrived, request_bytes=size)
        metadata = asking.metadata
        call.key = metadata.get(CANARY_KEY)
        if self._watching is not None:
            call.request_id = self._watching.begin(metadata.get(b"x-request-id"))
            call.client = asking.client
            traceparent = metadata.get(b"traceparent")
            if traceparent is not None:
                call.traceparent = traceparent.decode("latin-1")
        self.in_flight += 1
        return call

    def end(self, call: Call) -> None:
        """It was answered, or nobody waits for it any more."""
        self.in_flight -= 1
        call.answered = time.monotonic()
        if self._watching is not None:
            self._watching.done(call)

    def forget(self) -> None:
        """A call that was begun begins again elsewhere."""
        self.in_flight -= 1

    def check(self, kind: Kind, message: Message, asking: Asking) -> str:
        """Who asks, if they may.

        Raises:
            StatusError: they may not; of the reason `issuer_keys` where that is known soon: `pass_through` waits for it.
        """
        if self._guard is None or kind.verb is None:
            return ""
        who = self._guard.check(
            asking.metadata,
            model=kind.model(message),
            verb=kind.verb,
            peer_certificate=asking.certificate,
            now=time.monotonic(),
        )
        return who.name

    async def _admit(self, kind: Kind, message: Message, asking: Asking) -> str:
        if self._guard is None or kind.verb is None:
            return ""
        who = await self._guard.admit(
            asking.metadata,
            model=kind.model(message),
            verb=kind.verb,
            peer_certificate=asking.certificate,
            now=time.monotonic(),
        )
        return who.name

    def deadline(self, asking: Asking, arrived: float) -> float | None:
        """The earlier of the client's and the server's."""
        theirs = asking.deadline
        if not self._seconds:
            return theirs
        ours = arrived + self._seconds
        return ours if theirs is None or theirs > ours else theirs


def note(call: Call, problem: BaseException) -> None:
    """Write down why a call failed. A client that left is no fault of the model's."""
    if isinstance(problem, StatusError):
        call.status, call.error = int(problem.code), problem.message
    elif isinstance(problem, asyncio.CancelledError):
        call.status, call.error = int(Code.CANCELLED), "the client left"
    else:
        call.status, call.error = int(Code.UNKNOWN), type(problem).__name__
