"""TensorFlow Serving's Predict and GetModelMetadata, checks and messages in the order of the original:

https://github.com/tensorflow/serving/blob/master/tensorflow_serving/servables/tensorflow/predict_util.cc and
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/cc/saved_model/util.cc
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from serving.backends.base import Array
from serving.grpc import tensors
from serving.grpc.protos import tensorflow_pb2
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.grpc.protos import views_pb2 as views
from serving.grpc.tensors import TensorError
from serving.grpc.work import Work
from serving.interface import Code, Models, Servable, StatusError
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor


class Prediction:
    """Args:
    as_content: answers carry `tensor_content` rather than typed fields (`--enable_serialization_as_tensor_content`).
    """

    def __init__(self, models: Models, *, as_content: bool = False) -> None:
        self._models = models
        self._as_content = as_content

    async def predict(self, request: views.PredictRequest, deadline: float | None) -> views.PredictResponse:
        answer: views.PredictResponse = await self.prepare(request).done(deadline)
        return answer

    def prepare(self, request: views.PredictRequest) -> Work:
        """What a request asks to be computed.

        Raises:
            StatusError: nothing that the model takes.
        """
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        servable = resolve(self._models, request.model_spec)
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = servable.signatures.get(name)
        if signature is None:
            raise StatusError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        inputs = _inputs(request, signature, servable.defaults(name))
        wanted = _wanted(request.output_filter, signature)

        def answer(outputs: Mapping[str, Array]) -> views.PredictResponse:
            return self._answer(servable, name, {alias: outputs[alias] for alias in wanted} if wanted else outputs)

        return Work(servable, name, inputs, wanted, answer)

    def _answer(self, servable: Servable, signature: str, outputs: Mapping[str, Array]) -> views.PredictResponse:
        answer = views.PredictResponse()
        spec = answer.model_spec
        spec.name = servable.name
        spec.version.value = servable.version
        spec.signature_name = signature
        for alias, array in outputs.items():
            try:
                tensors.encode(array, answer.outputs[alias], as_content=self._as_content)
            except TensorError as error:
                raise StatusError(Code.INTERNAL, f"output {alias}: {error}") from error
        return answer

    async def metadata(
        self, request: tfs.GetModelMetadataRequest, deadline: float | None
    ) -> tfs.GetModelMetadataResponse:
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        servable = resolve(self._models, request.model_spec)
        answer = tfs.GetModelMetadataResponse()
        answer.model_spec.name = servable.name
        answer.model_spec.version.value = servable.version
        answer.metadata["signature_def"].Pack(_signature_map(servable))
        return answer


def invalid(message: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, message)


def resolve(models: Models, spec: views.ModelSpec | tfs.ModelSpec) -> Servable:
    """The version that a request names.

    Raises:
        StatusError: none, or an unknown one.
    """
    if not spec.name:
        raise invalid("ModelSpec has no name specified.")
    choice = spec.WhichOneof("version_choice")
    if choice is None:
        return models.resolve(spec.name)
    if choice == "version":
        return models.resolve(spec.name, version=spec.version.value)
    return models.resolve(spec.name, label=spec.version_label)


def _inputs(
    request: views.PredictRequest, signature: ModelSignature, defaults: Mapping[str, Array]
) -> dict[str, Array]:
    given = request.inputs
    wanted = signature.inputs
    if len(given) > len(wanted) or (len(given) < len(wanted) and not defaults):
        raise invalid(_wrong_number(set(given), {tensor.name for tensor in wanted}))
    inputs: dict[str, Array] = {}
    for tensor in wanted:
        if tensor.name in given:
            inputs[tensor.name] = _input(given[tensor.name], tensor)
        elif tensor.name in defaults:
            inputs[tensor.name] = defaults[tensor.name]
        else:
            raise invalid(
                f"Signature input alias: {tensor.name}(feed name: {tensor.name}) not found in request and no default"
                f" value provided. Inputs expected to be in the request {{{_joined(given)}}}, or default input alias"
                f" set: {_joined(defaults)}"
            )
    used = [name for name in given if name in inputs]
    if len(used) != len(given):
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {_joined(used)}, request input: {_joined(given)}"
        )
    return inputs


def _input(proto: views.Tensor, tensor: Tensor) -> Array:
    try:
        array = tensors.decode(proto)
    except TensorError as error:
        # The original ends after the name; why is ours.
        raise invalid(f"tensor parsing error: {tensor.name} ({error})") from error
    check(array, tensor)
    return array


def check(array: Array, tensor: Tensor) -> None:
    """
    Raises:
        StatusError: another type or shape than the model takes.
    """
    kind = tensors.kind_of(array.dtype)
    given = kind.name if kind is not None else array.dtype.name
    if given != tensor.dtype:
        raise invalid(f'input "{tensor.name}" is of type {given}, the model takes {tensor.dtype}')
    if not tensor.accepts(array.shape):
        shape = "[" + ",".join(map(str, array.shape)) + "]"
        raise invalid(f'input "{tensor.name}" has shape {shape}, the model takes {tensor.shape_text()}')


def _wrong_number(given: set[str], wanted: set[str]) -> str:
    return (
        f"input size does not match signature: {len(given)}!={len(wanted)} len({{{_joined(given)}}}) !="
        f" len({{{_joined(wanted)}}}). Sent extra: {{{_joined(given - wanted)}}}. Missing but required:"
        f" {{{_joined(wanted - given)}}}."
    )


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _wanted(output_filter: Collection[str], signature: ModelSignature) -> Sequence[str]:
    if not output_filter:
        return ()
    known = {tensor.name for tensor in signature.outputs}
    seen: list[str] = []
    for alias in output_filter:
        if alias not in known:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set"
                f" {{{_joined(known)}}}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.append(alias)
    return seen


def _signature_map(servable: Servable) -> tfs.SignatureDefMap:
    described = tfs.SignatureDefMap()
    for name, signature in servable.signatures.items():
        entry = described.signature_def[name]
        entry.method_name = servable.method(name)
        for tensor in signature.inputs:
            _describe(tensor, entry.inputs[tensor.name])
        for tensor in signature.outputs:
            _describe(tensor, entry.outputs[tensor.name])
        for alias, array in servable.defaults(name).items():
            view = views.Tensor()
            tensors.encode(array, view)
            entry.defaults[alias].ParseFromString(view.SerializeToString())
    return described


def _describe(tensor: Tensor, info: tensorflow_pb2.TensorInfo) -> None:
    info.name = tensor.name
    info.dtype = tensors.BY_NAME[tensor.dtype].number  # type: ignore[assignment]
    if tensor.shape is None:
        info.tensor_shape.unknown_rank = True
        return
    info.tensor_shape.SetInParent()
    for size in tensor.shape:
        info.tensor_shape.dim.add(size=-1 if size is None else size)
