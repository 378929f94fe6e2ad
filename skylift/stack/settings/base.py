"""What the sections of the settings are made of."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

PROJECT = "skylift"
Target = Literal["local", "gce", "gke", "vertex", "ec2", "eks", "sagemaker", "azure-vm", "aks", "azureml"]
Accelerator = Literal["cpu", "T4", "L4", "A10G", "A100", "A100-80GB", "H100", "H200", "V100"]
NAME_PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Strict(BaseModel):
    """No unknown keys, no silent conversions, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _bucket_url(value: str) -> str:
    if not value.startswith(("file:///", "s3://", "gs://", "az://")):
        raise ValueError("must be a URL: file:///folder, s3://bucket, gs://bucket or az://account/container")
    return value.rstrip("/")


def _cidr(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("must be a range of addresses such as 10.64.0.0/16, without bits behind the mask") from None
    return value


def _duration(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,3}[hd]", value):
        raise ValueError("must be hours or days such as 12h or 7d")
    return value


def _digest(value: str) -> str:
    if not re.fullmatch(r"[\w.-]+(:\d+)?(/[\w.-]+)+@sha256:[0-9a-f]{64}", value):
        raise ValueError("must be an image by digest: REGISTRY/NAME@sha256:<64 hex digits>; a tag may move")
    return value


def _tags(value: Mapping[str, str]) -> Mapping[str, str]:
    for key, text in value.items():
        for part in (key, text):
            if not re.fullmatch(r"[a-z0-9_-]{1,63}", part):
                raise ValueError(f"{part!r} may hold a-z 0-9 _ - only, 1 to 63 of them, which every cloud takes")
    return value


BucketUrl = Annotated[str, AfterValidator(_bucket_url)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Duration = Annotated[str, AfterValidator(_duration)]
ImageDigest = Annotated[str, AfterValidator(_digest)]
Tags = Annotated[dict[str, str], AfterValidator(_tags)]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,14}[a-z0-9]$")]
