"""The serving image on an endpoint of Vertex AI, which the SDK has no resource for: uploaded, deployed, and undeployed when it goes.

A dynamic provider. Its class holds nothing and stands in this module, so state keeps a reference to it; tokens are had in the provider's
process and reach no state. Nothing here was tried against Google."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra.gcp import vertex_bodies as bodies
from infra.local.dynamic import LocalProvider, own, told
from skylift.clouds.gcp import Client
from skylift.errors import ConflictError, NotFoundError

URL = "SKYLIFT_VERTEX_URL"
"""Environment variable: another server in place of Google's, for tests."""

_UPLOAD_S = 1800.0
_DEPLOY_S = 5400.0
OUTPUTS = ("model", "deployed_id", "address")


class DeploymentProvider(LocalProvider):
    """One deployed model. Whatever makes it another one (image, machine, service account, options) is deployed beside the old one,
    takes the traffic, and only then the old one goes; sizes, labels and the time of a request change in place.

    Ids are made from the inputs, so that an `up` after a broken one finds what was made and goes on.
    """

    @told
    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = [key for key in own(_news) if key not in OUTPUTS and _olds.get(key) != _news[key]]
        replaced = [key for key in changed if key not in bodies.IN_PLACE]
        return DiffResult(changes=bool(changed), replaces=replaced, delete_before_replace=False)

    @told
    def create(self, props: dict[str, Any]) -> CreateResult:
        api, wanted = _api(props), own(props)
        identifier = bodies.deployed_id(wanted)
        endpoint = api.get(props["endpoint"])
        model = _upload(api, wanted)
        if _deployed(endpoint, identifier) is None:
            _deploy(api, wanted, model)
        _set_timeout(api, wanted)
        outs = {**wanted, "model": model, "deployed_id": identifier, "address": _address(api.get(props["endpoint"]))}
        return CreateResult(f"{props['endpoint']}/deployedModels/{identifier}", outs)

    @told
    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What there is: nothing if it was undeployed, else its true sizes and service account."""
        endpoint, _, identifier = id_.partition("/deployedModels/")
        try:
            found = _api(props).get(endpoint)
        except NotFoundError:
            return ReadResult("", {})
        deployed = _deployed(found, identifier)
        if deployed is None:
            return ReadResult("", {})
        resources = deployed.get("dedicatedResources", {})
        now = {
            "min_replicas": float(resources.get("minReplicaCount", props["min_replicas"])),
            "max_replicas": float(resources.get("maxReplicaCount", props["max_replicas"])),
            "service_account": deployed.get("serviceAccount", ""),
            "address": _address(found),
        }
        return ReadResult(id_, {**own(props), **now})

    @told
    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        api, wanted = _api(_news), own(_news)
        identifier = _olds["deployed_id"]
        if any(_olds.get(key) != wanted[key] for key in bodies.SIZES):
            body = bodies.resize(wanted, identifier)
            api.wait(api.post(f"{wanted['endpoint']}:mutateDeployedModel", body), seconds=_DEPLOY_S)
        if _olds.get("labels") != wanted["labels"]:
            api.patch(f"{_olds['model']}?updateMask=labels", {"labels": wanted["labels"]})
        if _olds.get("request_seconds") != wanted["request_seconds"]:
            _set_timeout(api, wanted)
        return UpdateResult({**wanted, **{key: _olds[key] for key in OUTPUTS}})

    @told
    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        api = _api(_props)
        try:
            endpoint = api.get(_props["endpoint"])
        except NotFoundError:
            endpoint = {}
        if _deployed(endpoint, _props["deployed_id"]) is not None:
            body = bodies.undeploy(endpoint.get("trafficSplit", {}), _props["deployed_id"])
            api.wait(api.post(f"{_props['endpoint']}:undeployModel", body), seconds=_UPLOAD_S)
        _remove(api, _props["model"])


def _api(props: Mapping[str, Any]) -> Client:
    base = os.environ.get(URL) or f"https://{props['region']}-aiplatform.googleapis.com"
    return Client(f"{base.rstrip('/')}/v1", props["project"])


def _upload(api: Client, props: dict[str, Any]) -> str:
    parent = f"projects/{props['project']}/locations/{props['region']}"
    try:
        operation = api.post(f"{parent}/models:upload", bodies.upload(props))
    except ConflictError:  # an `up` before this one broke off after it
        return f"{parent}/models/{bodies.model_id(props)}"
    return str(api.wait(operation, seconds=_UPLOAD_S).get("model") or f"{parent}/models/{bodies.model_id(props)}")


def _deploy(api: Client, props: dict[str, Any], model: str) -> None:
    """A model that could not be deployed would be left behind: state does not know of it yet."""
    try:
        api.wait(api.post(f"{props['endpoint']}:deployModel", bodies.deploy(props, model)), seconds=_DEPLOY_S)
    except Exception:
        if _deployed(api.get(props["endpoint"]), bodies.deployed_id(props)) is None:
            _remove(api, model)
        raise


def _set_timeout(api: Client, props: dict[str, Any]) -> None:
    """Dedicated endpoints only: private ones have Google's own limit."""
    if props["dedicated"]:
        api.patch(f"{props['endpoint']}?updateMask=clientConnectionConfig", bodies.timeout(props))


def _remove(api: Client, model: str) -> None:
    try:
        api.wait(api.delete(model), seconds=_UPLOAD_S)
    except NotFoundError:
        return


def _deployed(endpoint: Mapping[str, Any], identifier: str) -> dict[str, Any] | None:
    return next((one for one in endpoint.get("deployedModels", []) if one["id"] == identifier), None)


def _address(endpoint: Mapping[str, Any]) -> str:
    """Of a private endpoint in the stack's network, once Google has put it there."""
    configs = endpoint.get("privateServiceConnectConfig", {}).get("pscAutomationConfigs", [])
    return next((str(one["ipAddress"]) for one in configs if one.get("ipAddress")), "")


class Deployment(Resource, module="gcp", name="VertexDeployment"):
    """One deployed model; see DeploymentProvider."""

    model: pulumi.Output[str]
    deployed_id: pulumi.Output[str]
    address: pulumi.Output[str]

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(DeploymentProvider(), name, {**inputs, **dict.fromkeys(OUTPUTS)}, opts)
