"""Sections that only clouds have."""

# ruff: noqa: RUF012  # msgspec gives every section an empty list or dict of its own

from typing import Annotated, Literal

from msgspec import Meta

from skylift.stack.settings.base import Accelerator, Cidr, Email, ImageDigest, Name, Section

Principal = Annotated[str, Meta(min_length=3, max_length=512, pattern=r"^[^\s*]+$")]
MinorVersion = Annotated[str, Meta(pattern=r"^1\.\d\d$")]
Cost = Annotated[float, Meta(gt=0)]
BillingAccount = Annotated[str, Meta(pattern=r"^[0-9A-F]{6}(-[0-9A-F]{6}){2}$")]


class NetworkSettings(Section, frozen=True, kw_only=True):
    """The network. Named parts are used as they are and never changed or removed."""

    id: Annotated[
        str | None,
        "A network that exists already: VPC id, self link of a network, or resource id of a virtual network.",
    ] = None
    subnets: Annotated[
        list[str], "Private subnets of that network: ids, self links or resource ids. On AWS in two zones at least."
    ] = []
    cidr: Annotated[Cidr, "Addresses of a network that the stack makes, /16 to /20."] = "10.64.0.0/16"
    egress: Annotated[
        Literal["nat", "private"] | None,
        "How machines reach the cloud's services: `nat`: one NAT gateway and the free storage endpoint. `private`: private "
        "endpoints only. Default: `nat`, in stage `prod` `private`.",
    ] = None
    allowed_ranges: Annotated[
        list[Cidr],
        "Your own ranges: they may reach the cluster's API server (EKS, AKS) and, on Azure, the storage account. Never /0.",
    ] = []
    bastion: Annotated[bool, "Azure: a Bastion host (Standard) as the path from a laptop to machines."] = False


class IdentitySettings(Section, frozen=True, kw_only=True):
    """Identities that exist already: role ARN, service account's e-mail, or resource id of a managed identity."""

    training: Annotated[str | None, "Identity of training containers."] = None
    serving: Annotated[str | None, "Identity of serving containers."] = None
    host: Annotated[str | None, "Identity of the machines' agent; on AWS an instance profile's ARN."] = None
    launcher: Annotated[str | None, "Identity that starts runs."] = None
    releaser: Annotated[str | None, "Identity that deploys."] = None
    approver: Annotated[str | None, "Identity that approves."] = None
    custodian: Annotated[str | None, "Identity that deletes."] = None
    nodes: Annotated[str | None, "Clusters: identity of the nodes."] = None
    cluster: Annotated[str | None, "Clusters: identity of the control plane (EKS, AKS)."] = None
    autoscaler: Annotated[str | None, "EKS: identity of the cluster autoscaler."] = None
    logs: Annotated[str | None, "EKS: identity of the agent that ships the containers' output."] = None
    reaper: Annotated[str | None, "Machines: identity of the function that removes what is past its end."] = None


class AccessSettings(Section, frozen=True, kw_only=True):
    """Who may do what: role or user ARNs; `user:`, `group:`, `serviceAccount:` or `principalSet:` of Google; object ids of Entra."""

    train: Annotated[list[Principal], "May start, follow and cancel runs."] = []
    release: Annotated[list[Principal], "May deploy and roll back."] = []
    approve: Annotated[list[Principal], "May approve releases; none of them may also be in `release`."] = []
    predict: Annotated[list[Principal], "May call the endpoints."] = []
    clean: Annotated[list[Principal], "May delete models, datasets and runs."] = []


class ClusterSettings(Section, frozen=True, kw_only=True):
    """The Kubernetes cluster of gke, eks and aks."""

    name: Annotated[
        str | None,
        "A cluster that exists already: its name on gke and eks, its resource id on aks. Default: a new one.",
    ] = None
    version: Annotated[MinorVersion | None, "Kubernetes minor version. Default: the cloud's own default."] = None
    namespace: Annotated[Name, "Namespace of the stack's workloads."] = "skylift"
    system_machine: Annotated[str | None, "Machine type of the system pool. Default: 4 CPUs, 16 GiB."] = None
    system_max: Annotated[int, Meta(ge=1, le=100), "Machines of the system pool at the most."] = 3


class PoolSettings(Section, frozen=True, kw_only=True):
    """What runs may start from."""

    accelerator: Annotated[Accelerator, "What computes."] = "cpu"
    count: Annotated[int, Meta(ge=1, le=16), "Accelerators of one machine."] = 1
    machines: Annotated[
        list[str],
        Meta(max_length=8),
        "Machine types in order of preference. Default: the cheapest that has the accelerators.",
    ] = []
    zones: Annotated[list[str], Meta(max_length=8), "Zones in order of preference. Default: all of the region."] = []
    spot: Annotated[bool, "Whether runs may take interruptible machines at the lower price."] = False
    checkpoint_minutes: Annotated[
        float, Meta(ge=0, le=1440), "Time between checkpoints of a run [min]. 0: none, which a spot pool refuses."
    ] = 10.0
    max_machines: Annotated[int, Meta(ge=1, le=256), "Machines of the pool at the same time."] = 1
    max_hours: Annotated[float, Meta(gt=0, le=720), "Time after which a run's machines are removed [h]."] = 24.0
    disk_gib: Annotated[int, Meta(ge=50, le=16384), "Boot disk of one machine [GiB]."] = 150


class ImageSettings(Section, frozen=True, kw_only=True):
    """The two images by digest; `skylift images` writes them here. Without them `up` leaves out what needs an image."""

    training: Annotated[ImageDigest | None, "The training image."] = None
    serving: Annotated[ImageDigest | None, "The serving image."] = None


class RetentionSettings(Section, frozen=True, kw_only=True):
    """How long things are kept that nobody asked to keep."""

    logs_days: Annotated[Literal[7, 14, 30, 60, 90, 180, 365], "Logs in the cloud's log store."] = 30
    work_days: Annotated[int, Meta(ge=1, le=3650), "What lies in work: status, events, logs, checkpoints."] = 30
    versions_days: Annotated[int, Meta(ge=1, le=3650), "Old and deleted versions in keep."] = 30
    images: Annotated[int, Meta(ge=2, le=1000), "Images of each kind in the registry."] = 30


class BudgetSettings(Section, frozen=True, kw_only=True):
    """What the stack may cost."""

    monthly: Annotated[
        Cost | None, "Cost per month at which mails go out: at 50, 80 and 100 %, and when the forecast passes it [USD]."
    ] = None
    billing_account: Annotated[BillingAccount | None, "Google: the billing account that budgets belong to."] = None


class AlertSettings(Section, frozen=True, kw_only=True):
    """Who hears of trouble."""

    emails: Annotated[list[Email], Meta(max_length=20), "Addresses for alarms and the budget."] = []
