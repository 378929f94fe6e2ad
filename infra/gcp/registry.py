"""The registry of the two images."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import names

_UNTAGGED = "604800s"  # 7 days
_OLD = "2592000s"  # 30 days


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """
    Args:
        key: encryption key; None for Google's own.
    """

    context: Context
    key: pulumi.Input[str] | None = None


class Registry(Component):
    """A Docker repository whose tags never move, or the one that the settings name.

    Images without a tag go after 7 days; of the others the newest `retention.images` of each kind stay, and older than 30 days go where
    Google lets a policy remove tagged images of such a repository. Who may pull is granted by access.py: runtime identities only.
    Images are scanned where the project has the Container Scanning API on, at 0.26 USD an image; target.py turns it on in stage prod.
    The repository is protected and retained unless the stack is disposable.

    Attributes:
        url: host and path that images are pushed to.
        repository: as IAM names it, known once it is there.
    """

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        context = args.context
        self.url = pulumi.Output.from_input(names.registry(context))
        self.repository = pulumi.Output.from_input(names.repository(context))
        if context.settings.registry is None:
            made = gcp.artifactregistry.Repository(
                f"{name}-repository",
                repository_id=context.name(),
                location=context.region,
                format="DOCKER",
                description=f"Images of the Skylift stack {context.stack}",
                docker_config=gcp.artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
                cleanup_policies=_policies(context.settings.retention.images),
                cleanup_policy_dry_run=False,
                vulnerability_scanning_config=gcp.artifactregistry.RepositoryVulnerabilityScanningConfigArgs(
                    enablement_config="INHERITED"
                ),
                kms_key_name=args.key,
                opts=self.lasting(),
            )
            self.repository = made.id
        self.register_outputs({"url": self.url, "repository": self.repository})


def _policies(images: int) -> list[gcp.artifactregistry.RepositoryCleanupPolicyArgs]:
    return [
        _delete("untagged", "UNTAGGED", _UNTAGGED),
        _delete("old", "ANY", _OLD),
        gcp.artifactregistry.RepositoryCleanupPolicyArgs(
            id="newest",
            action="KEEP",
            most_recent_versions=gcp.artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(keep_count=images),
        ),
    ]


def _delete(identifier: str, state: str, older: str) -> gcp.artifactregistry.RepositoryCleanupPolicyArgs:
    return gcp.artifactregistry.RepositoryCleanupPolicyArgs(
        id=identifier,
        action="DELETE",
        condition=gcp.artifactregistry.RepositoryCleanupPolicyConditionArgs(tag_state=state, older_than=older),
    )
