"""Computed outputs of simulated Google Cloud resources. Forms of identifiers are those that the provider's import pages show; values
are invented and not checked against a cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.clouds.world import MOMENT, Facts

_COLLECTIONS = {
    "Network": ("global", "networks"),
    "Subnetwork": ("region", "subnetworks"),
    "Router": ("region", "routers"),
    "Firewall": ("global", "firewalls"),
    "Instance": ("zone", "instances"),
    "InstanceTemplate": ("global", "instanceTemplates"),
    "RegionInstanceTemplate": ("region", "instanceTemplates"),
    "HealthCheck": ("global", "healthChecks"),
    "RegionHealthCheck": ("region", "healthChecks"),
    "RegionInstanceGroupManager": ("region", "instanceGroupManagers"),
    "RegionAutoscaler": ("region", "autoscalers"),
    "RegionBackendService": ("region", "backendServices"),
    "ForwardingRule": ("region", "forwardingRules"),
    "GlobalForwardingRule": ("global", "forwardingRules"),
    "Address": ("region", "addresses"),
    "GlobalAddress": ("global", "addresses"),
    "RegionUrlMap": ("region", "urlMaps"),
    "RegionTargetHttpsProxy": ("region", "targetHttpsProxies"),
    "RegionTargetHttpProxy": ("region", "targetHttpProxies"),
    "RegionSslCertificate": ("region", "sslCertificates"),
    "ResourcePolicy": ("region", "resourcePolicies"),
}
"""Of Compute Engine the scope and the collection in a resource's path."""

_PATHS = {
    "gcp:artifactregistry/repository:Repository": "projects/{p}/locations/{l}/repositories/{repositoryId}",
    "gcp:container/cluster:Cluster": "projects/{p}/locations/{l}/clusters/{n}",
    "gcp:container/nodePool:NodePool": "projects/{p}/locations/{l}/clusters/{cluster}/nodePools/{n}",
    "gcp:vertex/aiEndpoint:AiEndpoint": "projects/{p}/locations/{l}/endpoints/{n}",
    "gcp:secretmanager/secret:Secret": "projects/{p}/secrets/{secretId}",
    "gcp:secretmanager/secretVersion:SecretVersion": "{secret}/versions/1",
    "gcp:kms/keyRing:KeyRing": "projects/{p}/locations/{l}/keyRings/{n}",
    "gcp:kms/cryptoKey:CryptoKey": "{keyRing}/cryptoKeys/{n}",
    "gcp:cloudfunctionsv2/function:Function": "projects/{p}/locations/{l}/functions/{n}",
    "gcp:cloudrunv2/job:Job": "projects/{p}/locations/{l}/jobs/{n}",
    "gcp:cloudrunv2/service:Service": "projects/{p}/locations/{l}/services/{n}",
    "gcp:cloudscheduler/job:Job": "projects/{p}/locations/{l}/jobs/{n}",
    "gcp:workflows/workflow:Workflow": "projects/{p}/locations/{l}/workflows/{n}",
    "gcp:monitoring/alertPolicy:AlertPolicy": "projects/{p}/alertPolicies/{d}",
    "gcp:monitoring/notificationChannel:NotificationChannel": "projects/{p}/notificationChannels/{d}",
    "gcp:vertex/aiTensorboard:AiTensorboard": "projects/{p}/locations/{l}/tensorboards/{d}",
    "gcp:billing/budget:Budget": "billingAccounts/{billingAccount}/budgets/{u}",
    "gcp:pubsub/topic:Topic": "projects/{p}/topics/{n}",
    "gcp:projects/iAMCustomRole:IAMCustomRole": "projects/{p}/roles/{roleId}",
    "gcp:projects/iAMAuditConfig:IAMAuditConfig": "projects/{p}/{service}",
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": "projects/{p}/locations/{l}/buckets/{bucketId}",
    "gcp:logging/projectSink:ProjectSink": "projects/{p}/sinks/{n}",
    "gcp:projects/service:Service": "{p}/{service}",
    "gcp:dns/managedZone:ManagedZone": "projects/{p}/managedZones/{n}",
}

_NAME_IS_PATH = frozenset(
    {
        "gcp:secretmanager/secret:Secret",
        "gcp:secretmanager/secretVersion:SecretVersion",
        "gcp:monitoring/alertPolicy:AlertPolicy",
        "gcp:monitoring/notificationChannel:NotificationChannel",
        "gcp:vertex/aiTensorboard:AiTensorboard",
        "gcp:projects/iAMCustomRole:IAMCustomRole",
        "gcp:logging/projectBucketConfig:ProjectBucketConfig",
    }
)


def shape(facts: Facts) -> tuple[str, dict[str, Any]]:
    identifier = _path(facts)
    told: dict[str, Any] = {}
    if facts.token in _NAME_IS_PATH:
        told["name"] = identifier
    if facts.token.startswith("gcp:compute/"):
        told |= {"selfLink": f"https://www.googleapis.com/compute/v1/{identifier}", "creationTimestamp": MOMENT}
    if facts.token.split(":")[1].lower().endswith("iammember"):
        told["etag"] = "BwY" + facts.hex(8)
        where = next(
            (str(facts.inputs[key]) for key in _WHERE if isinstance(facts.inputs.get(key), str)), project(facts)
        )
        condition = facts.get("condition", {}).get("title")
        parts = [where, str(facts.get("role")), str(facts.get("member")), *([str(condition)] if condition else [])]
        identifier = "/".join(parts)
    special = _SPECIAL.get(facts.token)
    if special:
        told |= special(facts)
    told.setdefault("project", project(facts))
    return str(told.pop("id", identifier)), told


_WHERE = (
    "bucket",
    "repository",
    "serviceAccountId",
    "secretId",
    "cryptoKeyId",
    "endpoint",
    "instance",
    "topic",
    "project",
)


def project(facts: Facts) -> str:
    return str(facts.get("project", facts.world.project))


def place(facts: Facts) -> str:
    found = facts.get("region") or facts.get("location") or facts.get("zone") or facts.world.google_region
    return str(found).rpartition("/")[2]


def _path(facts: Facts) -> str:
    kind = facts.token.rpartition(":")[2]
    if facts.token.startswith("gcp:compute/") and kind in _COLLECTIONS:
        scope, collection = _COLLECTIONS[kind]
        where = {"global": "global", "region": f"regions/{place(facts)}", "zone": f"zones/{place(facts)}"}[scope]
        return f"projects/{project(facts)}/{where}/{collection}/{facts.name}"
    form = _PATHS.get(facts.token, "projects/{p}/locations/{l}/{k}/{n}")
    words = {key: value for key, value in facts.inputs.items() if isinstance(value, str)}
    words |= {"p": project(facts), "l": place(facts), "n": facts.name, "d": facts.number(19), "u": facts.uuid()}
    words["k"] = f"{kind[0].lower()}{kind[1:]}s"
    return form.format_map(_Forgiving(words))


class _Forgiving(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _account(facts: Facts) -> dict[str, Any]:
    email = f"{facts.get('accountId')}@{project(facts)}.iam.gserviceaccount.com"
    path = f"projects/{project(facts)}/serviceAccounts/{email}"
    return {"id": path, "name": path, "email": email, "member": f"serviceAccount:{email}", "uniqueId": facts.number(21)}


def _cluster(facts: Facts) -> dict[str, Any]:
    unique = facts.hex(32)
    told: dict[str, Any] = {
        "endpoint": "172.16.0.2",
        "masterVersion": "1.33.5-gke.1000",
        "servicesIpv4Cidr": "10.52.0.0/20",
        "selfLink": f"https://container.googleapis.com/v1/{_path(facts)}",
        "masterAuth": {
            "clusterCaCertificate": "c2ltdWxhdGVkIGNlcnRpZmljYXRl",
            "clientCertificate": "",
            "clientKey": "",
        },
    }
    dns = facts.get("controlPlaneEndpointsConfig", {}).get("dnsEndpointConfig", {})
    told["controlPlaneEndpointsConfig"] = {
        **facts.get("controlPlaneEndpointsConfig", {}),
        "dnsEndpointConfig": {**dns, "endpoint": f"gke-{unique}-{facts.world.project_number}.{place(facts)}.gke.goog"},
    }
    return told


_SPECIAL: dict[str, Callable[[Facts], dict[str, Any]]] = {
    "gcp:serviceaccount/account:Account": _account,
    "gcp:container/cluster:Cluster": _cluster,
    "gcp:storage/bucket:Bucket": lambda facts: {
        "id": facts.name,
        "url": f"gs://{facts.name}",
        "selfLink": f"https://www.googleapis.com/storage/v1/b/{facts.name}",
        "projectNumber": int(facts.world.project_number),
    },
    "gcp:storage/bucketObject:BucketObject": lambda facts: {
        "id": f"{facts.get('bucket')}-{facts.name}",
        "outputName": facts.name,
        "selfLink": f"https://www.googleapis.com/storage/v1/b/{facts.get('bucket')}/o/{facts.name}",
        "generation": int(facts.number(15)),
    },
    "gcp:artifactregistry/repository:Repository": lambda facts: {
        "name": facts.get("repositoryId"),
        "registryUri": f"{place(facts)}-docker.pkg.dev/{project(facts)}/{facts.get('repositoryId')}",
    },
    "gcp:compute/network:Network": lambda facts: {"networkId": facts.number(19), "numericId": facts.number(19)},
    "gcp:compute/subnetwork:Subnetwork": lambda facts: {"gatewayAddress": "10.0.0.1", "region": place(facts)},
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": lambda facts: {"region": place(facts)},
    "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager": lambda facts: {
        "instanceGroup": "https://www.googleapis.com/compute/v1/"
        f"projects/{project(facts)}/regions/{place(facts)}/instanceGroups/{facts.name}",
    },
    "gcp:compute/address:Address": lambda facts: {"address": facts.get("address", "10.0.0.5")},
    "gcp:compute/forwardingRule:ForwardingRule": lambda facts: {"ipAddress": facts.get("ipAddress", "10.0.0.5")},
    "gcp:vertex/aiEndpoint:AiEndpoint": lambda facts: {
        "dedicatedEndpointDns": f"{facts.name}.{place(facts)}-{facts.world.project_number}.prediction.vertexai.goog"
        if facts.get("dedicatedEndpointEnabled", False)
        else "",
        "deployedModels": [],
    },
    "gcp:logging/projectSink:ProjectSink": lambda facts: {
        "writerIdentity": f"serviceAccount:service-{facts.world.project_number}@gcp-sa-logging.iam.gserviceaccount.com",
    },
    "gcp:projects/serviceIdentity:ServiceIdentity": lambda facts: _agent(facts),
    "gcp:billing/budget:Budget": lambda facts: {"name": facts.uuid()},
    "gcp:cloudfunctionsv2/function:Function": lambda facts: {
        "url": f"https://{place(facts)}-{project(facts)}.cloudfunctions.net/{facts.name}",
        "state": "ACTIVE",
    },
    "gcp:cloudrunv2/service:Service": lambda facts: {"uri": f"https://{facts.name}-{facts.hex(10)}-uc.a.run.app"},
}


def _agent(facts: Facts) -> dict[str, Any]:
    service = str(facts.get("service")).split(".")[0]
    email = f"service-{facts.world.project_number}@gcp-sa-{service}.iam.gserviceaccount.com"
    return {"email": email, "member": f"serviceAccount:{email}"}
