"""All settings of a stack. docs/settings.md is generated from this package, Pulumi.yaml's `config:` is tested against it."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from skylift.stack.settings.base import BucketUrl, Duration, Name, Prefix, Strict, Tags, Target
from skylift.stack.settings.clouds import (
    AccessSettings,
    AlertSettings,
    BudgetSettings,
    ClusterSettings,
    IdentitySettings,
    ImageSettings,
    NetworkSettings,
    PoolSettings,
    RetentionSettings,
)
from skylift.stack.settings.endpoints import EndpointSettings

TARGETS: tuple[str, ...] = get_args(Target)


class BucketSettings(Strict):
    """The two buckets. What is not named is made by the stack; what is named is used as it is and never removed."""

    keep: BucketUrl | None = Field(
        None, description="URL of a bucket that exists already, for models, runs and deployments."
    )
    work: BucketUrl | None = Field(
        None, description="URL of a bucket that exists already, for logs, events and checkpoints."
    )


class Settings(Strict):
    """All settings of a stack."""

    target: Target = Field(description="Where the stack runs.")
    backend: str | None = Field(
        None, description="URL of Pulumi's state. Default: a folder in the project's hidden folder `.skylift`."
    )
    owner: str | None = Field(
        None, max_length=63, description="Who answers for the stack; shown by `status`, a tag on clouds."
    )
    disposable: bool = Field(
        False, description="Whether `down` deletes the stack's own buckets with all that is in them."
    )
    buckets: BucketSettings = Field(BucketSettings(), description="Buckets of yours to use in place of new ones.")
    endpoints: dict[Name, EndpointSettings] = Field(
        {"default": EndpointSettings()}, description="Served addresses by name."
    )
    region: str | None = Field(None, description="Clouds, required: the region.")
    account: str | None = Field(
        None,
        description="Clouds, required: AWS account id, Google project id or Azure subscription id. The stack refuses to touch any other.",
    )
    stage: Literal["dev", "prod"] = Field(
        "dev",
        description="Clouds: what the defaults aim at: `dev` a low price, `prod` two of everything and private endpoints.",
    )
    name_prefix: Prefix = Field("skylift", description="Clouds: beginning of every name that the stack gives.")
    tags: Tags = Field({}, description="Clouds: tags (labels) that everything carries beside the stack's own.")
    ttl: Duration | None = Field(
        None, description="Clouds: how long the stack is meant to live, such as `7d`; a tag that clean-up jobs read."
    )
    network: NetworkSettings = Field(NetworkSettings(), description="Clouds: the network.")
    registry: str | None = Field(
        None, description="Clouds: a registry for images that exists already: its host and path. Default: a new one."
    )
    encryption_key: str | None = Field(
        None,
        description="Clouds: `provider` (the cloud's own key), `stack` (a key of the stack), or a key that exists: ARN, resource name or "
        "key URL. Default: `provider`, in stage `prod` `stack`.",
    )
    identities: IdentitySettings = Field(
        IdentitySettings(),
        description="Clouds: identities of yours to use in place of new ones; `up` then needs no IAM rights.",
    )
    permissions_boundary: str | None = Field(
        None, pattern=r"^arn:", description="AWS: policy that bounds every role of the stack."
    )
    access: AccessSettings = Field(AccessSettings(), description="Clouds: who may do what.")
    cluster: ClusterSettings = Field(ClusterSettings(), description="gke, eks, aks: the cluster.")
    workspace: str | None = Field(
        None, description="azureml: resource id of a workspace that exists already. Default: a new one."
    )
    pools: dict[Name, PoolSettings] = Field(
        {"default": PoolSettings()}, description="Clouds: what runs may start from, by name."
    )
    images: ImageSettings = Field(ImageSettings(), description="Clouds: the two images.")
    secrets: list[Name] = Field(
        [],
        max_length=50,
        description="Clouds: entries of the secret store that runs may name; the stack makes them empty.",
    )
    retention: RetentionSettings = Field(RetentionSettings(), description="Clouds: how long things are kept.")
    budget: BudgetSettings = Field(BudgetSettings(), description="Clouds: what the stack may cost.")
    alerts: AlertSettings = Field(AlertSettings(), description="Clouds: who hears of trouble.")

    @property
    def cloud(self) -> Literal["local", "gcp", "aws", "azure"]:
        return CLOUDS[self.target]

    @property
    def kind(self) -> Literal["local", "vm", "cluster", "managed"]:
        return KINDS[self.target]


CLOUDS: dict[str, Literal["local", "gcp", "aws", "azure"]] = {
    "local": "local",
    **dict.fromkeys(("gce", "gke", "vertex"), "gcp"),
    **dict.fromkeys(("ec2", "eks", "sagemaker"), "aws"),
    **dict.fromkeys(("azure-vm", "aks", "azureml"), "azure"),
}
KINDS: dict[str, Literal["local", "vm", "cluster", "managed"]] = {
    "local": "local",
    **dict.fromkeys(("gce", "ec2", "azure-vm"), "vm"),
    **dict.fromkeys(("gke", "eks", "aks"), "cluster"),
    **dict.fromkeys(("vertex", "sagemaker", "azureml"), "managed"),
}
