"""JobSet: groups of Jobs that start and restart together, for runs of several machines.

After config/ of sigs.k8s.io/jobset v0.8.2 (Copyright The Kubernetes Authors, Apache License 2.0), as its kustomization composes it with
webhooks and certificates of its own making. Left out: the metrics service and its roles (nothing scrapes it here) and the conversion
webhook (there is one version).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes import access, jobset_webhooks, pods
from infra.kubernetes.naming import labels

NAMESPACE = "jobset-system"
MANAGER = "jobset-controller-manager"
CERTIFICATE = "jobset-webhook-server-cert"
"""The Secret that the controller fills, and renews before it ends."""

_CONFIGURATION = """\
apiVersion: config.jobset.x-k8s.io/v1alpha1
kind: Configuration
leaderElection:
  leaderElect: true
"""
_FILE = "controller_manager_config.yaml"
_SELECTOR = {"control-plane": "controller-manager"}
_CRD = Path(__file__).parent / "manifests" / "jobset-crd.json"
_USER = 65532


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition of JobSets; manifests/README.md says where it comes from."""
    found: dict[str, Any] = json.loads(_CRD.read_text(encoding="utf-8"))
    return found


class JobSet(pulumi.ComponentResource):
    """The kind JobSet and its controller in a namespace of its own, Pod Security `restricted`.

    Costs half a core of the system pool. The controller may read Secrets of the whole cluster, as upstream has it. Its webhooks see
    JobSets and their pods alone, so that while it is away nothing else is held up. `down` removes the kind, and with it every JobSet.
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
        super().__init__("skylift:kubernetes:JobSet", name, {}, opts)
        self._name, self._child = name, pulumi.ResourceOptions(parent=self)
        self._labels = labels(stack, tags, "jobset", "jobset")
        self._kind()
        fence = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        metadata = k8s.meta.v1.ObjectMetaArgs(name=NAMESPACE, labels={**self._labels, **fence, **_SELECTOR})
        made = k8s.core.v1.Namespace(f"{name}-namespace", metadata=metadata, opts=self._child)
        self._namespace = made.metadata.apply(lambda found: str(found.name))
        account = k8s.core.v1.ServiceAccount(f"{name}-account", metadata=self._inside(MANAGER), opts=self._child)
        known = account.metadata.apply(lambda found: str(found.name))
        self._grants(known)
        before = [*self._files(), *jobset_webhooks.webhooks(name, self._service(), self._labels, self._child)]
        self.controller = k8s.apps.v1.Deployment(
            f"{name}-controller",
            metadata=self._inside(MANAGER),
            spec=_controller(image, known, self._labels),
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        self.register_outputs({"controller": self.controller.id})

    def _inside(self, name: str) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(name=name, namespace=self._namespace, labels=self._labels)

    def _kind(self) -> None:
        # Untyped, for the typed class turns five thousand nodes of schema into objects and back at every preview.
        found = definition()
        metadata = k8s.meta.v1.ObjectMetaArgs(
            name=found["metadata"]["name"], annotations=found["metadata"]["annotations"], labels=self._labels
        )
        k8s.apiextensions.CustomResource(
            f"{self._name}-definition",
            api_version=found["apiVersion"],
            kind=found["kind"],
            metadata=metadata,
            spec=found["spec"],
            opts=self._child,
        )

    def _grants(self, account: pulumi.Input[str]) -> None:
        subjects = [access.service_account(account, self._namespace)]
        access.cluster_grant(
            self._name,
            role="jobset-manager-role",
            rules=_manager_rules(),
            subjects=subjects,
            labels=self._labels,
            opts=self._child,
        )
        access.grant(
            self._name,
            role="jobset-leader-election-role",
            rules=_leader_rules(),
            subjects=subjects,
            namespace=self._namespace,
            labels=self._labels,
            opts=self._child,
        )

    def _files(self) -> list[pulumi.Resource]:
        secret = k8s.core.v1.Secret(f"{self._name}-certificate", metadata=self._inside(CERTIFICATE), opts=self._child)
        data = {_FILE: _CONFIGURATION}
        metadata = self._inside("jobset-manager-config")
        return [
            secret,
            k8s.core.v1.ConfigMap(f"{self._name}-configuration", metadata=metadata, data=data, opts=self._child),
        ]

    def _service(self) -> k8s.core.v1.Service:
        port = k8s.core.v1.ServicePortArgs(port=443, protocol="TCP", target_port=jobset_webhooks.PORT)
        spec = k8s.core.v1.ServiceSpecArgs(selector=_SELECTOR, ports=[port])
        metadata = self._inside("jobset-webhook-service")
        return k8s.core.v1.Service(f"{self._name}-webhook-service", metadata=metadata, spec=spec, opts=self._child)


def _controller(image: str, account: pulumi.Input[str], own: Mapping[str, str]) -> k8s.apps.v1.DeploymentSpecArgs:
    probe = k8s.core.v1.ProbeArgs
    manager = k8s.core.v1.ContainerArgs(
        name="manager",
        image=image,
        command=["/manager"],
        args=[f"--config=/{_FILE}", "--zap-log-level=2"],
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
            k8s.core.v1.VolumeMountArgs(name="configuration", mount_path=f"/{_FILE}", sub_path=_FILE),
            k8s.core.v1.VolumeMountArgs(
                name="certificate",
                mount_path="/tmp/k8s-webhook-server/serving-certs",
                read_only=True,  # noqa: S108
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
                name="configuration", config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name="jobset-manager-config")
            ),
            k8s.core.v1.VolumeArgs(
                name="certificate",
                secret=k8s.core.v1.SecretVolumeSourceArgs(secret_name=CERTIFICATE, default_mode=0o440),
            ),
        ],
    )
    return k8s.apps.v1.DeploymentSpecArgs(
        replicas=1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=_SELECTOR),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels={**own, **_SELECTOR}), spec=pod
        ),
    )


_CHANGE = ["create", "delete", "get", "list", "patch", "update", "watch"]


def _manager_rules() -> list[k8s.rbac.v1.PolicyRuleArgs]:
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


def _leader_rules() -> list[k8s.rbac.v1.PolicyRuleArgs]:
    """config/components/rbac/leader_election_role.yaml."""
    return [
        access.rule("", ["configmaps"], _CHANGE),
        access.rule("coordination.k8s.io", ["leases"], _CHANGE),
        access.rule("", ["events"], ["create", "patch"]),
    ]
