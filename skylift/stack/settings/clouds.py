"""Sections that only clouds have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from skylift.stack.settings.base import Accelerator, Cidr, Email, ImageDigest, Name, Strict

Principal = Annotated[str, StringConstraints(min_length=3, max_length=512, pattern=r"^[^\s*]+$")]


class NetworkSettings(Strict):
    """The network. Named parts are used as they are and never changed or removed."""

    id: str | None = Field(
        None,
        description="A network that exists already: VPC id, self link of a network, or resource id of a virtual network.",
    )
    subnets: list[str] = Field(
        [],
        description="Private subnets of that network: ids, self links or resource ids. On AWS in two zones at least.",
    )
    cidr: Cidr = Field("10.64.0.0/16", description="Addresses of a network that the stack makes, /16 to /20.")
    egress: Literal["nat", "private"] | None = Field(
        None,
        description="How machines reach the cloud's services: `nat`: one NAT gateway and the free storage endpoint. `private`: private "
        "endpoints only. Default: `nat`, in stage `prod` `private`.",
    )
    allowed_ranges: list[Cidr] = Field(
        [],
        description="Your own ranges: they may reach the cluster's API server (EKS, AKS) and, on Azure, the storage account. Never /0.",
    )
    bastion: bool = Field(False, description="Azure: a Bastion host (Standard) as the path from a laptop to machines.")


class IdentitySettings(Strict):
    """Identities that exist already: role ARN, service account's e-mail, or resource id of a managed identity."""

    training: str | None = Field(None, description="Identity of training containers.")
    serving: str | None = Field(None, description="Identity of serving containers.")
    host: str | None = Field(None, description="Identity of the machines' agent; on AWS an instance profile's ARN.")
    launcher: str | None = Field(None, description="Identity that starts runs.")
    releaser: str | None = Field(None, description="Identity that deploys.")
    approver: str | None = Field(None, description="Identity that approves.")
    custodian: str | None = Field(None, description="Identity that deletes.")
    nodes: str | None = Field(None, description="Clusters: identity of the nodes.")
    cluster: str | None = Field(None, description="Clusters: identity of the control plane (EKS, AKS).")
    autoscaler: str | None = Field(None, description="EKS: identity of the cluster autoscaler.")
    logs: str | None = Field(None, description="EKS: identity of the agent that ships the containers' output.")
    reaper: str | None = Field(
        None, description="Machines: identity of the function that removes what is past its end."
    )


class AccessSettings(Strict):
    """Who may do what: role or user ARNs; `user:`, `group:`, `serviceAccount:` or `principalSet:` of Google; object ids of Entra."""

    train: list[Principal] = Field([], description="May start, follow and cancel runs.")
    release: list[Principal] = Field([], description="May deploy and roll back.")
    approve: list[Principal] = Field([], description="May approve releases; none of them may also be in `release`.")
    predict: list[Principal] = Field([], description="May call the endpoints.")
    clean: list[Principal] = Field([], description="May delete models, datasets and runs.")


class ClusterSettings(Strict):
    """The Kubernetes cluster of gke, eks and aks."""

    name: str | None = Field(
        None,
        description="A cluster that exists already: its name on gke and eks, its resource id on aks. Default: a new one.",
    )
    version: str | None = Field(
        None, pattern=r"^1\.\d\d$", description="Kubernetes minor version. Default: the cloud's own default."
    )
    namespace: Name = Field("skylift", description="Namespace of the stack's workloads.")
    system_machine: str | None = Field(None, description="Machine type of the system pool. Default: 4 CPUs, 16 GiB.")
    system_max: int = Field(3, ge=1, le=100, description="Machines of the system pool at the most.")


class PoolSettings(Strict):
    """What runs may start from."""

    accelerator: Accelerator = Field("cpu", description="What computes.")
    count: int = Field(1, ge=1, le=16, description="Accelerators of one machine.")
    machines: list[str] = Field(
        [],
        max_length=8,
        description="Machine types in order of preference. Default: the cheapest that has the accelerators.",
    )
    zones: list[str] = Field([], max_length=8, description="Zones in order of preference. Default: all of the region.")
    spot: bool = Field(False, description="Whether runs may take interruptible machines at the lower price.")
    checkpoint_minutes: float = Field(
        10.0, ge=0, le=1440, description="Time between checkpoints of a run [min]. 0: none, which a spot pool refuses."
    )
    max_machines: int = Field(1, ge=1, le=256, description="Machines of the pool at the same time.")
    max_hours: float = Field(24.0, gt=0, le=720, description="Time after which a run's machines are removed [h].")
    disk_gib: int = Field(150, ge=50, le=16384, description="Boot disk of one machine [GiB].")


class ImageSettings(Strict):
    """The two images by digest; `skylift images` writes them here. Without them `up` leaves out what needs an image."""

    training: ImageDigest | None = Field(None, description="The training image.")
    serving: ImageDigest | None = Field(None, description="The serving image.")


class RetentionSettings(Strict):
    """How long things are kept that nobody asked to keep."""

    logs_days: Literal[7, 14, 30, 60, 90, 180, 365] = Field(30, description="Logs in the cloud's log store.")
    work_days: int = Field(30, ge=1, le=3650, description="What lies in work: status, events, logs, checkpoints.")
    versions_days: int = Field(30, ge=1, le=3650, description="Old and deleted versions in keep.")
    images: int = Field(30, ge=2, le=1000, description="Images of each kind in the registry.")


class BudgetSettings(Strict):
    """What the stack may cost."""

    monthly: float | None = Field(
        None,
        gt=0,
        description="Cost per month at which mails go out: at 50, 80 and 100 %, and when the forecast passes it [USD].",
    )
    billing_account: str | None = Field(
        None,
        pattern=r"^[0-9A-F]{6}(-[0-9A-F]{6}){2}$",
        description="Google: the billing account that budgets belong to.",
    )


class AlertSettings(Strict):
    """Who hears of trouble."""

    emails: list[Email] = Field([], max_length=20, description="Addresses for alarms and the budget.")
