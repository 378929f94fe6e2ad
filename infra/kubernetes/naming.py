"""Names, labels and images that every component here uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from skylift.errors import InputError

Role = Literal["training", "serving", "launcher"]
"""Who a service account is for. Its name in the namespace is the same word."""

POOL_LABEL = "skylift.dev/pool"
"""Every cloud puts it on the nodes of a pool, with the pool's name: what a run or an endpoint selects its nodes by."""

GPU_NODES = {"skylift.dev/gpu": "true"}
"""Every cloud puts it on the nodes of a GPU pool: the device plugin goes there and nowhere else."""

GPU = "nvidia.com/gpu"
"""The resource that a pod asks for, and the key of the taint on GPU nodes."""

SYSTEM = "kube-system"

IMAGES = {
    "cluster-autoscaler": "registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0",
    "device-plugin": "nvcr.io/nvidia/k8s-device-plugin:v0.17.1",
    "jobset": "registry.k8s.io/jobset/jobset:v0.8.2",
    "tls": "docker.io/nginxinc/nginx-unprivileged:1.28.0-alpine",
}
"""Programs of others, pinned by version and not by digest: their registries were out of reach when this table was written, and a
digest that nobody has looked up is worse than none. A stack that mirrors them names its mirror by `images=` of WorkloadsArgs."""

_LABEL_MOST = 63


def labels(
    stack: str, tags: Mapping[str, str], component: str | None = None, name: str | None = None
) -> dict[str, str]:
    """The labels of an object: the stack's, the tags given, and what the object is part of."""
    found = {label_key(key): label_value(value) for key, value in tags.items()}
    found |= {"skylift-stack": label_value(stack), "app.kubernetes.io/managed-by": "skylift"}
    if component is not None:
        found["app.kubernetes.io/component"] = component
    if name is not None:
        found["app.kubernetes.io/name"] = name
    return found


def label_value(text: str) -> str:
    """The nearest text that Kubernetes takes as a label's value: 63 characters of A-Z a-z 0-9 - _ . that begin and end in one of the
    first three kinds.

    Examples:
        >>> label_value("ml@example.com")
        'ml-example.com'
        >>> label_value("--")
        ''
    """
    return _trim(re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:_LABEL_MOST])


def label_key(text: str) -> str:
    """The nearest text that Kubernetes takes as a label's key without a prefix.

    Raises:
        InputError: nothing is left of it.
    """
    key = label_value(text.replace("/", "-").replace(":", "-"))
    if not key:
        raise InputError(f"tag {text!r} holds no letter or digit", hint="rename it in skylift:tags")
    return key


def require_name(what: str, name: str, most: int = 40) -> None:
    """Hold a name to what Kubernetes takes for every kind of object.

    Args:
        most: characters, so that what is derived from it stays within 63.

    Raises:
        InputError: it is too long or holds something else than a-z 0-9 -.
    """
    if len(name) <= most and re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
        return
    raise InputError(
        f"{what} {name!r} cannot be a name in Kubernetes",
        hint=f"use at most {most} of a-z 0-9 -, beginning with a letter and not ending in -",
    )


def _trim(text: str) -> str:
    return text.strip("-_.")
