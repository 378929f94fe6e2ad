"""What runs in a cluster, whichever cloud it is of: composed here, called by cluster.py of each cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from infra.kubernetes.access import Subject
from infra.kubernetes.autoscaler import Autoscaler, AutoscalerArgs
from infra.kubernetes.device_plugin import DevicePlugin
from infra.kubernetes.jobset import JobSet
from infra.kubernetes.namespace import Account, Namespace, NamespaceArgs, Quota
from infra.kubernetes.naming import GPU_NODES, IMAGES, POOL_LABEL, Role
from infra.kubernetes.network import AKS_WORKLOAD_IDENTITY, EKS_POD_IDENTITY, GKE_METADATA, Address
from infra.kubernetes.serving import Metric, Place, Serving, ServingArgs, Surroundings, Toleration
from skylift.errors import InputError

__all__ = [
    "AKS_WORKLOAD_IDENTITY",
    "EKS_POD_IDENTITY",
    "GKE_METADATA",
    "GPU_NODES",
    "POOL_LABEL",
    "Account",
    "Address",
    "AutoscalerArgs",
    "Metric",
    "Place",
    "Quota",
    "ServingArgs",
    "Subject",
    "Toleration",
    "Workloads",
    "WorkloadsArgs",
]


@dataclass(frozen=True, kw_only=True)
class WorkloadsArgs:
    """What a cluster of a stack runs.

    Args:
        tags: labels on everything, made fit for Kubernetes.
        metadata: where pods get their identity's tokens: GKE_METADATA, EKS_POD_IDENTITY or AKS_WORKLOAD_IDENTITY.
        service_accounts: how the cloud knows those of the namespace; all three are made, listed or not.
        launchers: people and robots outside of the cluster that may train.
        callers: people and robots that may reach endpoints through the API server (`skylift predict` from a laptop).
        serving_image: REGISTRY/NAME@sha256:…; without it no endpoint is made, and the stack says so.
        device_plugin: where the cloud installs none: EKS with Amazon Linux, AKS. Nodes of GPU pools carry GPU_NODES.
        jobset: the controller for runs of several machines that restart together.
        images: of others, see naming.IMAGES, to be named from a mirror.
        internal_load_balancer_annotations: what keeps a load balancer inside of the stack's network, per cloud.
        public_load_balancer_annotations: what makes one on the internet keep the callers' addresses, where the cloud needs to be told.
    """

    namespace: str
    stack: str
    quota: Quota
    metadata: Sequence[Address]
    keep: pulumi.Input[str]
    work: pulumi.Input[str]
    tags: Mapping[str, str] = field(default_factory=dict)
    service_accounts: Mapping[Role, Account] = field(default_factory=dict)
    launchers: Sequence[Subject] = ()
    callers: Sequence[Subject] = ()
    endpoints: Mapping[str, ServingArgs] = field(default_factory=dict)
    serving_image: str | None = None
    device_plugin: bool = False
    autoscaler: AutoscalerArgs | None = None
    jobset: bool = True
    images: Mapping[str, str] = field(default_factory=dict)
    internal_load_balancer_annotations: Mapping[str, str] = field(default_factory=dict)
    public_load_balancer_annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.images) - set(IMAGES))
        if unknown:
            raise InputError(f"no image is called {unknown[0]!r}", hint=f"there is {', '.join(sorted(IMAGES))}")
        if not self.internal_load_balancer_annotations:
            for name, endpoint in self.endpoints.items():
                if endpoint.exposure == "internal":
                    raise InputError(
                        f"endpoint {name!r} would get a load balancer on the internet",
                        hint="give internal_load_balancer_annotations of the cloud",
                    )


class Workloads(pulumi.ComponentResource):
    """Everything that a stack runs in its cluster. The provider comes from `opts`.

    Attributes:
        urls: of each endpoint, by name; without those left out.
        left_out: endpoints that wait for a serving image.
    """

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skylift:kubernetes:Workloads", name, {}, opts)
        self._name, self._args = name, args
        self._images = {**IMAGES, **args.images}
        child = pulumi.ResourceOptions(parent=self)
        self.namespace = Namespace(f"{name}-namespace", self._namespace(), child)
        if args.jobset:
            JobSet(f"{name}-jobset", image=self._images["jobset"], stack=args.stack, tags=args.tags, opts=child)
        if args.device_plugin:
            image = self._images["device-plugin"]
            DevicePlugin(f"{name}-device-plugin", image=image, stack=args.stack, tags=args.tags, opts=child)
        if args.autoscaler is not None:
            image = self._images["cluster-autoscaler"]
            Autoscaler(f"{name}-autoscaler", args.autoscaler, image=image, stack=args.stack, tags=args.tags, opts=child)
        self.left_out: tuple[str, ...] = () if args.serving_image else tuple(args.endpoints)
        self.urls: dict[str, pulumi.Output[str]] = self._serve(args.serving_image)
        self.register_outputs({"namespace": self.namespace.namespace, "urls": self.urls})

    def _namespace(self) -> NamespaceArgs:
        args = self._args
        return NamespaceArgs(
            namespace=args.namespace,
            stack=args.stack,
            quota=args.quota,
            metadata=args.metadata,
            tags=args.tags,
            service_accounts=args.service_accounts,
            launchers=args.launchers,
            callers=args.callers,
        )

    def _serve(self, image: str | None) -> dict[str, pulumi.Output[str]]:
        if image is None:
            if self.left_out:
                names = ", ".join(self.left_out)
                pulumi.info(f"endpoints left out until skylift:images.serving names an image: {names}", self)
            return {}
        around = self._around(image)
        opts = pulumi.ResourceOptions(parent=self, depends_on=[self.namespace])
        endpoints = self._args.endpoints.items()
        return {name: Serving(f"{self._name}-{name}", name, endpoint, around, opts).url for name, endpoint in endpoints}

    def _around(self, image: str) -> Surroundings:
        args = self._args
        return Surroundings(
            stack=args.stack,
            tags=args.tags,
            namespace=self.namespace.namespace,
            image=image,
            images=self._images,
            account=self.namespace.accounts["serving"],
            pod_labels=args.service_accounts.get("serving", Account()).pod_labels,
            keep=args.keep,
            work=args.work,
            metadata=args.metadata,
            load_balancers={
                "internal": args.internal_load_balancer_annotations,
                "public": args.public_load_balancer_annotations,
            },
        )
