"""What the services need of whoever holds the models. Nothing here knows gRPC's wire."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # the supervisor, which computes nothing, does without numpy
    from serving.backends.base import Array
    from serving.signature import ModelSignature

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


class Code(enum.IntEnum):
    """Why a request failed; gRPC's and TensorFlow's numbers (https://grpc.io/docs/guides/status-codes/)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class StatusError(Exception):
    """A request failed.

    Args:
        retry_after: where trying again later may help, when [s].
        reason: one word for programs, where the code alone does not tell: `no_deployment`, `starting`, `queue_full`, `unauthorized`, …
        http: the HTTP status, where it is not the code's own.
    """

    def __init__(
        self, code: Code, message: str, *, retry_after: float | None = None, reason: str = "", http: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.reason = reason
        self.http = http


def not_found(name: str, version: int | None) -> StatusError:
    what = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return StatusError(Code.NOT_FOUND, f"Servable not found for request: {what}")


def unknown_label(label: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")


class Servable(Protocol):
    """A loaded version. A request keeps the one that it was given, whatever is loaded meanwhile."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def platform(self) -> str:
        """What computes, for Open Inference Protocol's metadata: `onnxruntime_onnx`, `tensorflow_savedmodel`, …"""
        ...

    @property
    def signatures(self) -> Mapping[str, ModelSignature]: ...

    @property
    def checks_method_names(self) -> bool:
        """Whether Classify and Regress ask for a signature that was exported for them."""
        ...

    def method(self, signature: str) -> str:
        """PREDICT, CLASSIFY or REGRESS: what a signature was exported for."""
        ...

    def defaults(self, signature: str) -> Mapping[str, Array]:
        """Values of inputs that a request may leave out."""
        ...

    async def predict(
        self, signature: str, inputs: Mapping[str, Array], deadline: float | None, outputs: Sequence[str] = ()
    ) -> Mapping[str, Array]:
        """Compute. Cancelling the task gives the work up.

        Args:
            deadline: in the event loop's time [s]; past it nobody listens any more.
            outputs: names of those that are wanted; none means all. More may be returned.

        Raises:
            StatusError: refused, not in time, or broken.
        """
        ...


State = Literal["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]


@dataclass(frozen=True)
class VersionStatus:
    """How a version fares; `code` and `message` say why it could not be loaded."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass(frozen=True)
class ModelConfig:
    """A model to be served from a folder: what HandleReloadConfigRequest asks for."""

    name: str
    base_path: str
    platform: str = ""
    latest: int | None = 1
    """Serve so many of the newest versions; None where `specific` or all."""
    specific: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)
    is_mounted: bool = False
    """Whether a service had put all of it there before it named it: then the base path may itself be the only version, and its files
    are not waited for."""


@dataclass(frozen=True)
class Duration:
    count: int = 0
    ns: int = 0


@dataclass(frozen=True)
class BatchStatistics:
    size: int
    run: Duration


@dataclass(frozen=True)
class Statistics:
    """What a version did since it was loaded. `last_inference` is in ms since 1970, 0 for never."""

    name: str
    version: int
    last_inference: int
    rows: int
    batches: int
    success: Duration
    fail: Duration
    queue: Duration
    parse: Duration
    run: Duration
    write: Duration
    by_batch_size: Sequence[BatchStatistics] = ()


class Models(Protocol):
    """All models of one server. Lives in the event loop's thread."""

    @property
    def is_live(self) -> bool: ...

    @property
    def is_ready(self) -> bool: ...

    @property
    def server_version(self) -> str: ...

    def resolve(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        """The version that answers a request.

        Raises:
            StatusError: `not_found`, `unknown_label`, or UNAVAILABLE while nothing is loaded yet.
        """
        ...

    def statuses(self, name: str) -> Sequence[VersionStatus]:
        """Every version that is known of a model, oldest first; empty for an unknown model."""
        ...

    def names(self) -> Sequence[str]:
        """Models that are known, loaded or not."""
        ...

    def statistics(self, name: str, version: int | None) -> Sequence[Statistics]:
        """Of one version, of all of a model, or (with an empty name) of all models.

        Raises:
            StatusError: no such model or version.
        """
        ...

    async def load(self, name: str) -> None:
        """Load a model's versions by its policy, or the newer ones.

        Raises:
            StatusError: it cannot be loaded; what answered before still does.
        """
        ...

    async def unload(self, name: str) -> None:
        """
        Raises:
            StatusError: no such model.
        """
        ...

    async def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Serve exactly these models from now on. Returns when all that is new answers.

        Raises:
            StatusError: refused whole.
        """
        ...

    async def wait_for_change(self) -> None:
        """Return when readiness or a model's state may have changed."""
        ...
