"""Recorded requests that a version answers before anybody else asks it.

The file and what is refused are the original's: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/
saved_model_warmup.md and servables/tensorflow/saved_model_warmup_util.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from serving.signature import DEFAULT_SIGNATURE, ModelSignature
from skylift.errors import DeployError

if TYPE_CHECKING:
    from serving.backends.base import Array

FILE = "assets.extra/tf_serving_warmup_requests"
MOST_RECORDS = 1000
_HINT = "record it anew, as docs/serving-sources.md says, or remove it from the version"


@dataclass(frozen=True)
class Request:
    """One request to be computed; who runs it throws its answer away."""

    api: Literal["predict", "classify", "regress", "multi_inference"]
    signature: str
    inputs: Mapping[str, Array]


def warmup_requests(folder: Path, signatures: Mapping[str, ModelSignature]) -> Iterator[Request]:
    """The recorded requests of a version, one at a time; none where none were recorded. Which model and version a record names does
    not matter; of several tasks each is a request of its own.

    Args:
        folder: of the SavedModel.
        signatures: what the version answers.

    Raises:
        DeployError: the file is damaged or holds more than 1000 records, or one of them does not fit the version.
    """
    path = folder / FILE
    if not path.exists():
        return
    from serving.sources.tfrecord import RecordsError, records

    count = 0
    try:
        for raw in records(path):
            count += 1
            if count > MOST_RECORDS:
                raise DeployError(
                    f"Number of warmup records exceeds the maximum ({MOST_RECORDS}) at {path}", hint="record fewer"
                )
            yield from _requests(raw, f"record {count} of {path}", signatures)
    except RecordsError as error:
        raise DeployError(
            f"{path}: {error}. Please verify your warmup data is in TFRecord format", hint=_HINT
        ) from None
    except OSError as error:
        raise DeployError(f"cannot read {path}: {error.strerror}", hint=_HINT) from None


def _requests(raw: bytes, where: str, signatures: Mapping[str, ModelSignature]) -> Iterator[Request]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    from serving.grpc.protos import tensorflow_serving_pb2 as tfs
    from serving.grpc.tensors import TensorError
    from serving.interface import StatusError

    try:
        log = tfs.PredictionLog.FromString(raw)
        yield from _of_log(log, signatures)
    except (DecodeError, TensorError) as error:
        raise DeployError(f"Failed to parse warmup record: {where}: {error}", hint=_HINT) from None
    except StatusError as error:
        raise DeployError(f"{where}: {error.message}", hint=_HINT) from None


def _of_log(log: Any, signatures: Mapping[str, ModelSignature]) -> Iterator[Request]:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        yield _predict(log.predict_log.request, signatures)
    elif kind == "classify_log":
        yield _examples("classify", log.classify_log.request, log.classify_log.request, signatures)
    elif kind == "regress_log":
        yield _examples("regress", log.regress_log.request, log.regress_log.request, signatures)
    elif kind == "multi_inference_log":
        for task in log.multi_inference_log.request.tasks:
            yield _examples("multi_inference", task, log.multi_inference_log.request, signatures)
    else:
        raise _refused("Unsupported log_type for warmup: neither predict, classify, regress nor multi_inference")


def _predict(request: Any, signatures: Mapping[str, ModelSignature]) -> Request:
    from serving.grpc import tensors
    from serving.grpc.protos import views_pb2 as views

    name, _ = _signature(request.model_spec, signatures)
    view = views.PredictRequest.FromString(request.SerializeToString())
    return Request("predict", name, {alias: tensors.decode(proto) for alias, proto in view.inputs.items()})


def _examples(
    api: Literal["classify", "regress", "multi_inference"],
    named: Any,
    request: Any,
    signatures: Mapping[str, ModelSignature],
) -> Request:
    from serving.grpc import examples
    from serving.grpc.protos import views_pb2 as views

    name, signature = _signature(named.model_spec, signatures)
    view = views.Input.FromString(request.input.SerializeToString())
    return Request(api, name, examples.arrays(examples.serialized(view), signature))


def _signature(spec: Any, signatures: Mapping[str, ModelSignature]) -> tuple[str, ModelSignature]:
    name = spec.signature_name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise _refused(f'Serving signature key "{name}" not found')
    return name, signatures[name]


def _refused(message: str) -> Exception:
    from serving.interface import Code, StatusError

    return StatusError(Code.INVALID_ARGUMENT, message)
