"""What all routes to a prediction share: the record of the call, the queue, the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from serving.answering import failure
from serving.backends.base import Array, RunError
from serving.batching.batcher import Outcome, QueueFullError
from serving.calls import Api, Call, Way
from serving.http.json_in import BadRequestError
from serving.http.messages import Exchange, Response, error
from serving.http.status import refusal
from serving.interface import StatusError
from serving.models import Models, Version, queue_full

CANARY_KEY = b"x-skylift-key"
SAGEMAKER_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"

Finish = Callable[[Mapping[str, Array]], Response]


class Desk:
    """Takes decoded requests to the batchers and their answers back.

    Args:
        seconds: how long a request may take in all; 0 for no limit.
    """

    def __init__(self, models: Models, seconds: float = 0.0) -> None:
        self.models = models
        self._seconds = seconds

    def begin(self, exchange: Exchange, way: Way, api: Api) -> Call:
        """Note that a request for a prediction was made."""
        call = exchange.call = Call(way, api)
        call.arrived = exchange.began
        call.request_bytes = len(exchange.request.body)
        return call

    def resolve(self, exchange: Exchange, name: str, version: int | None = None, label: str | None = None) -> Version:
        """The version that answers this request.

        Raises:
            StatusError: there is none.
        """
        return self.models.resolve(name, version, label, sticky_key(exchange.request.headers))

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

        job = version.loaded.maker(signature).make(inputs, done)
        job.deadline = self._deadline(call, timeout)
        batcher = version.loaded.batcher_of(signature)
        call.begin_work(version, signature, job)
        try:
            batcher.submit(job)
        except QueueFullError:
            raise queue_full(batcher) from None
        exchange.on_abandon = lambda: batcher.cancel(job)

    def refuse(
        self, exchange: Exchange, problem: StatusError | BadRequestError, version: Version | None = None
    ) -> None:
        """Answer with an error."""
        headers = version.headers if version is not None else b""
        if exchange.call is not None:
            exchange.call.error = str(problem)
        if isinstance(problem, StatusError):
            exchange.respond(refusal(problem, headers))
        else:
            exchange.respond(error(problem.status, str(problem), extra=headers if problem.is_found else b""))

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
