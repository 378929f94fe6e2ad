"""Open Inference Protocol v2 over gRPC, with Triton's repository and statistics."""

from __future__ import annotations

from collections.abc import Mapping

from serving.backends.base import Array
from serving.grpc import contents, tensors
from serving.grpc.prediction import invalid
from serving.grpc.protos import inference_pb2 as v2
from serving.grpc.protos import views_pb2 as views
from serving.grpc.tensors import TensorError
from serving.grpc.work import Work
from serving.interface import Code, Duration, Models, Servable, Statistics, StatusError
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor

EXTENSIONS = ("model_repository", "statistics", "binary_tensor_data")
SIGNATURE_PARAMETER = "signature_name"
"""A parameter of a request, an addition: which signature computes."""

_STATES = {"START": "LOADING", "LOADING": "LOADING", "AVAILABLE": "READY", "UNLOADING": "UNLOADING"}


class Inference:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def live(self, _: v2.ServerLiveRequest, __: float | None) -> v2.ServerLiveResponse:
        return v2.ServerLiveResponse(live=self._models.is_live)

    async def ready(self, _: v2.ServerReadyRequest, __: float | None) -> v2.ServerReadyResponse:
        return v2.ServerReadyResponse(ready=self._models.is_ready)

    async def model_ready(self, request: v2.ModelReadyRequest, _: float | None) -> v2.ModelReadyResponse:
        try:
            self._resolve(request.name, request.version)
        except StatusError as error:
            if error.code not in (Code.NOT_FOUND, Code.UNAVAILABLE):
                raise
            return v2.ModelReadyResponse(ready=False)
        return v2.ModelReadyResponse(ready=True)

    async def server_metadata(self, _: v2.ServerMetadataRequest, __: float | None) -> v2.ServerMetadataResponse:
        return v2.ServerMetadataResponse(
            name="skylift", version=self._models.server_version, extensions=list(EXTENSIONS)
        )

    async def model_metadata(self, request: v2.ModelMetadataRequest, _: float | None) -> v2.ModelMetadataResponse:
        servable = self._resolve(request.name, request.version)
        answer = v2.ModelMetadataResponse(name=servable.name, platform=servable.platform)
        known = self._models.statuses(servable.name)
        answer.versions.extend(str(one.version) for one in known if one.state == "AVAILABLE")
        signatures = servable.signatures
        signature = signatures.get(DEFAULT_SIGNATURE) or next(iter(signatures.values()))
        for described, told in ((signature.inputs, answer.inputs), (signature.outputs, answer.outputs)):
            for tensor in described:
                told.add(name=tensor.name, datatype=contents.BY_DTYPE[tensor.dtype].name, shape=_shape(tensor))
        return answer

    async def infer(self, request: views.ModelInferRequest, deadline: float | None) -> views.ModelInferResponse:
        answer: views.ModelInferResponse = await self.prepare(request).done(deadline)
        return answer

    def prepare(self, request: views.ModelInferRequest) -> Work:
        """What a request asks to be computed.

        Raises:
            StatusError: nothing that the model takes.
        """
        servable = self._resolve(request.model_name, request.model_version)
        name = request.parameters[SIGNATURE_PARAMETER].string_param if request.parameters else ""
        name = name or DEFAULT_SIGNATURE
        signature = servable.signatures.get(name)
        if signature is None:
            raise invalid(f"model '{servable.name}' has no signature '{name}', only {', '.join(servable.signatures)}")
        inputs = _inputs(request, servable, signature, servable.defaults(name))
        wanted = _wanted(request, servable, signature)

        def answer(outputs: Mapping[str, Array]) -> views.ModelInferResponse:
            chosen = {output: outputs[output] for output in wanted} if wanted else outputs
            return _answer(request, servable, chosen)

        return Work(servable, name, inputs, wanted, answer)

    def _resolve(self, name: str, version: str) -> Servable:
        return self._models.resolve(name, _version(version))

    # the repository

    async def index(self, request: v2.RepositoryIndexRequest, _: float | None) -> v2.RepositoryIndexResponse:
        _check_repository(request.repository_name)
        answer = v2.RepositoryIndexResponse()
        for name in self._models.names():
            for one in self._models.statuses(name):
                state = _STATES.get(one.state, "UNAVAILABLE")
                if state == "READY" or not request.ready:
                    answer.models.add(name=name, version=str(one.version), state=state, reason=one.message)
        return answer

    async def load(self, request: v2.RepositoryModelLoadRequest, _: float | None) -> v2.RepositoryModelLoadResponse:
        _check_repository(request.repository_name)
        for parameter in sorted(request.parameters):
            raise invalid(f"parameter '{parameter}' is not supported: a model is loaded as its files say")
        await self._models.load(request.model_name)
        return v2.RepositoryModelLoadResponse()

    async def unload(
        self, request: v2.RepositoryModelUnloadRequest, _: float | None
    ) -> v2.RepositoryModelUnloadResponse:
        """`unload_dependents` is taken and means nothing: no model depends on another here."""
        _check_repository(request.repository_name)
        for parameter in sorted(set(request.parameters) - {"unload_dependents"}):
            raise invalid(f"parameter '{parameter}' is not supported")
        await self._models.unload(request.model_name)
        return v2.RepositoryModelUnloadResponse()

    async def statistics(self, request: v2.ModelStatisticsRequest, _: float | None) -> v2.ModelStatisticsResponse:
        answer = v2.ModelStatisticsResponse()
        for one in self._models.statistics(request.name, _version(request.version)):
            _tell(one, answer.model_stats.add())
        return answer


def _version(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise invalid(f"failed to get model version from specified version string '{text[:40]}': it is no integer")
    return int(text)


def _check_repository(name: str) -> None:
    if name:
        raise invalid("'repository_name' specification is not supported: there is one repository")


def _shape(tensor: Tensor) -> list[int]:
    return [-1 if size is None else size for size in tensor.shape or ()]


def _inputs(
    request: views.ModelInferRequest, servable: Servable, signature: ModelSignature, defaults: Mapping[str, Array]
) -> dict[str, Array]:
    known = {tensor.name: tensor for tensor in signature.inputs}
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise invalid(f"expected {len(request.inputs)} raw inputs, got {len(raw)} for model '{servable.name}'")
    inputs = dict(defaults)
    seen: set[str] = set()
    for index, given in enumerate(request.inputs):
        tensor = known.get(given.name)
        if tensor is None:
            raise invalid(f"unexpected inference input '{given.name}' for model '{servable.name}'")
        if given.name in seen:
            raise invalid(f"input '{given.name}' is given twice for model '{servable.name}'")
        seen.add(given.name)
        inputs[given.name] = _input(given, raw[index] if raw else None, tensor, servable.name)
    missing = [name for name in known if name not in inputs]
    if missing:
        raise invalid(
            f"expected {len(known)} inputs but got {len(request.inputs)} inputs for model '{servable.name}'."
            f" Missing: {', '.join(missing)}"
        )
    return inputs


def _input(given: views.InferTensor, raw: bytes | None, tensor: Tensor, model: str) -> Array:
    datatype = contents.BY_NAME.get(given.datatype)
    wanted = contents.BY_DTYPE[tensor.dtype]
    if datatype is not wanted:
        raise invalid(
            f"inference input '{given.name}' data-type is '{given.datatype}', but model '{model}' expects '{wanted.name}'"
        )
    shape = tuple(given.shape)
    if not tensor.accepts(shape):
        raise invalid(
            f"unexpected shape for input '{given.name}' for model '{model}'. Expected {_shape(tensor)}, got {list(shape)}"
        )
    try:
        tensors.check_shape(shape)
        if raw is None:
            return contents.from_contents(given.contents, wanted, shape)
        if given.HasField("contents"):
            raise TensorError("contents field must not be specified when using raw_input_contents")
        return contents.from_raw(raw, wanted, shape)
    except TensorError as error:
        raise invalid(f"input '{given.name}' for model '{model}': {error}") from error


def _wanted(request: views.ModelInferRequest, servable: Servable, signature: ModelSignature) -> list[str]:
    known = {tensor.name for tensor in signature.outputs}
    wanted = [output.name for output in request.outputs]
    for name in wanted:
        if name not in known:
            raise invalid(f"unexpected inference output '{name}' for model '{servable.name}'")
    return list(dict.fromkeys(wanted))


def _answer(
    request: views.ModelInferRequest, servable: Servable, outputs: Mapping[str, Array]
) -> views.ModelInferResponse:
    """Raw as the request was, or where a type has no contents; then all outputs are, as the protocol has it."""
    answer = views.ModelInferResponse(
        model_name=servable.name, model_version=str(servable.version), id=request.id
    )  # fmt: skip
    unknown = [name for name, array in outputs.items() if array.dtype.name not in contents.BY_DTYPE]
    if unknown:
        raise StatusError(Code.INTERNAL, f"output {unknown[0]} is of a type that the protocol does not have")
    kinds = {name: contents.BY_DTYPE[array.dtype.name] for name, array in outputs.items()}
    is_raw = bool(request.raw_input_contents) or not request.inputs or any(not kind.field for kind in kinds.values())
    for name, array in outputs.items():
        told = answer.outputs.add(name=name, datatype=kinds[name].name, shape=array.shape)
        if is_raw:
            answer.raw_output_contents.append(contents.to_raw(array))
        else:
            contents.to_contents(array, told.contents)
    return answer


def _tell(one: Statistics, told: v2.ModelStatistics) -> None:
    told.name = one.name
    told.version = str(one.version)
    told.last_inference = one.last_inference
    told.inference_count = one.rows
    told.execution_count = one.batches
    stats = told.inference_stats
    for target, duration in (
        (stats.success, one.success),
        (stats.fail, one.fail),
        (stats.queue, one.queue),
        (stats.compute_input, one.parse),
        (stats.compute_infer, one.run),
        (stats.compute_output, one.write),
    ):
        _fill(target, duration)
    for batch in one.by_batch_size:
        entry = told.batch_stats.add(batch_size=batch.size)
        _fill(entry.compute_infer, batch.run)


def _fill(target: v2.StatisticDuration, duration: Duration) -> None:
    target.count = duration.count
    target.ns = duration.ns
