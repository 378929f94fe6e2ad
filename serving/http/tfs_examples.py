"""TensorFlow Serving's classify and regress over REST: JSON examples to tf.Example and back.

Checks, their order and messages are those of util/json_tensor.cc (FillClassifyRegressRequestFromJson, MakeJsonFrom...Result). protobuf is
imported by the first such request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from serving.backends.base import Array
from serving.http import json_in, json_out
from serving.http.json_in import BadRequestError
from serving.interface import CLASSIFY, REGRESS
from serving.models import Version
from serving.signature import DEFAULT_SIGNATURE, ModelSignature

Verb = Literal["classify", "regress"]
_METHODS = {"classify": CLASSIFY, "regress": REGRESS}


@dataclass(slots=True, frozen=True)
class ExampleRequest:
    """Serialized tf.Examples, one a row, and the signature they are meant for."""

    signature: str
    examples: list[bytes]


def decode(body: bytes) -> ExampleRequest:
    """A classify or regress request, checked before any model is looked up.

    Raises:
        BadRequestError: it is no such request.
    """
    document = json_in.parse(body)
    name = json_in.signature_name(document) or DEFAULT_SIGNATURE
    context = _example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        raise _refused(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _refused(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _refused(document, "'examples' value is an empty array")
    # Of what stands twice in a protobuf message the last counts: an example's own features hide the context's.
    return ExampleRequest(name, [context + _example(item) for item in examples])


def inputs(version: Version, request: ExampleRequest, verb: Verb) -> tuple[ModelSignature, dict[str, Array]]:
    """The tensors for a version.

    Raises:
        StatusError: its signature is not for that, or the examples do not fit.
    """
    from serving.grpc import examples

    signature = examples.checked_signature(version, request.signature, _METHODS[verb])
    return signature, examples.arrays(request.examples, signature)


def encode(outputs: Mapping[str, Array], rows: int, verb: Verb) -> bytes:
    """`{"results": [...]}`: for classify the [label, score] pairs of each row, for regress a number of each.

    Raises:
        StatusError: the outputs are not what the method promises.
    """
    from serving.grpc import examples

    if verb == "regress":
        numbers = [one.value for one in examples.regression(outputs, rows).regressions]
        return b'{"results":' + json_out.dump("results", np.array(numbers, np.float32)) + b"}"
    told = []
    for row in examples.classification(outputs, rows).classifications:
        scores = json_out.numbers(np.array([one.score for one in row.classes], np.float32))
        labels = [json_out.text(one.label) for one in row.classes]
        told.append(b"[" + b",".join(b"[%b,%b]" % pair for pair in zip(labels, scores, strict=True)) + b"]")
    return b'{"results":[' + b",".join(told) + b"]}"


def _example(item: Any) -> bytes:
    from serving.grpc.protos import tensorflow_pb2 as tf

    if not isinstance(item, dict):
        raise BadRequestError(f"Example must be JSON object but got JSON {json_in.type_name(item)}", is_found=False)
    example = tf.Example()
    for name, content in item.items():
        feature = example.features.feature[_unicode(name)]
        for value in content if isinstance(content, list) else [content]:
            _add(feature, name, value)
    raw: bytes = example.SerializeToString()
    return raw


def _add(feature: Any, name: str, value: Any) -> None:
    kind, converted = _value(name, value)
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        expected = present.removesuffix("_list")
        raise BadRequestError(f"Unexpected element type in feature: {name} expecting type: {expected}", is_found=False)
    getattr(feature, kind).value.append(converted)


def _value(name: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return "int64_list", int(value)
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return "int64_list", value
        if value < 2**64 and value > 0:
            raise BadRequestError(f"Feature: {name} has uint64_t element. Only int64_t is supported.", is_found=False)
        return "float_list", json_in.to_float(value)
    if isinstance(value, float):
        return "float_list", value
    if isinstance(value, str):
        return "bytes_list", value.encode("utf-8", "surrogateescape")
    if json_in.is_base64(value):
        return "bytes_list", json_in.base64_bytes(value)
    raise BadRequestError(
        f"Feature: {name} has element with unexpected JSON type: {json_in.type_name(value)}", is_found=False
    )


def _unicode(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadRequestError("a feature's name is not UTF-8", is_found=False) from None
    return name


def _refused(document: Any, message: str) -> BadRequestError:
    return BadRequestError(f"JSON Value: {json_in.debug(document)} {message}", is_found=False)
