"""The records that lie in the buckets, and how they are read and written.

Every record is JSON with a `schema` number. A reader accepts its own schema and the one before, ignores keys that it does not know,
and refuses a newer schema with an error that says to upgrade. Times are RFC 3339 in UTC. Shapes use None for the batch dimension.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from skylift.artifacts.comparing import CanaryLimits, Comparison
from skylift.artifacts.profile_records import Profile
from skylift.errors import RecordError

State = Literal["queued", "acquiring", "booting", "pulling", "running", "preempted", "succeeded", "failed", "cancelled"]
"""How a run goes: queued > acquiring > booting > pulling > running (> preempted > …)* > one of FINAL."""

FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

TaskKind = Literal["classification", "binary", "regression", "generic"]
FormatName = Literal["saved_model", "onnx", "keras", "h5", "tflite"]
InputKind = Literal["image", "tabular", "text", "sequence", "tensor"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of all records."""

    SCHEMA: ClassVar[int] = 1
    schema: int = 1

    @classmethod
    def upgrade(cls, older: dict[str, Any]) -> dict[str, Any]:
        """Turn the record of the schema before into this one. Overridden by a record whose schema grew."""
        return older


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a manifest. `path` is relative to the manifest, `size` in bytes, `sha256` in hex."""

    path: str
    size: int
    sha256: str


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A named tensor: numpy dtype name (`float32`, `int64`, `string`), shape with None where it varies."""

    name: str
    dtype: str
    shape: list[int | None]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What `serving_default` takes and gives."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


class OtherSignature(Signature, frozen=True, kw_only=True):
    """What a further signature of the SavedModel takes and gives, and how near it is to what computes the same in Python."""

    parity: Parity


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the outputs mean, so that `predict` can decode them.

    classification: the output is a probability per label. binary: one probability, of `labels[1]`.
    regression: a value in `unit`. generic: numbers without a meaning known to us.
    """

    kind: TaskKind = "generic"
    labels: list[str] = []
    unit: str = ""
    input_kind: InputKind = "tensor"
    input_names: list[str] = []
    """tabular: the columns, in order."""
    dark_background: bool | None = None
    """image: whether the images that it learned from are light on dark."""


class DatasetManifest(Record, frozen=True, kw_only=True):
    """datasets/<name>/<digest>/manifest.json. Holds no time, so equal files have an equal digest."""

    name: str
    files: list[FileEntry]
    rows: int | None = None
    facts: dict[str, Any] = {}


class RunSpec(Record, frozen=True, kw_only=True):
    """runs/<run>/run.json: what was asked. Never holds the value of a secret."""

    id: str
    created: datetime
    by: str
    stack: str
    target: str
    keep: str
    """URL of the keep bucket as the launcher sees it."""
    work: str
    """URL of the work bucket."""
    recipe: str
    """A bundled recipe's name, or the module inside `code`."""
    hyperparameters: dict[str, Any] = {}
    """Only what was set; the recipe holds the defaults."""
    code: str | None = None
    """Digest of code/<digest>.tar for a recipe of the user's."""
    dataset: str | None = None
    """`name@digest`."""
    model: str
    """The model's name under which the version is published."""
    seed: int = 0
    env: dict[str, str] = {}
    secrets: list[str] = []
    """Names only; the launcher hands the values over in the environment."""
    commit: str | None = None
    """The git commit of the user's project, `-dirty` behind it where files differ."""
    skylift: str = ""
    resumed_from: str | None = None
    resources: dict[str, Any] = {}
    formats: list[FormatName] = []
    """Forms that the model must have beside the usual three, or of these one that must not be dropped."""
    explain: bool = False
    """Whether the SavedModel gets a second signature, `explain`, which says what its predictions go by."""
    workers: int = 1
    """Processes that learn together, each on a machine of its own where the target has machines."""
    strategy: Literal["auto", "one", "mirrored", "multiworker", "ps"] = "auto"
    """How tf.distribute shares the work out."""
    ps: int = 0
    """Processes that hold the parameters for the workers, beside a chief that coordinates; 0: each worker holds its own."""

    study: str | None = None
    """The study of `skylift tune` that asked for it."""
    trial: int | None = None
    """Its number in the study, from 0."""
    publishes: bool = True
    """Whether it ends with a model. One that does not (a trial) is judged on the validation split and never sees the test split."""

    @property
    def members(self) -> int:
        """Processes in all. Number 0 is the chief; with parameter servers the workers follow, then these."""
        return 1 + self.workers + self.ps if self.ps else self.workers


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed: the error's kind, its last line, the fix."""

    kind: str
    message: str
    hint: str = ""


class PublishedModel(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    digest: str
    version: int


class RunResult(Record, frozen=True, kw_only=True):
    """runs/<run>/result.json: how it ended. Final; a run without it resumes under its id."""

    id: str
    state: Literal["succeeded", "failed", "cancelled"]
    started: datetime
    ended: datetime
    steps: int = 0
    epochs: int = 0
    metrics: dict[str, float] = {}
    """On the test split; of a run that publishes no model the best epoch's, on the validation split, `val_` before each name."""
    hyperparameters: dict[str, Any] = {}
    """All of them, defaults included."""
    model: PublishedModel | None = None
    failure: Failure | None = None
    attempts: int = 1


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    state: State
    at: datetime


class RunStatus(Record, frozen=True, kw_only=True):
    """live/<run>/status.json, replaced at each beat. Its age is judged by the store's clock, not by `beat`."""

    id: str
    state: State
    beat: datetime
    attempt: int = 1
    host: str = ""
    pid: int | None = None
    stage: str = ""
    """What it does right now, for people: `loading data`, `epoch 3 of 6`."""
    message: str = ""
    history: list[Transition] = []


class Cancel(Record, frozen=True, kw_only=True):
    """live/<run>/cancel.json."""

    at: datetime
    by: str
    why: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of events/<run>/<seq>.jsonl.

    kind `plan` says once how long it will be (`steps`, `epochs`); `step` and `epoch` carry training metrics (`val_` before the
    name for the validation split); `stage` names what begins; `test` the final metrics.
    """

    at: datetime
    kind: Literal["plan", "stage", "step", "epoch", "test", "note"]
    step: int = 0
    epoch: int = 0
    steps: int = 0
    epochs: int = 0
    metrics: dict[str, float] = {}
    text: str = ""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """A format was loaded again and compared with the model: the greatest absolute difference over `rows` real rows."""

    max_abs_difference: float
    rows: int
    tolerance: float
    holds: bool


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One stored form of the model: `path` is the file or folder relative to the manifest."""

    path: str
    parity: Parity | None = None


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: int
    digest: str


class Optimization(msgspec.Struct, frozen=True, kw_only=True):
    """How a version was made smaller or faster than the one that it comes from."""

    method: str
    of: ModelRef
    settings: dict[str, Any] = {}
    """What was asked and what came of it: `sparsity`, `epochs`, `seed`, …"""
    metric: str = ""
    """What the loss is measured in, on the test split: accuracy points, or the relative growth of an error."""
    loss: float = 0.0
    """Below zero where the version is better than its original."""
    max_loss: float = 0.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a model a version is: number `index` of `count`, counted from 1."""

    of: ModelRef
    index: int
    count: int
    inputs: dict[str, int] = {}
    """The part that gives each input; 0: the request itself."""


class ModelManifest(Record, frozen=True, kw_only=True):
    """models/<name>/<sha256 of this file>/manifest.json."""

    name: str
    created: datetime
    by: str
    run: str | None = None
    recipe: str | None = None
    dataset: str | None = None
    hyperparameters: dict[str, Any] = {}
    signature: Signature
    signatures: dict[str, OtherSignature] = {}
    """What the SavedModel answers beside `serving_default`, by name: `explain` (training/explain/signature.py)."""
    task: TaskInfo = TaskInfo()
    metrics: dict[str, float] = {}
    formats: dict[FormatName, Format]
    files: list[FileEntry]
    skylift: str = ""
    optimized: Optimization | None = None
    part: Part | None = None
    """Of a model that was cut up: this version is one part of it."""
    chain: list[ModelRef] = []
    """The parts, in order, that together compute what a model does; such a version has no form of its own."""
    profile: Profile | None = None
    """None where it was not trained here."""


class Samples(Record, frozen=True, kw_only=True):
    """models/<name>/<digest>/samples.json, one of the version's files: a few rows that it has not learned from.

    `instances` are rows as a request gives them, `expected` the true label or value of each.
    """

    instances: list[Any]
    expected: list[Any]


class VersionAlias(Record, frozen=True, kw_only=True):
    """models/<name>/versions/<n>.json: an integer for a digest."""

    name: str
    version: int
    digest: str
    created: datetime
    by: str
    run: str | None = None


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A second version that gets `weight` (0 to 1) of the requests."""

    model: ModelRef
    weight: float
    judge: CanaryLimits | None = None
    """None: the usual limits."""


class Deployment(Record, frozen=True, kw_only=True):
    """endpoints/<name>/deployments/<n>.json: which version should answer."""

    endpoint: str
    number: int
    model: ModelRef
    canary: Canary | None = None
    created: datetime
    by: str
    why: str = ""
    takes_back: int | None = None
    """The deployment in whose place this one stands because it could not be served; nobody rolls back to it."""


class Current(Record, frozen=True, kw_only=True):
    """endpoints/<name>/current.json: the one pointer that replicas follow."""

    deployment: int
    changed: datetime
    by: str


ReplicaState = Literal["empty", "loading", "serving", "failed", "draining"]


CanaryState = Literal["loading", "serving", "failed", "vetoed"]


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a canary fares on one replica: `failed` where it could not be loaded so far, `why` for that or for the veto."""

    model: ModelRef
    weight: float
    state: CanaryState
    why: str = ""
    figures: Comparison = Comparison()


class ReplicaReport(Record, frozen=True, kw_only=True):
    """replicas/<endpoint>/<id>.json: what one replica serves and how it fares; written on change, else once a minute."""

    endpoint: str
    replica: str
    host: str
    pid: int
    url: str
    started: datetime
    updated: datetime
    state: ReplicaState
    serving: int | None = None
    """The deployment that answers now."""
    model: ModelRef | None = None
    wanted: int | None = None
    """The deployment that `current.json` names, as last read."""
    failure: Failure | None = None
    """Why `wanted` does not serve."""
    waiting: str = ""
    """What `wanted` waits for before it may serve: `approval`."""
    canary: CanaryReport | None = None
    """Of the deployment that answers."""
    workers: int = 0
    ready_workers: int = 0
    backend: str = ""
    skylift: str = ""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing shows of a run."""

    id: str
    created: datetime
    by: str
    stack: str
    recipe: str
    model: str
    state: str
    """A State, or `lost`: no result and no heartbeat."""
    ended: datetime | None = None
    metrics: dict[str, float] = {}
    published: PublishedModel | None = None
    study: str | None = None
    trial: int | None = None


class IndexPage(Record, frozen=True, kw_only=True):
    """runs-index/<page>.json: create-only; runs in order of id. A run that was not final when the page was written is read anew."""

    page: int
    runs: list[RunSummary]


R = TypeVar("R", bound=Record)


def encode(record: Record) -> bytes:
    """The record's bytes: JSON with keys in the order of the class, so equal records have equal bytes."""
    return msgspec.json.format(msgspec.json.encode(record, order="deterministic"), indent=1) + b"\n"


def decode(raw: bytes, kind: type[R], where: str) -> R:
    """Read a record.

    Args:
        where: the record's URL, for the error.

    Raises:
        RecordError: not JSON, fields missing or of a wrong type, or a schema that this release does not know.
    """
    try:
        loose = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise RecordError(
            f"{where} is not JSON: {error}",
            hint="the object was damaged or written by something else; restore it from an older version of the bucket",
            details={"where": where},
        ) from None
    schema = loose.get("schema") if isinstance(loose, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise RecordError(
            f"{where} is no {kind.__name__} record: it has no schema number", hint="", details={"where": where}
        )
    if schema > kind.SCHEMA:
        raise RecordError(
            f"{where} has schema {schema}, this release of skylift reads up to {kind.SCHEMA}",
            hint="upgrade skylift: `uv sync --upgrade-package skylift` or `pip install --upgrade skylift`",
            details={"where": where, "schema": schema, "known": kind.SCHEMA},
        )
    if schema < kind.SCHEMA - 1:
        raise RecordError(
            f"{where} has schema {schema}, too old for this release, which reads {kind.SCHEMA - 1} and {kind.SCHEMA}",
            hint="open it with the release before this one, which writes the newer schema",
            details={"where": where, "schema": schema, "known": kind.SCHEMA},
        )
    if schema == kind.SCHEMA - 1:
        loose = kind.upgrade(loose)
    try:
        return msgspec.convert(loose, kind)
    except msgspec.ValidationError as error:
        raise RecordError(
            f"{where} is no valid {kind.__name__} record: {error}", hint="", details={"where": where}
        ) from None


def digest_of(raw: bytes) -> str:
    """SHA-256 of bytes, in hex: how manifests and code are known."""
    return hashlib.sha256(raw).hexdigest()


def now() -> datetime:
    """This machine's clock, UTC, whole milliseconds. For records only; ages are judged by the store's clock."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
