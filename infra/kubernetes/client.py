"""How the stack's program signs in to its cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping


def kubeconfig(cluster: Mapping[str, str], command: str, **more: object) -> str:
    """No token in it: `command` makes one of whoever calls.

    Args:
        cluster: its address, and its certificate unless that is a public one.
        more: how to call the command, and what to say where it is not there.

    Returns:
        JSON.
    """
    version = "client.authentication.k8s.io/v1beta1"
    user = {"exec": {"apiVersion": version, "command": command, **more, "interactiveMode": "Never"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "stack",
        "clusters": [{"name": "stack", "cluster": cluster}],
        "contexts": [{"name": "stack", "context": {"cluster": "stack", "user": "caller"}}],
        "users": [{"name": "caller", "user": user}],
    }
    return json.dumps(config)
