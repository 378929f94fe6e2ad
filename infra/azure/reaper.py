"""The stack's reaper: a scheduled job that removes run groups past their end.

It runs as a job of Container Apps, not as a Function App: a function's code must be uploaded to a storage account first, which Pulumi's
provider does with account keys, and this stack's accounts have none. The source is small enough to go along as an environment variable.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra import reaper
from infra.azure.identity import Identity
from infra.component import Component
from infra.context import Context

# Microsoft's own image with Python and nothing else; the job needs the standard library only.
IMAGE = "mcr.microsoft.com/azurelinux/base/python:3.12"
SCHEDULE = "*/10 * * * *"
_START = (
    "import base64, os, sys; path = '/tmp/reaper.zip'; "
    "open(path, 'wb').write(base64.b64decode(os.environ['SKYLIFT_REAPER'])); "
    "sys.path.insert(0, path); from reaper.azure import handler; handler()"
)


@dataclass(frozen=True, kw_only=True)
class ReaperArgs:
    """Args:
    group: name of the resource group that the job is in.
    runs_group: name of the resource group of run groups.
    logs: id of the log workspace.
    after: its rights.
    """

    context: Context
    group: pulumi.Input[str]
    runs_group: pulumi.Input[str]
    identity: Identity
    logs: pulumi.Input[str]
    after: Sequence[pulumi.Resource]


class Reaper(Component):
    """Every ten minutes, for some seconds: within what Container Apps gives away each month. It may read and remove scale sets in the
    resource group of run groups and do nothing else; a failed round is tried twice again and rings the alarm (monitoring.py).

    Attributes:
        job: its name, as the log tables have it.
    """

    def __init__(self, name: str, args: ReaperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self.job = args.context.name("reaper", most=32)
        self.environment = self._environment()
        self._job(self.environment)
        self.register_outputs({"job": self.job})

    def _environment(self) -> azure.app.ManagedEnvironment:
        context = self.context
        made = azure.app.ManagedEnvironment(
            f"{self._name}-environment",
            resource_group_name=self._args.group,
            environment_name=context.name("jobs", most=60),
            workload_profiles=[azure.app.WorkloadProfileArgs(name="Consumption", workload_profile_type="Consumption")],
            app_logs_configuration=azure.app.AppLogsConfigurationArgs(destination="azure-monitor"),
            public_network_access="Disabled",
            zone_redundant=False,
            tags=context.tags,
            opts=self.child(),
        )
        categories = ("ContainerAppConsoleLogs", "ContainerAppSystemLogs")
        azure.monitor.DiagnosticSetting(
            f"{self._name}-logs",
            name="skylift",
            resource_uri=made.id,
            workspace_id=self._args.logs,
            log_analytics_destination_type="Dedicated",
            logs=[azure.monitor.DiagnosticsLogSettingsArgs(category=one, enabled=True) for one in categories],
            opts=self.child(),
        )
        return made

    def _job(self, environment: azure.app.ManagedEnvironment) -> None:
        azure.app.Job(
            f"{self._name}-job",
            resource_group_name=self._args.group,
            job_name=self.job,
            environment_id=environment.id,
            workload_profile_name="Consumption",
            identity=azure.app.ManagedServiceIdentityArgs(
                type=azure.app.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[self._args.identity.id],
            ),
            configuration=azure.app.JobConfigurationArgs(
                trigger_type=azure.app.TriggerType.SCHEDULE,
                replica_timeout=300,
                replica_retry_limit=2,
                schedule_trigger_config=azure.app.JobConfigurationScheduleTriggerConfigArgs(
                    cron_expression=SCHEDULE, parallelism=1, replica_completion_count=1
                ),
            ),
            template=azure.app.JobTemplateArgs(containers=[self._container()]),
            tags=self.context.tags,
            opts=self.child(depends_on=self._args.after),
        )

    def _container(self) -> azure.app.ContainerArgs:
        told: dict[str, pulumi.Input[str]] = {
            "SKYLIFT_STACK": self.context.tags["skylift-stack"],
            "SKYLIFT_SUBSCRIPTION": self.context.account,
            "SKYLIFT_RESOURCE_GROUP": self._args.runs_group,
            "AZURE_CLIENT_ID": self._args.identity.client_id,
            "SKYLIFT_REAPER": archive(reaper.files("azure")),
        }
        return azure.app.ContainerArgs(
            name="reaper",
            image=IMAGE,
            command=["python3", "-c", _START],
            env=[azure.app.EnvironmentVarArgs(name=name, value=value) for name, value in told.items()],
            resources=azure.app.ContainerResourcesArgs(cpu=0.25, memory="0.5Gi"),
        )


def archive(files: dict[str, str]) -> str:
    """The function's modules as a zip in base64; the same bytes for the same source."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        for path, content in sorted(files.items()):
            if path.startswith("reaper/"):
                into.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return base64.b64encode(packed.getvalue()).decode()
