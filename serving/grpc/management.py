"""TensorFlow Serving's ModelService: how versions fare, and which models to serve."""

from __future__ import annotations

from serving.grpc.prediction import invalid
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.interface import Code, ModelConfig, Models, StatusError


class Management:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def status(self, request: tfs.GetModelStatusRequest, _: float | None) -> tfs.GetModelStatusResponse:
        """Every version or the one that is asked for; a label is ignored, as the original does."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = request.model_spec
        known = self._models.statuses(spec.name)
        if not known:
            raise StatusError(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        if spec.HasField("version"):
            wanted = spec.version.value
            known = [one for one in known if one.version == wanted]
            if not known:
                raise StatusError(Code.NOT_FOUND, f"Could not find version {wanted} of model {spec.name}")
        answer = tfs.GetModelStatusResponse()
        for one in known:
            entry = answer.model_version_status.add()
            entry.version = one.version
            entry.state = tfs.ModelVersionStatus.State.Value(one.state)
            # Present where all is well too: clients read status.error_code of every version.
            entry.status.SetInParent()
            entry.status.error_code = int(one.code)
            entry.status.error_message = one.message
        return answer

    async def reload(self, request: tfs.ReloadConfigRequest, _: float | None) -> tfs.ReloadConfigResponse:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently"
                " supported"
            )
        await self._models.reload([model_config(one) for one in request.config.model_config_list.config])
        answer = tfs.ReloadConfigResponse()
        answer.status.SetInParent()
        return answer


def model_config(proto: tfs.ModelConfig) -> ModelConfig:
    """An entry of a ModelConfigList.

    Raises:
        StatusError: it names no model, or no version at all.
    """
    if not proto.name or not proto.base_path:
        raise invalid(f"Model with name {proto.name!r} and base_path {proto.base_path!r}: both are needed")
    policy = proto.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    latest: int | None = 1
    specific: tuple[int, ...] = ()
    if choice == "latest":
        latest = policy.latest.num_versions or 1
    elif choice is not None:
        latest = None
        specific = tuple(policy.specific.versions)
    if choice == "specific" and not specific:
        raise invalid(f"Model {proto.name}: a specific version policy that names no version")
    return ModelConfig(proto.name, proto.base_path, proto.model_platform, latest, specific, dict(proto.version_labels))
