"""JobSet's controller: its pods and what they may do. See jobset.py for their origin."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes import access, jobset_webhooks, pods

CERTIFICATE = "jobset-webhook-server-cert"
"""The Secret that the controller fills, and renews before it ends."""

CONFIGURATION = "jobset-manager-config"
"""The ConfigMap with the one file that the controller reads."""

FILE = "controller_manager_config.yaml"
SELECTOR = {"control-plane": "controller-manager"}
_USER = 65532


def deployment(image: str, account: pulumi.Input[str], own: Mapping[str, str]) -> k8s.apps.v1.DeploymentSpecArgs:
    """config/components/manager/manager.yaml with the patches of config/default, and a root file system that cannot be written."""
    probe = k8s.core.v1.ProbeArgs
    manager = k8s.core.v1.ContainerArgs(
        name="manager",
        image=image,
        command=["/manager"],
        args=[f"--config=/{FILE}", "--zap-log-level=2"],
        ports=[k8s.core.v1.ContainerPortArgs(name="webhook-server", container_port=jobset_webhooks.PORT)],
        liveness_probe=probe(
            http_get=k8s.core.v1.HTTPGetActionArgs(path="/healthz", port=8081),
            initial_delay_seconds=15,
            period_seconds=20,
        ),
        readiness_probe=probe(
            http_get=k8s.core.v1.HTTPGetActionArgs(path="/readyz", port=8081),
            initial_delay_seconds=5,
            period_seconds=10,
        ),
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "500m", "memory": "128Mi"}, limits={"memory": "4Gi"}
        ),
        security_context=pods.container_security(),
        volume_mounts=[
            k8s.core.v1.VolumeMountArgs(name="configuration", mount_path=f"/{FILE}", sub_path=FILE),
            k8s.core.v1.VolumeMountArgs(
                name="certificate",
                mount_path="/tmp/k8s-webhook-server/serving-certs",  # noqa: S108  # where the controller looks
                read_only=True,
            ),
        ],
    )
    pod = k8s.core.v1.PodSpecArgs(
        service_account_name=account,
        security_context=pods.pod_security(_USER),
        termination_grace_period_seconds=10,
        containers=[manager],
        volumes=[
            k8s.core.v1.VolumeArgs(
                name="configuration", config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=CONFIGURATION)
            ),
            k8s.core.v1.VolumeArgs(
                name="certificate",
                secret=k8s.core.v1.SecretVolumeSourceArgs(secret_name=CERTIFICATE, default_mode=0o440),
            ),
        ],
    )
    return k8s.apps.v1.DeploymentSpecArgs(
        replicas=1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=SELECTOR),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels={**own, **SELECTOR}), spec=pod
        ),
    )


_CHANGE = ["create", "delete", "get", "list", "patch", "update", "watch"]


def manager_rules() -> list[k8s.rbac.v1.PolicyRuleArgs]:
    """config/components/rbac/role.yaml."""
    jobsets = "jobset.x-k8s.io"
    hooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
    return [
        access.rule("", ["events"], ["create", "patch", "update", "watch"]),
        access.rule("", ["nodes"], ["get", "list", "watch"]),
        access.rule("", ["pods", "services"], _CHANGE),
        access.rule("", ["secrets"], ["get", "list", "update", "watch"]),
        access.rule("admissionregistration.k8s.io", hooks, ["get", "list", "update", "watch"]),
        access.rule("batch", ["jobs"], _CHANGE),
        access.rule("batch", ["jobs/status"], ["get", "patch", "update"]),
        access.rule(jobsets, ["jobsets"], _CHANGE),
        access.rule(jobsets, ["jobsets/finalizers"], ["update"]),
        access.rule(jobsets, ["jobsets/status"], ["get", "patch", "update"]),
    ]


def leader_rules() -> list[k8s.rbac.v1.PolicyRuleArgs]:
    """config/components/rbac/leader_election_role.yaml."""
    return [
        access.rule("", ["configmaps"], _CHANGE),
        access.rule("coordination.k8s.io", ["leases"], _CHANGE),
        access.rule("", ["events"], ["create", "patch"]),
    ]
