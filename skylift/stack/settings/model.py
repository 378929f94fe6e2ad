"""All settings of a stack. docs/settings.md is generated from this package, Pulumi.yaml's `config:` is tested against it."""

# ruff: noqa: RUF012  # msgspec gives every section an empty list or dict of its own

from typing import Annotated, Literal, get_args

from msgspec import Meta, field

from skylift.stack.settings.base import BucketUrl, Duration, Name, Prefix, Section, Tags, Target
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

Owner = Annotated[str, Meta(max_length=63)]
Arn = Annotated[str, Meta(pattern=r"^arn:")]


class BucketSettings(Section, frozen=True, kw_only=True):
    """The two buckets. What is not named is made by the stack; what is named is used as it is and never removed."""

    keep: Annotated[BucketUrl | None, "URL of a bucket that exists already, for models, runs and deployments."] = None
    work: Annotated[BucketUrl | None, "URL of a bucket that exists already, for logs, events and checkpoints."] = None


class Settings(Section, frozen=True, kw_only=True):
    """All settings of a stack."""

    target: Annotated[Target, "Where the stack runs."]
    backend: Annotated[
        str | None, "URL of Pulumi's state. Default: a folder in the project's hidden folder `.skylift`."
    ] = None
    owner: Annotated[Owner | None, "Who answers for the stack; shown by `status`, a tag on clouds."] = None
    disposable: Annotated[bool, "Whether `down` deletes the stack's own buckets with all that is in them."] = False
    buckets: Annotated[BucketSettings, "Buckets of yours to use in place of new ones."] = BucketSettings()
    endpoints: Annotated[dict[Name, EndpointSettings], "Served addresses by name."] = field(
        default_factory=lambda: {"default": EndpointSettings()}
    )
    region: Annotated[str | None, "Clouds, required: the region."] = None
    account: Annotated[
        str | None,
        "Clouds, required: AWS account id, Google project id or Azure subscription id. The stack refuses to touch any other.",
    ] = None
    stage: Annotated[
        Literal["dev", "prod"],
        "Clouds: what the defaults aim at: `dev` a low price, `prod` two of everything and private endpoints.",
    ] = "dev"
    name_prefix: Annotated[Prefix, "Clouds: beginning of every name that the stack gives."] = "skylift"
    tags: Annotated[Tags, "Clouds: tags (labels) that everything carries beside the stack's own."] = {}
    ttl: Annotated[
        Duration | None, "Clouds: how long the stack is meant to live, such as `7d`; a tag that clean-up jobs read."
    ] = None
    network: Annotated[NetworkSettings, "Clouds: the network."] = NetworkSettings()
    registry: Annotated[
        str | None, "Clouds: a registry for images that exists already: its host and path. Default: a new one."
    ] = None
    encryption_key: Annotated[
        str | None,
        "Clouds: `provider` (the cloud's own key), `stack` (a key of the stack), or a key that exists: ARN, resource name or "
        "key URL. Default: `provider`, in stage `prod` `stack`.",
    ] = None
    identities: Annotated[
        IdentitySettings, "Clouds: identities of yours to use in place of new ones; `up` then needs no IAM rights."
    ] = IdentitySettings()
    permissions_boundary: Annotated[Arn | None, "AWS: policy that bounds every role of the stack."] = None
    access: Annotated[AccessSettings, "Clouds: who may do what."] = AccessSettings()
    cluster: Annotated[ClusterSettings, "gke, eks, aks: the cluster."] = ClusterSettings()
    workspace: Annotated[str | None, "azureml: resource id of a workspace that exists already. Default: a new one."] = (
        None
    )
    pools: Annotated[dict[Name, PoolSettings], "Clouds: what runs may start from, by name."] = field(
        default_factory=lambda: {"default": PoolSettings()}
    )
    images: Annotated[ImageSettings, "Clouds: the two images."] = ImageSettings()
    secrets: Annotated[
        list[Name],
        Meta(max_length=50),
        "Clouds: entries of the secret store that runs may name; the stack makes them empty.",
    ] = []
    retention: Annotated[RetentionSettings, "Clouds: how long things are kept."] = RetentionSettings()
    budget: Annotated[BudgetSettings, "Clouds: what the stack may cost."] = BudgetSettings()
    alerts: Annotated[AlertSettings, "Clouds: who hears of trouble."] = AlertSettings()

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
