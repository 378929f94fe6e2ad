"""How an AKS cluster is called, and what it tells of itself."""

from __future__ import annotations

import base64
from typing import Any

import yaml

from infra.kubernetes import client
from skylift.errors import SettingsError

SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""What a token for AKS is for, the same everywhere: https://azure.github.io/kubelogin/concepts/aks.html"""
HINT = "install it: az aks install-cli"


def kubeconfig(given: str) -> str:
    """With address and certificate of the cluster from what Azure gives (base64); whoever calls signs in by `az`."""
    cluster = yaml.safe_load(base64.b64decode(given))["clusters"][0]["cluster"]
    known = {key: cluster[key] for key in ("server", "certificate-authority-data") if key in cluster}
    args = ["get-token", "--server-id", SERVER, "--login", "azurecli"]
    return client.kubeconfig(known, "kubelogin", args=args, installHint=HINT)


def issuer(profile: Any) -> str:
    if profile is None or not profile.issuer_url:
        raise SettingsError(
            "the cluster of skylift:cluster.name tells no issuer of tokens, by which its pods would be known to Azure",
            hint="run `az aks update --enable-oidc-issuer --enable-workload-identity` for it",
        )
    return str(profile.issuer_url)
