"""The function's source as the three platforms want it."""

from __future__ import annotations

import json
from importlib import resources

from infra.boot.spec import Cloud

ENTRY: dict[Cloud, str] = {"aws": "reaper.aws.handler", "gcp": "handler", "azure": "function_app.py"}
"""AWS: the Lambda's `handler`. Google: the function's `entry_point`. Azure finds `function_app.py` by its name."""

RUNTIME: dict[Cloud, str] = {"aws": "python3.13", "gcp": "python313", "azure": "3.12"}
"""Names of the Python runtimes: Lambda `runtime`, Cloud Run functions `runtime`, Azure `linuxFxVersion` version."""

SCHEDULE: dict[Cloud, str] = {"aws": "rate(10 minutes)", "gcp": "*/10 * * * *", "azure": "0 */10 * * * *"}
"""Every ten minutes in the words of EventBridge Scheduler, Cloud Scheduler and Azure's timer, which stands in the source."""

ENVIRONMENT: dict[Cloud, tuple[str, ...]] = {
    "aws": ("SKYLIFT_STACK",),
    "gcp": ("SKYLIFT_STACK", "SKYLIFT_PROJECT"),
    "azure": ("SKYLIFT_STACK", "SKYLIFT_SUBSCRIPTION", "SKYLIFT_RESOURCE_GROUP", "AZURE_CLIENT_ID"),
}
"""What the component must tell the function. SKYLIFT_STACK is the value of the tag `skylift-stack`; SKYLIFT_RESOURCE_GROUP the
group that run groups are made in; AZURE_CLIENT_ID that of the function's user-assigned identity."""

# https://learn.microsoft.com/azure/azure-functions/functions-reference-python: the library comes with the platform's worker.
_AZURE_APP = f"""\
import azure.functions

from reaper.azure import handler

app = azure.functions.FunctionApp()


@app.timer_trigger(schedule="{SCHEDULE["azure"]}", arg_name="timer", run_on_startup=False)
def reap(timer: azure.functions.TimerRequest) -> None:
    handler()
"""
# https://learn.microsoft.com/azure/azure-functions/functions-host-json
_AZURE_HOST = {
    "version": "2.0",
    "functionTimeout": "00:05:00",
    "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
}

_AROUND: dict[Cloud, dict[str, str]] = {
    "aws": {},
    # https://cloud.google.com/functions/docs/writing#directory-structure-python
    "gcp": {
        "main.py": 'from reaper.gcp import handler\n\n__all__ = ["handler"]\n',
        "requirements.txt": "functions-framework>=3,<4\n",
    },
    "azure": {"function_app.py": _AZURE_APP, "host.json": json.dumps(_AZURE_HOST, indent=2) + "\n"},
}
_MODULES: dict[Cloud, tuple[str, ...]] = {
    "aws": ("__init__.py", "core.py", "aws.py"),
    "gcp": ("__init__.py", "core.py", "rest.py", "gcp.py"),
    "azure": ("__init__.py", "core.py", "rest.py", "azure.py"),
}


def files(cloud: Cloud) -> dict[str, str]:
    """Path in the archive -> content; the same at every call, so that `up` uploads it once."""
    source = resources.files("infra.reaper.function")
    return {f"reaper/{name}": source.joinpath(name).read_text() for name in _MODULES[cloud]} | _AROUND[cloud]
