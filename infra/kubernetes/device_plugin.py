"""NVIDIA's device plugin, for clusters whose cloud installs none."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes import pods
from infra.kubernetes.naming import GPU, GPU_NODES, SYSTEM, labels

NAME = "nvidia-device-plugin"
_SOCKETS = "/var/lib/kubelet/device-plugins"


class DevicePlugin(pulumi.ComponentResource):
    """Tells each node's kubelet of its GPUs. Costs nothing: it stands on nodes of GPU pools that run anyway, and a DaemonSet never
    makes an autoscaler add one. Needs a folder of the host, so it lives in kube-system.

    After deployments/static/nvidia-device-plugin.yml of NVIDIA/k8s-device-plugin 0.17.1. Not tried on hardware.
    """

    def __init__(
        self,
        name: str,
        *,
        image: str,
        stack: str,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("skylift:kubernetes:DevicePlugin", name, {}, opts)
        own = labels(stack, tags, NAME, NAME)
        selector = {"app.kubernetes.io/name": NAME}
        rolling = k8s.apps.v1.DaemonSetUpdateStrategyArgs(type="RollingUpdate")
        self.daemon = k8s.apps.v1.DaemonSet(
            f"{name}-daemon",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=NAME, namespace=SYSTEM, labels=own),
            spec=k8s.apps.v1.DaemonSetSpecArgs(
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
                update_strategy=rolling,
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels={**own, **selector}), spec=_pod(image)
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"daemon": self.daemon.id})


def _pod(image: str) -> k8s.core.v1.PodSpecArgs:
    container = k8s.core.v1.ContainerArgs(
        name="plugin",
        image=image,
        env=[k8s.core.v1.EnvVarArgs(name="FAIL_ON_INIT_ERROR", value="false")],
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "20m", "memory": "64Mi"}, limits={"memory": "128Mi"}
        ),
        # As upstream has it: root, for the folder is the kubelet's, with no capability.
        security_context=k8s.core.v1.SecurityContextArgs(
            allow_privilege_escalation=False, capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"])
        ),
        volume_mounts=[k8s.core.v1.VolumeMountArgs(name="sockets", mount_path=_SOCKETS)],
    )
    return k8s.core.v1.PodSpecArgs(
        node_selector=GPU_NODES,
        # Spot nodes of AKS carry a taint of their own.
        tolerations=[
            pods.toleration(pods.Toleration(key=GPU)),
            pods.toleration(pods.Toleration(key="kubernetes.azure.com/scalesetpriority")),
        ],
        priority_class_name="system-node-critical",
        automount_service_account_token=False,
        security_context=k8s.core.v1.PodSecurityContextArgs(
            seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault")
        ),
        containers=[container],
        volumes=[k8s.core.v1.VolumeArgs(name="sockets", host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=_SOCKETS))],
    )
