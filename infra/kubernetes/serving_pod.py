"""The pods of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes import pods, tls
from infra.kubernetes.naming import GPU
from infra.kubernetes.serving_args import PORT, ServingArgs, Surroundings

LEAVE_SECONDS = 5
"""Between a pod's removal from its Service and SIGTERM: the server stops to listen at once, and load balancers learn of it late."""

_STOP_SECONDS = 10
_Mount = k8s.core.v1.VolumeMountArgs
_Volume = k8s.core.v1.VolumeArgs


def template(
    name: str, args: ServingArgs, around: Surroundings, labels: Mapping[str, str], selector: Mapping[str, str]
) -> k8s.core.v1.PodTemplateSpecArgs:
    """A pod that Pod Security `restricted` admits: any user but root, nothing to write on but what ends with it, no token of the
    API server."""
    sidecars = [] if args.tls_secret is None else [tls.sidecar(around.images["tls"])]
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels={**labels, **around.pod_labels, **selector}),
        spec=k8s.core.v1.PodSpecArgs(
            service_account_name=around.account,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pods.pod_security(),
            termination_grace_period_seconds=LEAVE_SECONDS + int(args.drain_seconds) + _STOP_SECONDS,
            init_containers=sidecars or None,
            containers=[_server(name, args, around)],
            volumes=[*_volumes(args), *([] if args.tls_secret is None else tls.volumes(name, args.tls_secret))],
            node_selector=dict(args.place.node_selector) or None,
            tolerations=pods.tolerations(args.place, args.gpus) or None,
            topology_spread_constraints=_spread(selector),
        ),
    )


def _server(name: str, args: ServingArgs, around: Surroundings) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name="serving",
        image=around.image,
        command=["python", "-P", "-m", "serving"],
        args=_options(name, args, around),
        env=_environment(args),
        ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT)],
        resources=_resources(args),
        security_context=pods.container_security(),
        volume_mounts=[
            _Mount(name="cache", mount_path="/cache"),
            _Mount(name="tmp", mount_path="/tmp"),  # noqa: S108  # a volume of the pod's own
            _Mount(name="shm", mount_path="/dev/shm"),  # noqa: S108
        ],
        # /healthz is the process alone; /readyz waits for the model, however long its download takes.
        startup_probe=pods.http_probe("/healthz", "http", period=2, failures=90),
        readiness_probe=pods.http_probe("/readyz", "http", period=5, failures=2),
        liveness_probe=pods.http_probe("/healthz", "http", period=10, failures=6, timeout=5),
        lifecycle=k8s.core.v1.LifecycleArgs(
            pre_stop=k8s.core.v1.LifecycleHandlerArgs(sleep=k8s.core.v1.SleepActionArgs(seconds=LEAVE_SECONDS))
        ),
    )


def _options(name: str, args: ServingArgs, around: Surroundings) -> list[pulumi.Input[str]]:
    """The flags of serving/arguments.py. With TLS only the sidecar of the same pod reaches the server... but for the kubelet's probes,
    so it listens on every address either way; the network policy opens one port alone."""
    flags: dict[str, pulumi.Input[str]] = {
        "--endpoint": pulumi.Output.concat(around.keep, f"/endpoints/{name}"),
        "--work": around.work,
        "--host": "0.0.0.0",  # noqa: S104  # a pod's own address; the network policy says who may come
        "--port": str(PORT),
        "--workers": str(args.workers),
        "--threads": str(args.threads),
        "--backend": args.backend,
        "--queue-rows": str(args.queue_rows),
        "--max-batch-rows": str(args.max_batch_rows),
        "--drain-seconds": f"{args.drain_seconds:g}",
        "--cache": "/cache",
        "--replica": "$(POD_NAME)",
    }
    parts = [part for flag in flags.items() for part in flag]
    return [*parts, "--approval"] if args.approval else parts


def _environment(args: ServingArgs) -> list[k8s.core.v1.EnvVarArgs]:
    field = k8s.core.v1.ObjectFieldSelectorArgs(field_path="metadata.name")
    plain = {"HOME": "/tmp", "XDG_CACHE_HOME": "/cache", "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: S108
    if args.gpus:
        plain["TF_GPU_ALLOCATOR"] = "cuda_malloc_async"
    if args.api_keys:
        plain["SKYLIFT_API_KEYS"] = args.api_keys
    return [
        k8s.core.v1.EnvVarArgs(name="POD_NAME", value_from=k8s.core.v1.EnvVarSourceArgs(field_ref=field)),
        *(k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in plain.items()),
    ]


def _resources(args: ServingArgs) -> k8s.core.v1.ResourceRequirementsArgs:
    """CPU without a limit (throttling costs latency), memory with one, GPUs as limits alone, as extended resources want it."""
    memory = _mebibytes(args.memory_gib)
    disk = _mebibytes(args.cache_gib + 1)
    limits = {"memory": memory, "ephemeral-storage": disk}
    if args.gpus:
        limits[GPU] = str(args.gpus)
    asked = {"cpu": f"{round(args.cpus * 1000)}m", "memory": memory, "ephemeral-storage": disk}
    return k8s.core.v1.ResourceRequirementsArgs(requests=asked, limits=limits)


def _volumes(args: ServingArgs) -> list[_Volume]:
    def empty(size: float, medium: str | None = None) -> k8s.core.v1.EmptyDirVolumeSourceArgs:
        return k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit=_mebibytes(size), medium=medium)

    return [
        _Volume(name="cache", empty_dir=empty(args.cache_gib)),
        _Volume(name="tmp", empty_dir=empty(1)),
        _Volume(name="shm", empty_dir=empty(args.shm_gib, "Memory")),
    ]


def _spread(selector: Mapping[str, str]) -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
    """Over zones and hosts where that can be had; a replica in a poor place is better than none."""
    return [
        k8s.core.v1.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
            match_label_keys=["pod-template-hash"],
        )
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _mebibytes(gib: float) -> str:
    return f"{round(gib * 1024)}Mi"
