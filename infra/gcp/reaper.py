"""The function that removes run groups past their end, and its clock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import names
from infra.reaper import ENTRY, RUNTIME, SCHEDULE, files

_FOLDER = "reaper"
"""In the work bucket, where nothing of that prefix expires and no identity of the stack may write."""


@dataclass(frozen=True, kw_only=True)
class ReaperArgs:
    """
    Args:
        account: e-mail of its service account.
        bucket: work, known once it is there.
    """

    context: Context
    account: pulumi.Input[str]
    bucket: pulumi.Input[str]


class Reaper(Component):
    """A Cloud Run function that only its own clock may call, every ten minutes, and that only sees requests from inside of Google.

    At rest 0.10 USD a month for the clock beyond the billing account's three free ones; the function stays within the free amounts.
    Google builds it with Cloud Build, by default as the project's Compute Engine account; where an organisation has taken that
    account's rights away, grant it roles/cloudbuild.builds.builder. Failures ring an alarm, see signals.py.

    Attributes:
        url: where it is called.
    """

    def __init__(self, name: str, args: ReaperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        function = self._function()
        self.url = function.service_config.apply(lambda config: str(config.uri if config is not None else ""))
        if names.given(args.context, "reaper") is None:
            gcp.cloudrunv2.ServiceIamMember(
                f"{name}-caller",
                project=args.context.account,
                location=args.context.region,
                name=function.name,
                role="roles/run.invoker",
                member=pulumi.Output.concat("serviceAccount:", args.account),
                opts=self.child(),
            )
        self._clock()
        self.register_outputs({"url": self.url})

    def _function(self) -> gcp.cloudfunctionsv2.Function:
        context = self.context
        content = files("gcp")
        # Under one name the new archive would be uploaded first and then removed as the old one.
        mark = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()[:12]
        source = gcp.storage.BucketObject(
            f"{self._name}-source",
            bucket=self._args.bucket,
            name=f"{_FOLDER}/{mark}.zip",
            source=pulumi.AssetArchive({path: pulumi.StringAsset(text) for path, text in content.items()}),
            opts=self.child(),
        )
        return gcp.cloudfunctionsv2.Function(
            f"{self._name}-function",
            name=names.reaper(context),
            location=context.region,
            description=f"Removes what is past its end of the Skylift stack {context.stack}",
            build_config=gcp.cloudfunctionsv2.FunctionBuildConfigArgs(
                runtime=RUNTIME["gcp"],
                entry_point=ENTRY["gcp"],
                source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceArgs(
                    storage_source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceStorageSourceArgs(
                        bucket=source.bucket, object=source.output_name, generation=source.generation
                    )
                ),
            ),
            service_config=gcp.cloudfunctionsv2.FunctionServiceConfigArgs(
                service_account_email=self._args.account,
                environment_variables={
                    "SKYLIFT_STACK": context.tags["skylift-stack"],
                    "SKYLIFT_PROJECT": context.account,
                },
                ingress_settings="ALLOW_INTERNAL_ONLY",
                max_instance_count=1,
                available_memory="256M",
                timeout_seconds=300,
            ),
            opts=self.child(),
        )

    def _clock(self) -> None:
        gcp.cloudscheduler.Job(
            f"{self._name}-clock",
            name=names.reaper(self.context),
            region=self.context.region,
            schedule=SCHEDULE["gcp"],
            time_zone="Etc/UTC",
            attempt_deadline="320s",
            retry_config=gcp.cloudscheduler.JobRetryConfigArgs(retry_count=1),
            http_target=gcp.cloudscheduler.JobHttpTargetArgs(
                http_method="POST",
                uri=self.url,
                oidc_token=gcp.cloudscheduler.JobHttpTargetOidcTokenArgs(
                    service_account_email=self._args.account, audience=self.url
                ),
            ),
            opts=self.child(),
        )
