"""At which service this process runs, and the options that the service's own variables stand for.

They are defaults: SKYLIFT_* variables win over them, and the command line over those. All services' routes are answered everywhere, so a
wrong guess costs a port, a model's place and the log's form, never the health check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.contracts.mounted import has_anything
from skylift.errors import InputError

Service = Literal["none", "sagemaker", "vertex", "azureml"]

SERVICE = "SKYLIFT_SERVICE"
"""Variable: the service, where the guess is wrong."""
SERVE = "serve"
"""The word with which SageMaker starts every image, and infra ours."""
PORT = 8080
LEAVE_SECONDS = 25
"""SageMaker and Kubernetes kill 30 s after SIGTERM."""
BUCKET_SECONDS = 30
"""Between two looks at a bucket that a service filled: a listing costs money."""
_ML = Path("/opt/ml")
_ANYWHERE = "0.0.0.0"  # noqa: S104 - inside of the service's own container


@dataclass(frozen=True)
class Surroundings:
    """
    Args:
        options: as on the command line.
        arguments: the command line without the word `serve`.
        notes: what the surroundings ask for that is not done, and why.
    """

    service: Service
    options: tuple[str, ...]
    arguments: tuple[str, ...]
    notes: tuple[str, ...] = ()


def detect(environment: Mapping[str, str], arguments: Sequence[str], ml: Path = _ML) -> Surroundings:
    """
    Args:
        ml: where SageMaker mounts.

    Raises:
        InputError: a variable has no value that can be.
    """
    is_told = bool(arguments) and arguments[0] == SERVE
    rest = tuple(arguments[1:] if is_told else arguments)
    service = _service(environment, is_told=is_told, is_alone=is_told and not rest, ml=ml)
    given = _Given(environment)
    _READERS[service](given, ml)
    if given.mistakes:
        raise InputError(
            "; ".join(given.mistakes), hint="docs/serving-contracts.md lists the variables of each service"
        )
    return Surroundings(service, tuple(given.options), rest, tuple(given.notes))


def _service(environment: Mapping[str, str], *, is_told: bool, is_alone: bool, ml: Path) -> Service:
    forced = environment.get(SERVICE)
    if forced:
        found = next((one for one in _READERS if one == forced), None)
        if found is None:
            raise InputError(f"{SERVICE} is {forced!r}", hint=f"it may be {', '.join(_READERS)}")
        return found
    if environment.get("AIP_HTTP_PORT") or environment.get("AIP_MODE") == "PREDICTION":
        return "vertex"
    if any(name.startswith("SAGEMAKER_") for name in environment) or is_alone or (is_told and ml.is_dir()):
        return "sagemaker"
    return "azureml" if any(name.startswith("AZUREML_") for name in environment) else "none"


class _Given:
    """The variables of a service, as they are read."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.options: list[str] = []
        self.notes: list[str] = []
        self.mistakes: list[str] = []

    def text(self, name: str) -> str:
        return self.environment.get(name, "")

    def add(self, option: str, value: object) -> None:
        self.options.append(f"{option}={value}")

    def whole(self, name: str) -> int | None:
        text = self.text(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit()):
            self.mistakes.append(f"{name} is {text!r}, it must be a whole number")
            return None
        return int(text)

    def flag(self, name: str) -> bool:
        text = self.text(name).lower()
        if text not in ("", "true", "false"):
            self.mistakes.append(f"{name} is {self.text(name)!r}, it must be true or false")
        return text == "true"

    def unused(self, name: str, why: str) -> None:
        if self.text(name):
            self.notes.append(f"{name} is not used: {why}")


def _nowhere(given: _Given, ml: Path) -> None:
    pass


# SageMaker: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html


def _sagemaker(given: _Given, ml: Path) -> None:
    given.add("--host", _ANYWHERE)
    given.add("--port", given.whole("SAGEMAKER_BIND_TO_PORT") or PORT)
    given.add("--drain-seconds", LEAVE_SECONDS)
    _port_range(given)
    is_multi = given.flag("SAGEMAKER_MULTI_MODEL")
    if is_multi:
        given.add("--models-folder", ml / "models")
    elif has_anything(ml / "model"):
        given.add("--mounted", ml / "model")
    if (ml / ("models" if is_multi else "model") / "code" / "inference.py").exists():
        given.notes.append("code/inference.py is not used: no Python of a model's is run; the model itself answers")
    _tensorflow_container(given)
    for name in ("SAGEMAKER_PROGRAM", "SAGEMAKER_MULTI_MODEL_UNIVERSAL_BUCKET"):
        given.unused(name, "no Python of a model's is run")


def _port_range(given: _Given) -> None:
    """`from-to`, for what a container needs beside the one port; with it come images with the label accept-bind-to-port."""
    text = given.text("SAGEMAKER_SAFE_PORT_RANGE")
    if not text:
        return
    least, _, most = text.partition("-")
    if not (least.isdigit() and most.isdigit() and int(least) <= int(most)):
        given.mistakes.append(f"SAGEMAKER_SAFE_PORT_RANGE is {text!r}, it must be two ports such as 9000-9999")
        return
    given.add("--grpc-port", int(least))


def _tensorflow_container(given: _Given) -> None:
    """The variables of AWS's own TensorFlow container: https://github.com/aws/sagemaker-tensorflow-serving-container"""
    if given.text("SAGEMAKER_TFS_DEFAULT_MODEL_NAME") not in ("", "None"):
        given.add("--default-model", given.text("SAGEMAKER_TFS_DEFAULT_MODEL_NAME"))
    for name, option in (("INSTANCE_COUNT", "--workers"), ("INTRA_OP_PARALLELISM", "--threads")):
        number = given.whole(f"SAGEMAKER_TFS_{name}")
        if number is not None:
            given.add(option, number)
    names = ("MAX_BATCH_SIZE", "BATCH_TIMEOUT_MICROS", "MAX_ENQUEUED_BATCHES")
    if given.flag("SAGEMAKER_TFS_ENABLE_BATCHING"):
        rows, micros, batches = (given.whole(f"SAGEMAKER_TFS_{name}") for name in names)
        if rows is not None:
            given.add("--max-batch-rows", rows)
        if micros is not None:
            given.add("--batch-delay-ms", f"{micros / 1000:g}")
        if batches is not None:
            given.add("--queue-rows", min(1_000_000, max(1, batches) * (rows or 64)))
    else:
        for name in names:
            given.unused(
                f"SAGEMAKER_TFS_{name}", "SAGEMAKER_TFS_ENABLE_BATCHING is not true; requests are batched as usual here"
            )
    for name in ("NUM_BATCH_THREADS", "INTER_OP_PARALLELISM", "FRACTIONAL_GPU_MEM_MARGIN"):
        given.unused(
            f"SAGEMAKER_TFS_{name}", "SAGEMAKER_TFS_INSTANCE_COUNT and SKYLIFT_THREADS say how much is done at once"
        )
    for name in ("SAGEMAKER_TFS_NGINX_LOGLEVEL", "SAGEMAKER_GUNICORN_WORKERS", "SAGEMAKER_GUNICORN_THREADS"):
        given.unused(name, "there is no nginx and no gunicorn here")


# Vertex AI: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements


def _vertex(given: _Given, ml: Path) -> None:
    given.add("--host", _ANYWHERE)
    given.add("--port", given.whole("AIP_HTTP_PORT") or PORT)
    given.add("--drain-seconds", LEAVE_SECONDS)
    given.add("--log-format", "google")
    for name, option in (("AIP_HEALTH_ROUTE", "--health-route"), ("AIP_PREDICT_ROUTE", "--predict-route")):
        if given.text(name):
            given.add(option, given.text(name))
    if given.text("AIP_STORAGE_URI"):
        given.add("--mounted", given.text("AIP_STORAGE_URI"))
        given.add("--poll-seconds", BUCKET_SECONDS)


# Azure ML: https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container


def _azureml(given: _Given, ml: Path) -> None:
    given.add("--host", _ANYWHERE)
    given.add("--port", PORT)
    given.add("--drain-seconds", LEAVE_SECONDS)
    folder = given.text("AZUREML_MODEL_DIR")
    if folder and has_anything(Path(folder)):
        given.add("--mounted", folder)
    workers, seconds = given.whole("WORKER_COUNT"), given.whole("WORKER_TIMEOUT")
    if workers is not None:
        given.add("--workers", workers)
    if seconds is not None:
        given.add("--request-seconds", min(seconds, 3600))
    given.unused("AZUREML_ENTRY_SCRIPT", "no Python of a model's is run; the model itself answers")
    given.unused("WORKER_PRELOAD", "each worker loads the model itself")


_READERS: Mapping[Service, Callable[[_Given, Path], None]] = {
    "none": _nowhere,
    "sagemaker": _sagemaker,
    "vertex": _vertex,
    "azureml": _azureml,
}
