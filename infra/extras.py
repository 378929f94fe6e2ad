"""A missing SDK as a sentence that says how to install it."""

from __future__ import annotations

from skylift.errors import MachineError
from skylift.stack.settings import CLOUDS, KINDS

_PACKAGES = {
    "pulumi_aws": "aws",
    "pulumi_gcp": "gcp",
    "pulumi_azure_native": "azure",
    "pulumi_kubernetes": "kubernetes",
}


def lacking(error: ModuleNotFoundError, target: str) -> MachineError:
    """The error for an SDK that is not installed.

    Raises:
        ModuleNotFoundError: the same one, where it is no SDK that is missing.
    """
    package = (error.name or "").partition(".")[0]
    if package not in _PACKAGES:
        raise error
    extras = [CLOUDS[target], *(["kubernetes"] if KINDS[target] == "cluster" else [])]
    checkout = " ".join(f"--extra {extra}" for extra in extras)
    return MachineError(
        f"target {target} needs {package}, which is not installed beside skylift",
        hint=f"`pip install 'skylift[{','.join(extras)}]'`, in a checkout `uv sync {checkout}`",
    )
