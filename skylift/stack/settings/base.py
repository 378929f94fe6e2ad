"""What the sections of the settings are made of.

A setting is `name: Annotated[type, limits, "what it is"] = default`. `msgspec.Meta` holds limits; a function beside it checks more: it
returns the value, or raises ValueError with what must be.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

PROJECT = "skylift"
Target = Literal["local", "gce", "gke", "vertex", "ec2", "eks", "sagemaker", "azure-vm", "aks", "azureml"]
Accelerator = Literal["cpu", "T4", "L4", "A10G", "A100", "A100-80GB", "H100", "H200", "V100"]
NAME_PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the settings, which never changes. Plain values become one through `skylift.stack.settings.building`, which finds
    what is wrong with them; the constructor trusts its caller."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Its settings, in order."""
        return cls.__struct_fields__


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


BucketUrl = Annotated[str, _bucket_url]
Cidr = Annotated[str, _cidr]
Duration = Annotated[str, _duration]
ImageDigest = Annotated[str, _digest]
Tags = Annotated[dict[str, str], _tags]
Email = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Prefix = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,14}[a-z0-9]$")]
