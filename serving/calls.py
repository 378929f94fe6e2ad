"""What is known of one request for a prediction, from its arrival to its answer: metrics, logs, traces and samples are made from it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # the supervisor, which computes nothing, does without numpy
    from serving.backends.base import Array
    from serving.batching.batcher import Job

Way = Literal["tfs-rest", "tfs-grpc", "v2-rest", "v2-grpc", "sagemaker", "vertex", "azureml"]
Api = Literal["predict", "classify", "regress", "multi_inference", "infer", "explain"]


class Served(Protocol):
    """What a call is told of the version that answers it."""

    name: str
    version: int
    deployment: int | None
    is_canary: bool


@dataclass(slots=True, eq=False)
class Call:
    """One request. Whoever handles it fills in what it learns; who watches is given it once, after the answer was handed to the socket.

    Args:
        protocol: the way it came in.
        request_id: the client's own, or one that was made for it.
        principal: who asks: an API key's name or a token's subject; empty where nobody must say.
        model: the model's name, empty until one was found.
        status: the HTTP status; of a gRPC call the number of its status code.
        error: what the client was told, empty where all went well.
        arrived: when the request was there as a whole. This and the times below are `time.monotonic` [s], 0.0 where it did not come
            so far.
        parsed: when its tensors were read and it went to the queue.
        started: when it was taken from the queue.
        gathered: when the batch that it is part of was put together.
        computed: when the model had answered.
        answered: when the last byte was handed to the socket.
        rows: rows of the request; `batch_rows` those of the whole batch.
        request_bytes: of the body; `response_bytes` likewise.
        traceparent: the header that the client sent (https://www.w3.org/TR/trace-context/), or empty.
        inputs: the request's tensors by name; None until they are read. Whoever keeps them must copy.
        outputs: the answer's tensors by name.
    """

    protocol: Way
    api: Api
    request_id: str = ""
    principal: str = ""
    model: str = ""
    version: int = 0
    deployment: int | None = None
    is_canary: bool = False
    signature: str = ""
    rows: int = 0
    batch_rows: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    status: int = 0
    error: str = ""
    arrived: float = 0.0
    parsed: float = 0.0
    started: float = 0.0
    gathered: float = 0.0
    computed: float = 0.0
    answered: float = 0.0
    traceparent: str = ""
    key: bytes | None = None
    """What keeps a client at one of two versions."""
    client: str = ""
    """The client's address."""
    inputs: Mapping[str, Array] | None = None
    outputs: Mapping[str, Array] | None = None

    def served_by(self, version: Served) -> None:
        """This version will answer."""
        self.model, self.version, self.deployment = version.name, version.version, version.deployment
        self.is_canary = version.is_canary

    def begin_work(self, version: Served, signature: str, job: Job) -> None:
        """Its tensors are read, and `job` goes to the queue."""
        self.parsed = time.monotonic()
        self.served_by(version)
        self.signature, self.rows, self.inputs = signature, job.rows, job.inputs

    def end_work(self, job: Job) -> None:
        """The model has answered, or refused."""
        self.started, self.gathered, self.computed, self.batch_rows = (
            job.started,
            job.gathered,
            job.computed,
            job.batch_rows,
        )


current: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call that the running task answers; set by protocols whose handlers are tasks."""
