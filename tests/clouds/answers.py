"""What simulated clouds answer to a program's questions (invokes). A question that nobody here knows fails and names itself."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.clouds.world import World, digest

Question = Callable[[Mapping[str, Any], World], dict[str, Any]]


class UnansweredError(AssertionError):
    """No answer is known."""


def answer(token: str, arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    """The answer by wire names.

    Raises:
        UnansweredError: naming the token and how to give an answer.
    """
    known = _KNOWN.get(token)
    if known is None:
        raise UnansweredError(
            f"simulated cloud: nobody answers {token}({dict(arguments)}): give `answers={{{token!r}: {{…}}}}`"
        )
    return known(arguments, world)


def zones(region: str) -> list[str]:
    return [f"{region}{letter}" for letter in "abc"]


def _place(arguments: Mapping[str, Any], world: World) -> str:
    return str(arguments.get("region") or world.region)


def _image(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    mark = digest(str(sorted(arguments.items(), key=str)))[:17]
    return {
        "id": f"ami-{mark}",
        "imageId": f"ami-{mark}",
        "architecture": "x86_64",
        "name": "simulated-image-2026.01.02",
        "rootDeviceName": "/dev/xvda",
        "creationDate": "2026-01-02T03:04:05Z",
    }


def _parameter(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    name = str(arguments["name"])
    mark = digest(name)[:17]
    is_image = "ami" in name or "image" in name
    arn = f"arn:aws:ssm:{_place(arguments, world)}::parameter{name}"
    value = f"ami-{mark}" if is_image else f"simulated-{mark}"
    return {
        "id": name,
        "name": name,
        "arn": arn,
        "type": "String",
        "value": value,
        "insecureValue": value,
        "version": 1,
    }


def _offerings(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    wanted = [
        value for one in arguments.get("filters") or () if one["name"] == "instance-type" for value in one["values"]
    ]
    places = (
        zones(_place(arguments, world)) if "zone" in str(arguments.get("locationType")) else [_place(arguments, world)]
    )
    pairs = [(kind, place) for kind in wanted or ["m7i.large"] for place in places]
    return {
        "id": "offerings",
        "instanceTypes": [kind for kind, _ in pairs],
        "locations": [place for _, place in pairs],
        "locationTypes": [str(arguments.get("locationType", "region"))] * len(pairs),
    }


def _quota(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    service, code = str(arguments["serviceCode"]), str(arguments.get("quotaCode", ""))
    return {
        "id": f"{service}/{code}",
        "serviceCode": service,
        "quotaCode": code,
        "quotaName": arguments.get("quotaName", code),
        "value": 1000.0,
        "defaultValue": 0.0,
        "adjustable": True,
        "globalQuota": False,
    }


def _regional(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    place = _place(arguments, world)
    return {
        "id": place,
        "region": place,
        "name": place,
        "description": f"simulated {place}",
        "endpoint": f"ec2.{place}.amazonaws.com",
    }


def _google_image(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    family, project = (
        str(arguments.get("family") or arguments.get("name")),
        str(arguments.get("project") or world.project),
    )
    path = f"projects/{project}/global/images/{family}-v20260102"
    return {
        "id": path,
        "name": f"{family}-v20260102",
        "family": family,
        "project": project,
        "selfLink": f"https://www.googleapis.com/compute/v1/{path}",
        "diskSizeGb": 50,
    }


def kubeconfigs(host: str) -> dict[str, Any]:
    """What AKS gives a user: a kubeconfig without any secret, whose plugin signs in."""
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": f"https://{host}:443", "certificate-authority-data": "c2ltdWxhdGVk"}}
        ],
        "users": [
            {
                "name": "u",
                "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin"}},
            }
        ],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    value = base64.b64encode(json.dumps(text).encode()).decode()
    return {"kubeconfigs": [{"name": "clusterUser", "value": value}]}


def _google_machines(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    """Every machine type that the filter names is sold in every zone."""
    zone = str(arguments["zone"])
    named = re.findall(r'name = "([^"]+)"', str(arguments.get("filter", "")))
    link = f"https://www.googleapis.com/compute/v1/projects/{world.project}/zones/{zone}/machineTypes"
    return {
        "id": zone,
        "zone": zone,
        "project": world.project,
        "machineTypes": [
            {
                "name": name,
                "description": "simulated",
                "guestCpus": 4,
                "memoryMb": 16384,
                "accelerators": [],
                "bundledLocalSsds": [],
                "deprecateds": [],
                "isSharedCpus": False,
                "maximumPersistentDisks": 128,
                "maximumPersistentDisksSizeGb": 263168,
                "architecture": "X86_64",
                "selfLink": f"{link}/{name}",
            }
            for name in named
        ],
    }


def _google_quota(arguments: Mapping[str, Any], world: World) -> dict[str, Any]:
    region = world.google_region
    detail = {"applicableLocations": [region], "dimensions": {"region": region}, "details": [{"value": "1000"}]}
    return {
        "id": f"{arguments['parent']}/{arguments['quotaId']}",
        "quotaId": arguments["quotaId"],
        "service": arguments["service"],
        "parent": arguments["parent"],
        "dimensions": ["region"],
        "dimensionsInfos": [detail],
    }


_KNOWN: dict[str, Question] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda arguments, world: {
        "accountId": world.account,
        "arn": f"arn:aws:iam::{world.account}:user/simulated",
        "id": world.account,
        "userId": "AIDASIMULATED",
    },
    "aws:index/getPartition:getPartition": lambda arguments, world: {
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "id": "aws",
        "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:index/getRegion:getRegion": _regional,
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda arguments, world: {
        "id": _place(arguments, world),
        "names": zones(_place(arguments, world)),
        "zoneIds": [f"use1-az{at}" for at in (1, 2, 3)],
        "groupNames": [_place(arguments, world)],
        "region": _place(arguments, world),
    },
    "aws:ec2/getAmi:getAmi": _image,
    "aws:ssm/getParameter:getParameter": _parameter,
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": _offerings,
    "aws:servicequotas/getServiceQuota:getServiceQuota": _quota,
    "aws:ec2/getPrefixList:getPrefixList": lambda arguments, world: {
        "id": "pl-63a5400a",
        "prefixListId": "pl-63a5400a",
        "name": arguments.get("name") or f"com.amazonaws.{_place(arguments, world)}.s3",
        "cidrBlocks": ["54.231.0.0/16"],
    },
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": lambda arguments, world: {
        "id": "pl-63a5400a",
        "name": arguments.get("name") or f"com.amazonaws.{_place(arguments, world)}.s3",
        "arn": f"arn:aws:ec2:{_place(arguments, world)}:aws:prefix-list/pl-63a5400a",
        "entries": [],
    },
    "gcp:organizations/getClientConfig:getClientConfig": lambda arguments, world: {
        "project": world.project,
        "region": world.google_region,
        "zone": f"{world.google_region}-a",
        "accessToken": "simulated-token",
        "id": f"projects/{world.project}/regions/{world.google_region}",
        "defaultLabels": {},
    },
    "gcp:organizations/getProject:getProject": lambda arguments, world: {
        "projectId": arguments.get("projectId") or world.project,
        "number": world.project_number,
        "name": world.project,
        "id": f"projects/{world.project}",
        "billingAccount": "000000-AAAAAA-BBBBBB",
        "labels": {},
    },
    "gcp:compute/getImage:getImage": _google_image,
    "gcp:compute/getMachineTypes:getMachineTypes": _google_machines,
    "gcp:cloudquota/getSQuotaInfo:getSQuotaInfo": _google_quota,
    "gcp:compute/getZones:getZones": lambda arguments, world: {
        "id": "zones",
        "names": [f"{arguments.get('region') or world.google_region}-{letter}" for letter in "abc"],
        "project": world.project,
    },
    "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": lambda arguments, world: {
        "emailAddress": f"service-{world.project_number}@gs-project-accounts.iam.gserviceaccount.com",
        "member": f"serviceAccount:service-{world.project_number}@gs-project-accounts.iam.gserviceaccount.com",
        "id": f"service-{world.project_number}@gs-project-accounts.iam.gserviceaccount.com",
        "project": world.project,
    },
    "azure-native:containerservice:listManagedClusterUserCredentials": lambda arguments, world: kubeconfigs(
        f"{arguments['resourceName']}.hcp.{world.location}.azmk8s.io"
    ),
    "azure-native:authorization:getClientConfig": lambda arguments, world: {
        "clientId": "99999999-0000-0000-0000-000000000001",
        "objectId": "99999999-0000-0000-0000-000000000002",
        "subscriptionId": world.subscription,
        "tenantId": world.tenant,
    },
    "azure-native:authorization:getClientToken": lambda arguments, world: {"token": "simulated-token"},
}
