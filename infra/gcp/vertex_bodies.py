"""What Vertex AI is asked for one deployment, as its REST interface names it. Pure.

https://cloud.google.com/vertex-ai/docs/reference/rest; tests hold the bodies against Google's own description of aiplatform v1."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CPU = "aiplatform.googleapis.com/prediction/online/cpu/utilization"
SIZES = ("min_replicas", "max_replicas", "scale_at_cpu")
"""Inputs that a deployed model takes in place; with `labels` and `request_seconds` all that does not redeploy."""

IN_PLACE = (*SIZES, "labels", "request_seconds")
MASK = ",".join(
    f"dedicatedResources.{field}" for field in ("minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs")
)
_HEALTH = "/readyz"
_PREDICT = "/predict"
_DEPLOY_LIMIT = "3600s"


def mark(props: Mapping[str, Any]) -> str:
    """Digest of all that makes a deployment another one. Ids are made of it, so that what broke off is found again."""
    parts = {key: value for key, value in props.items() if key not in IN_PLACE}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def model_id(props: Mapping[str, Any]) -> str:
    """Up to 63 of a-z 0-9 _ -, no digit first."""
    return f"{str(props['display_name'])[:46].rstrip('-')}-{mark(props)[:12]}"


def deployed_id(props: Mapping[str, Any]) -> str:
    """One to ten digits."""
    return str(10**9 + int(mark(props), 16) % (9 * 10**9))


def upload(props: Mapping[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = {
        "displayName": props["display_name"],
        "labels": dict(props["labels"]),
        "containerSpec": {
            "imageUri": props["image"],
            "args": list(props["args"]),
            "env": [{"name": name, "value": value} for name, value in sorted(props["env"].items())],
            "ports": [{"containerPort": int(props["port"])}],
            "healthRoute": _HEALTH,
            "predictRoute": _PREDICT,
            "deploymentTimeout": _DEPLOY_LIMIT,
            "sharedMemorySizeMb": "1024",
        },
    }
    if props["key"]:
        model["encryptionSpec"] = {"kmsKeyName": props["key"]}
    return {"model": model, "modelId": model_id(props)}


def deploy(props: Mapping[str, Any], model: str) -> dict[str, Any]:
    """All traffic goes to the new one, which Google calls 0 until it has its id, as soon as it answers."""
    machine: dict[str, Any] = {"machineType": props["machine"]}
    if props["accelerator"]:
        machine |= {"acceleratorType": props["accelerator"], "acceleratorCount": int(props["accelerators"])}
    return {
        "deployedModel": {
            "id": deployed_id(props),
            "model": model,
            "displayName": props["display_name"],
            "serviceAccount": props["service_account"],
            "dedicatedResources": {"machineSpec": machine, **_sizes(props)},
        },
        "trafficSplit": {"0": 100},
    }


def resize(props: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    return {"deployedModel": {"id": identifier, "dedicatedResources": _sizes(props)}, "updateMask": MASK}


def undeploy(split: Mapping[str, int], identifier: str) -> dict[str, Any]:
    """What the deployment had of the traffic goes to another one of the endpoint; Google refuses to take away one that has any."""
    rest = {other: int(share) for other, share in split.items() if other != identifier}
    if rest and sum(rest.values()) < 100:
        last = max(rest, key=lambda other: rest[other])
        rest[last] += 100 - sum(rest.values())
    return {"deployedModelId": identifier} | ({"trafficSplit": rest} if rest else {})


def timeout(props: Mapping[str, Any]) -> dict[str, Any]:
    return {"clientConnectionConfig": {"inferenceTimeout": f"{float(props['request_seconds']):g}s"}}


def _sizes(props: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "minReplicaCount": int(props["min_replicas"]),
        "maxReplicaCount": int(props["max_replicas"]),
        "autoscalingMetricSpecs": [{"metricName": CPU, "target": int(props["scale_at_cpu"])}],
    }
