"""An endpoint as pods of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes import network, serving_pod, tls
from infra.kubernetes.naming import labels, require_name
from infra.kubernetes.pods import Place, Toleration
from infra.kubernetes.serving_args import Metric, ServingArgs, Surroundings

__all__ = ["Metric", "Place", "Serving", "ServingArgs", "Surroundings", "Toleration"]


class Serving(pulumi.ComponentResource):
    """A served address: replicas behind a Service, as many as load asks for between the two bounds, at least all but one during drains.

    Costs what its replicas hold of the cluster; `internal` and `public` also a load balancer. Reached by pods of the namespace and by
    the listed ranges on one port, by nobody else. How many replicas there are is the autoscaler's to say and ignored by `up`.
    GPUs: written after the vendor's documentation, not tried on hardware.
    """

    def __init__(
        self,
        name: str,
        endpoint: str,
        args: ServingArgs,
        around: Surroundings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        require_name("endpoint", endpoint)
        super().__init__("skylift:kubernetes:Serving", name, {}, opts)
        self._name, self._endpoint, self._args, self._around = name, endpoint, args, around
        self._child = pulumi.ResourceOptions(parent=self)
        self._selector = {"app.kubernetes.io/name": endpoint, "app.kubernetes.io/component": "serving"}
        self._labels = labels(around.stack, around.tags, "serving", endpoint)
        self._policy()
        self._tls()
        deployment = self._deployment()
        self._scaling(deployment)
        self.service = self._service()
        self.url = self._address()
        self.register_outputs({"url": self.url})

    def _metadata(
        self, name: str | None = None, annotations: dict[str, str] | None = None
    ) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=name or self._endpoint,
            namespace=self._around.namespace,
            labels=self._labels,
            annotations=annotations,
        )

    def _policy(self) -> None:
        args, around = self._args, self._around
        spec = network.serving(self._selector, [args.port], args.allowed_cidrs, around.metadata)
        k8s.networking.v1.NetworkPolicy(f"{self._name}-policy", metadata=self._metadata(), spec=spec, opts=self._child)

    def _tls(self) -> None:
        if self._args.tls_secret is not None:
            metadata = self._metadata(tls.config_name(self._endpoint))
            data = {"nginx.conf": tls.CONFIGURATION}
            k8s.core.v1.ConfigMap(f"{self._name}-tls", metadata=metadata, data=data, opts=self._child)

    def _deployment(self) -> k8s.apps.v1.Deployment:
        template = serving_pod.template(self._endpoint, self._args, self._around, self._labels, self._selector)
        rolling = k8s.apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0)
        spec = k8s.apps.v1.DeploymentSpecArgs(
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector),
            strategy=k8s.apps.v1.DeploymentStrategyArgs(type="RollingUpdate", rolling_update=rolling),
            progress_deadline_seconds=1800,  # a node with a GPU may have to be made, and a large image pulled
            revision_history_limit=3,
            template=template,
        )
        # The autoscaler owns how many there are: not given here, and not mended when a refresh finds another number.
        options = pulumi.ResourceOptions(
            parent=self,
            ignore_changes=["spec.replicas"],
            custom_timeouts=pulumi.CustomTimeouts(create="35m", update="35m"),
        )
        return k8s.apps.v1.Deployment(f"{self._name}-deployment", metadata=self._metadata(), spec=spec, opts=options)

    def _scaling(self, deployment: k8s.apps.v1.Deployment) -> None:
        args = self._args
        target = k8s.autoscaling.v2.CrossVersionObjectReferenceArgs(
            api_version="apps/v1", kind="Deployment", name=deployment.metadata.apply(lambda found: str(found.name))
        )
        spec = k8s.autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=target,
            min_replicas=args.min_replicas,
            max_replicas=args.max_replicas,
            metrics=[_metric(args)],
            behavior=_behaviour(),
        )
        k8s.autoscaling.v2.HorizontalPodAutoscaler(
            f"{self._name}-autoscaler", metadata=self._metadata(), spec=spec, opts=self._child
        )
        budget = k8s.policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector),
            unhealthy_pod_eviction_policy="AlwaysAllow",
        )
        k8s.policy.v1.PodDisruptionBudget(
            f"{self._name}-budget", metadata=self._metadata(), spec=budget, opts=self._child
        )

    def _service(self) -> k8s.core.v1.Service:
        args, balanced = self._args, self._args.exposure != "cluster"
        port = k8s.core.v1.ServicePortArgs(name=args.scheme, port=_PORTS[args.scheme], target_port=args.port)
        spec = k8s.core.v1.ServiceSpecArgs(
            type="LoadBalancer" if balanced else "ClusterIP",
            selector=self._selector,
            ports=[port],
            load_balancer_source_ranges=list(args.allowed_cidrs) if balanced else None,
            # Keeps the caller's address, which the network policy judges by.
            external_traffic_policy="Local" if balanced else None,
        )
        notes = dict(self._around.load_balancers.get(args.exposure, {}))
        metadata = self._metadata(annotations=notes or None)
        return k8s.core.v1.Service(f"{self._name}-service", metadata=metadata, spec=spec, opts=self._child)

    def _address(self) -> pulumi.Output[str]:
        inside = pulumi.Output.concat(self._endpoint, ".", self._around.namespace, ".svc")
        balanced = self._args.exposure != "cluster"
        host = pulumi.Output.all(inside, self.service.status.apply(_balancer)).apply(_either) if balanced else inside
        return pulumi.Output.concat(self._args.scheme, "://", host)


_PORTS = {"http": 80, "https": 443}


def _balancer(status: k8s.core.v1.outputs.ServiceStatus | None) -> str | None:
    """Host name or address of the load balancer."""
    entries = status.load_balancer.ingress if status is not None and status.load_balancer is not None else None
    return (entries[0].hostname or entries[0].ip) if entries else None


def _either(hosts: Sequence[str | None]) -> str:
    """The load balancer's; the one inside the cluster until there is any."""
    inside, outside = hosts
    return str(outside or inside)


def _metric(args: ServingArgs) -> k8s.autoscaling.v2.MetricSpecArgs:
    if args.metric is None:
        target = k8s.autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=args.cpu_percent)
        source = k8s.autoscaling.v2.ContainerResourceMetricSourceArgs(container="serving", name="cpu", target=target)
        return k8s.autoscaling.v2.MetricSpecArgs(type="ContainerResource", container_resource=source)
    target = k8s.autoscaling.v2.MetricTargetArgs(type="AverageValue", average_value=args.metric.average)
    name = k8s.autoscaling.v2.MetricIdentifierArgs(name=args.metric.name)
    pods = k8s.autoscaling.v2.PodsMetricSourceArgs(metric=name, target=target)
    return k8s.autoscaling.v2.MetricSpecArgs(type="Pods", pods=pods)


def _behaviour() -> k8s.autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs:
    """Up at once and at most doubled a minute, down one replica a minute after five quiet ones."""
    policy, rules = k8s.autoscaling.v2.HPAScalingPolicyArgs, k8s.autoscaling.v2.HPAScalingRulesArgs
    up = rules(
        stabilization_window_seconds=0,
        select_policy="Max",
        policies=[
            policy(type="Percent", value=100, period_seconds=60),
            policy(type="Pods", value=2, period_seconds=60),
        ],
    )
    down = rules(stabilization_window_seconds=300, policies=[policy(type="Pods", value=1, period_seconds=60)])
    return k8s.autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(scale_up=up, scale_down=down)
