"""TensorFlow Serving's Classify, Regress and MultiInference over tf.Example; checks and messages of the original:

https://github.com/tensorflow/serving/blob/master/tensorflow_serving/servables/tensorflow/classifier.cc, regressor.cc and
multi_inference.cc. An addition: where a signature's inputs are not serialized examples, each is a feature of that name.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serving.backends.base import Array
from serving.grpc import tensors
from serving.grpc.prediction import invalid, resolve
from serving.grpc.protos import tensorflow_pb2 as tf
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.grpc.protos import views_pb2 as views
from serving.grpc.tensors import BY_NAME
from serving.interface import CLASSIFY, REGRESS, Code, Models, Servable, StatusError
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor

_INPUTS, _OUTPUTS, _CLASSES, _SCORES = "inputs", "outputs", "classes", "scores"


class Examples:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def classify(self, request: views.ExamplesRequest, deadline: float | None) -> tfs.ClassificationResponse:
        servable, name = self._resolve(request)
        signature = checked_signature(servable, name, CLASSIFY)
        outputs, rows = await _compute(servable, name, signature, request.input, deadline)
        answer = tfs.ClassificationResponse(result=classification(outputs, rows))
        _fill(answer.model_spec, servable, name)
        return answer

    async def regress(self, request: views.ExamplesRequest, deadline: float | None) -> tfs.RegressionResponse:
        servable, name = self._resolve(request)
        signature = checked_signature(servable, name, REGRESS)
        outputs, rows = await _compute(servable, name, signature, request.input, deadline)
        answer = tfs.RegressionResponse(result=regression(outputs, rows))
        _fill(answer.model_spec, servable, name)
        return answer

    async def multi_inference(
        self, request: views.MultiInferenceRequest, deadline: float | None
    ) -> tfs.MultiInferenceResponse:
        if not request.tasks or not request.tasks[0].HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        servable = resolve(self._models, request.tasks[0].model_spec)
        signatures = _checked_tasks(servable, request)
        answer = tfs.MultiInferenceResponse()
        for task, (name, signature) in zip(request.tasks, signatures.items(), strict=True):
            outputs, rows = await _compute(servable, name, signature, request.input, deadline)
            result = answer.results.add()
            _fill(result.model_spec, servable, name)
            if task.method_name == CLASSIFY:
                result.classification_result.CopyFrom(classification(outputs, rows))
            else:
                result.regression_result.CopyFrom(regression(outputs, rows))
        return answer

    def _resolve(self, request: views.ExamplesRequest) -> tuple[Servable, str]:
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        servable = resolve(self._models, request.model_spec)
        return servable, request.model_spec.signature_name or DEFAULT_SIGNATURE


def _fill(spec: tfs.ModelSpec, servable: Servable, signature: str) -> None:
    spec.name = servable.name
    spec.version.value = servable.version
    spec.signature_name = signature


def checked_signature(servable: Servable, name: str, method: str) -> ModelSignature:
    """A signature for CLASSIFY or REGRESS.

    Raises:
        StatusError: there is none of that name, or it is for something else.
    """
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    _check_method(servable, name, method)
    _check_outputs(signature, method)
    return signature


def _check_method(servable: Servable, name: str, wanted: str) -> None:
    """The original asks only where it is told to (--enable_signature_method_name_check)."""
    given = servable.method(name)
    if servable.checks_method_names and given != wanted:
        what = "classification" if wanted == CLASSIFY else "regression"
        raise invalid(f"Expected {what} signature method_name to be {wanted}. Was: {given}")


def _check_outputs(signature: ModelSignature, method: str) -> None:
    names = {tensor.name for tensor in signature.outputs}
    if method == REGRESS:
        if len(names) != 1:
            raise invalid("Expected one output Tensor.")
        if _OUTPUTS not in names:
            raise StatusError(Code.FAILED_PRECONDITION, f"No regression outputs found in SignatureDef: {sorted(names)}")
        return
    if len(names) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(names)}")
    if not names & {_CLASSES, _SCORES}:
        raise StatusError(
            Code.FAILED_PRECONDITION,
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}".'
            f" Signature was: {sorted(names)}",
        )


def _checked_tasks(servable: Servable, request: views.MultiInferenceRequest) -> dict[str, ModelSignature]:
    """The signature of each task, by name."""
    found: dict[str, ModelSignature] = {}
    for task in request.tasks:
        spec = task.model_spec
        if not spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if spec.name != request.tasks[0].model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name in found:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        signature = servable.signatures.get(name)
        if signature is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name not in (CLASSIFY, REGRESS):
            raise StatusError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        _check_method(servable, name, task.method_name)
        _check_outputs(signature, task.method_name)
        if any(one.inputs != signature.inputs for one in found.values()):
            raise invalid("Input tensor must be the same for all Signatures.")
        found[name] = signature
    return found


async def _compute(
    servable: Servable, name: str, signature: ModelSignature, request: views.Input, deadline: float | None
) -> tuple[Mapping[str, Array], int]:
    examples = serialized(request)
    inputs = arrays(examples, signature)
    return await servable.predict(name, inputs, deadline), len(examples)


def serialized(request: views.Input) -> list[bytes]:
    """Each tf.Example as bytes, the context's features before its own: protobuf merges what is written in a row."""
    kind = request.WhichOneof("kind")
    if kind == "example_list":
        examples = list(request.example_list.examples)
    elif kind == "example_list_with_context":
        listed = request.example_list_with_context
        examples = [listed.context + example for example in listed.examples]
    else:
        examples = []
    if not examples:
        raise invalid("Input is empty.")
    return examples


def arrays(examples: list[bytes], signature: ModelSignature) -> dict[str, Array]:
    """What a signature takes: the examples as they are, or a column for each feature.

    Raises:
        StatusError: bytes that are no example, a feature that is missing or does not fit.
    """
    if len(signature.inputs) == 1 and (signature.inputs[0].name, signature.inputs[0].dtype) == (_INPUTS, "string"):
        whole = np.empty(len(examples), object)
        whole[:] = examples
        return {_INPUTS: whole}
    read = [_read(example, index) for index, example in enumerate(examples)]
    return {tensor.name: _column(read, tensor) for tensor in signature.inputs}


def _read(example: bytes, index: int) -> tf.Example:
    try:
        parsed: tf.Example = tf.Example.FromString(example)
    except DecodeError:
        raise invalid(f"Could not parse example input, example {index}") from None
    return parsed


def _column(examples: list[tf.Example], tensor: Tensor) -> Array:
    row_shape = tensor.row_shape
    if row_shape is None:
        raise invalid(f'input "{tensor.name}" of shape {tensor.shape_text()} cannot be made of examples')
    rows = [_feature(example, tensor, index) for index, example in enumerate(examples)]
    size = int(np.prod(row_shape))
    for index, row in enumerate(rows):
        if len(row) != size:
            raise invalid(f"Key: {tensor.name}, Index: {index}. Number of values != expected: {len(row)} but {size}")
    dtype = BY_NAME[tensor.dtype].dtype
    return np.array(rows, dtype).reshape(len(rows), *row_shape)


def _feature(example: tf.Example, tensor: Tensor, index: int) -> list[bytes] | list[float] | list[int]:
    feature = example.features.feature.get(tensor.name)
    kind = feature.WhichOneof("kind") if feature is not None else None
    if feature is None or kind is None:
        raise invalid(f"Feature: {tensor.name} (data type: {tensor.dtype}) is required but could not be found.")
    wanted = "bytes_list" if tensor.dtype == "string" else "float_list" if "float" in tensor.dtype else "int64_list"
    if kind != wanted:
        raise invalid(f"Key: {tensor.name}, Index: {index}. Data types don't match: {kind} but {wanted}")
    return list(getattr(feature, kind).value)


def classification(outputs: Mapping[str, Array], rows: int) -> tfs.ClassificationResult:
    """Labels and scores, a list for each row. Where a model has no classes, labels are empty."""
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    for name, value, dtype in ((_CLASSES, classes, "string"), (_SCORES, scores, "float32")):
        if value is not None:
            _check_table(name, value, dtype, rows)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got"
            f" {classes.shape[1]} vs. {scores.shape[1]}"
        )  # fmt: skip
    width = next(value.shape[1] for value in (classes, scores) if value is not None)
    labels = [one.decode("utf-8", "replace") for one in tensors.as_bytes(classes)] if classes is not None else []
    numbers = scores.ravel().tolist() if scores is not None else []
    result = tfs.ClassificationResult()
    for row in range(rows):
        listed = result.classifications.add().classes
        for place in range(row * width, (row + 1) * width):
            listed.add(label=labels[place] if labels else "", score=numbers[place] if numbers else 0.0)
    return result


def _check_table(name: str, value: Array, dtype: str, rows: int) -> None:
    if value.ndim != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(value)}")
    given = "string" if value.dtype.kind == "O" else value.dtype.name
    if given != dtype:
        wanted = "DT_STRING" if dtype == "string" else "DT_FLOAT"
        raise invalid(f"Expected {name} Tensor of {wanted}. Got: {_type(value)}")
    if len(value) != rows:
        raise invalid(f"Expected {name} output batch size of {rows}. Got: {len(value)}")


def regression(outputs: Mapping[str, Array], rows: int) -> tfs.RegressionResult:
    """A number for each row."""
    value = outputs[_OUTPUTS]
    if not (value.ndim == 1 or (value.ndim == 2 and value.shape[1] == 1)):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(value)}"
        )
    if len(value) != rows:
        raise invalid(f"Input batch size did not match output batch size: {rows} vs. {len(value)}")
    if value.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_type(value)}")
    result = tfs.RegressionResult()
    for number in value.ravel().tolist():
        result.regressions.add(value=number)
    return result


def _shape(value: Array) -> str:
    return "[" + ",".join(map(str, value.shape)) + "]"


def _type(value: Array) -> str:
    number = BY_NAME[value.dtype.name].number
    name: str = tf.DESCRIPTOR.enum_types_by_name["DataType"].values_by_number[number].name
    return name
