"""The function's source as the three platforms want it."""

from __future__ import annotations

from infra.boot.spec import Cloud

ENTRY: dict[Cloud, str] = {"aws": "reaper.aws.handler", "gcp": "handler", "azure": "function_app.py"}
"""AWS: the Lambda's `handler`. Google: the function's `entry_point`. Azure finds `function_app.py` by its name."""

RUNTIME: dict[Cloud, str] = {"aws": "python3.13", "gcp": "python313", "azure": "3.12"}
"""Names of the Python runtimes: Lambda `runtime`, Cloud Run functions `runtime`, Azure `linuxFxVersion` version."""

ENVIRONMENT: dict[Cloud, tuple[str, ...]] = {
    "aws": ("SKYLIFT_STACK",),
    "gcp": ("SKYLIFT_STACK", "SKYLIFT_PROJECT", "SKYLIFT_REGION"),
    "azure": ("SKYLIFT_STACK", "SKYLIFT_SUBSCRIPTION", "SKYLIFT_RESOURCE_GROUP", "AZURE_CLIENT_ID"),
}
"""Environment variables that the component must give the function."""


def files(cloud: Cloud) -> dict[str, str]:
    """Path in the archive -> content."""
    return {"reaper/__init__.py": f"# {cloud}\n"}
