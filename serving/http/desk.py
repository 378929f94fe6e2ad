"""What all routes to a prediction share: the record of the call, bodies that take long to read, the queue, the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serving.answering import failure
from serving.backends.base import Array, RunError
from serving.batching.batcher import Outcome, ShedError
from serving.calls import Api, Call, Way
from serving.http.holding import Holding
from serving.http.json_in import BadRequestError
from serving.http.messages import Exchange, Response, error
from serving.http.status import refusal
from serving.interface import StatusError
from serving.media.errors import MediaError
from serving.models import Models, Version
from serving.watch.watcher import Watcher

CANARY_KEY = b"x-skylift-key"
SAGEMAKER_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
QUICK_BYTES = 256 * 1024
"""Up to here a body is read in the event loop, in about 2 ms at most; greater ones by a thread, so that they hold nobody up."""

Finish = Callable[[Mapping[str, Array]], Response]
Problem = StatusError | BadRequestError
T = TypeVar("T")
_OVERLOAD = frozenset({"overload", "queue_full", "queue_seconds"})


class Desk:
    """Takes decoded requests to the batchers and their answers back.

    Args:
        seconds: how long a request may take in all; 0 for no limit.
    """

    def __init__(self, models: Models, loop: asyncio.AbstractEventLoop, seconds: float = 0.0) -> None:
        self.models = models
        self._loop = loop
        self.watcher: Watcher | None = None
        self._seconds = seconds
        self._holding = Holding(loop)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")

    def begin(self, exchange: Exchange, way: Way, api: Api) -> Call:
        """Note that a request for a prediction was made."""
        call = exchange.call = Call(exchange.way or way, api)
        call.arrived = exchange.began
        call.request_bytes = len(exchange.request.body)
        call.principal = exchange.principal
        headers = exchange.request.headers
        if self.watcher is not None:
            call.request_id = self.watcher.request_ids.of(headers.get(b"x-request-id"))
        traceparent = headers.get(b"traceparent")
        if traceparent is not None:
            call.traceparent = traceparent.decode("latin-1")
        call.client = exchange.client
        return call

    def resolve(self, exchange: Exchange, name: str, version: int | None = None, label: str | None = None) -> Version:
        """The version that answers this request.

        Raises:
            StatusError: there is none.
        """
        found = self.models.only(name) if version is None and label is None else None
        if found is None:
            found = self.models.resolve(name, version, label, sticky_key(exchange.request.headers), draws=True)
        if exchange.call is not None:
            # Before the body is read: what is refused while it is read counts for the version, too.
            exchange.call.served_by(found)
        return found

    def admit(self, version: Version, signature: str, timeout: float | None = None) -> None:
        """Ask before a body is read whether its answer could come in time: to refuse should cost next to nothing.

        Raises:
            StatusError: too much waits already.
        """
        deadline = time.monotonic() + timeout if timeout else None
        refused = version.loaded.batcher_of(signature).admit(deadline=deadline)
        if refused is not None:
            raise failure(refused)

    def read_slowly(
        self,
        exchange: Exchange,
        decode: Callable[[], T],
        then: Callable[[T], None],
        version: Version | None,
    ) -> None:
        """Read a body in the one thread for those that take long, then go on in the event loop.

        Args:
            version: whose headers an error's answer has.
        """
        gone = asyncio.Event()
        exchange.on_abandon = gone.set

        def work() -> T | Problem | None:
            if gone.is_set():
                return None
            try:
                return decode()
            except (StatusError, BadRequestError) as problem:
                return problem

        def done(future: asyncio.Future[T | Problem | None]) -> None:
            if gone.is_set():
                return
            exchange.on_abandon = None
            try:
                found = future.result()
            except Exception as broken:
                self._loop.call_exception_handler({"message": "a body could not be read", "exception": broken})
                exchange.respond(error(500, "the request could not be read: internal error"))
                return
            if isinstance(found, StatusError | BadRequestError):
                self.refuse(exchange, found, version)
                return
            assert found is not None
            try:
                then(found)
            except (StatusError, BadRequestError) as problem:
                self.refuse(exchange, problem, version)

        self._loop.run_in_executor(self._reader, work).add_done_callback(done)

    def submit(
        self,
        exchange: Exchange,
        version: Version,
        signature: str,
        inputs: Mapping[str, Array],
        finish: Finish,
        *,
        timeout: float | None = None,
        outputs: Sequence[str] = (),
    ) -> None:
        """Have it computed and answer.

        Args:
            finish: makes the answer of the outputs; a BadRequestError of its own is answered as such.
            timeout: what the client grants from now on [s].
            outputs: those that `finish` needs; none for all.
        """
        call = exchange.call
        assert call is not None

        def done(outcome: Outcome) -> None:
            call.end_work(job)
            if isinstance(outcome, RunError):
                self.refuse(exchange, failure(outcome), version)
                return
            call.outputs = outcome
            try:
                response = finish(outcome)
            except (BadRequestError, StatusError) as problem:
                self.refuse(exchange, problem, version)
                return
            exchange.respond(response)

        maker = version.loaded.maker(signature)
        job = maker.make(inputs, done)
        if outputs:
            job.outputs = maker.wanted(outputs)
        job.deadline = self._deadline(call, timeout)
        batcher = version.loaded.batcher_of(signature)
        call.begin_work(version, signature, job)
        try:
            batcher.submit(job)
        except ShedError as shed:
            raise failure(shed) from None
        exchange.on_abandon = lambda: batcher.cancel(job)

    def refuse(self, exchange: Exchange, problem: Problem, version: Version | None = None) -> None:
        """Answer with an error."""
        headers = version.headers if version is not None else b""
        if exchange.call is not None:
            exchange.call.error = str(problem)
        if isinstance(problem, StatusError):
            if problem.retry_after is not None and problem.reason and self.watcher is not None:
                self.watcher.shed(problem.reason)
            if problem.reason in _OVERLOAD:
                self._holding.tell(exchange, refusal(problem, headers))
            else:
                exchange.respond(refusal(problem, headers))
            return
        extra = headers if problem.is_found else b""
        if isinstance(problem, MediaError):
            extra += problem.headers
        exchange.respond(error(problem.status, str(problem), extra=extra))

    def _deadline(self, call: Call, timeout: float | None) -> float | None:
        limits = [seconds for seconds in (self._seconds, timeout) if seconds]
        return (call.arrived or time.monotonic()) + min(limits) if limits else None


def sticky_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """What keeps a client at one of two versions: `X-Skylift-Key`, or `skylift-key=...` among SageMaker's custom attributes, the one
    header of the client's that SageMaker hands on (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html).
    """
    key = headers.get(CANARY_KEY)
    if key is not None:
        return key
    attributes = headers.get(SAGEMAKER_ATTRIBUTES)
    if attributes is None:
        return None
    for part in attributes.split(b","):
        name, _, value = part.partition(b"=")
        if name.strip().lower() == b"skylift-key":
            return value.strip()
    return None
