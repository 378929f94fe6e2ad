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

from infra.kubernetes import access, jobset_webhooks
from infra.kubernetes import jobset_controller as controller
from infra.kubernetes.naming import labels

NAMESPACE = "jobset-system"
MANAGER = "jobset-controller-manager"

_CONFIGURATION = f"""\
apiVersion: config.jobset.x-k8s.io/v1alpha1
kind: Configuration
leaderElection:
  leaderElect: true
webhook:
  port: {jobset_webhooks.PORT}
"""
_CRD = Path(__file__).parent / "manifests" / "jobset-crd.json"


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
        metadata = k8s.meta.v1.ObjectMetaArgs(name=NAMESPACE, labels={**self._labels, **fence, **controller.SELECTOR})
        made = k8s.core.v1.Namespace(f"{name}-namespace", metadata=metadata, opts=self._child)
        self._namespace = made.metadata.apply(lambda found: str(found.name))
        account = k8s.core.v1.ServiceAccount(f"{name}-account", metadata=self._inside(MANAGER), opts=self._child)
        known = account.metadata.apply(lambda found: str(found.name))
        self._grants(known)
        before = [*self._files(), *jobset_webhooks.webhooks(name, self._service(), self._labels, self._child)]
        self.controller = k8s.apps.v1.Deployment(
            f"{name}-controller",
            metadata=self._inside(MANAGER),
            spec=controller.deployment(image, known, self._labels),
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
            spec=_as_pulumi(found["spec"]),
            opts=self._child,
        )

    def _grants(self, account: pulumi.Input[str]) -> None:
        subjects = [access.service_account(account, self._namespace)]
        access.cluster_grant(
            self._name,
            role="jobset-manager-role",
            rules=controller.manager_rules(),
            subjects=subjects,
            labels=self._labels,
            opts=self._child,
        )
        access.grant(
            self._name,
            role="jobset-leader-election-role",
            rules=controller.leader_rules(),
            subjects=subjects,
            namespace=self._namespace,
            labels=self._labels,
            opts=self._child,
        )

    def _files(self) -> list[pulumi.Resource]:
        secret = k8s.core.v1.Secret(
            f"{self._name}-certificate", metadata=self._inside(controller.CERTIFICATE), opts=self._child
        )
        data = {controller.FILE: _CONFIGURATION}
        metadata = self._inside(controller.CONFIGURATION)
        return [
            secret,
            k8s.core.v1.ConfigMap(f"{self._name}-configuration", metadata=metadata, data=data, opts=self._child),
        ]

    def _service(self) -> k8s.core.v1.Service:
        port = k8s.core.v1.ServicePortArgs(port=443, protocol="TCP", target_port=jobset_webhooks.PORT)
        spec = k8s.core.v1.ServiceSpecArgs(selector=controller.SELECTOR, ports=[port])
        metadata = self._inside("jobset-webhook-service")
        return k8s.core.v1.Service(f"{self._name}-webhook-service", metadata=metadata, spec=spec, opts=self._child)


def _as_pulumi(schema: Any) -> Any:
    """With `x_kubernetes_…` in the place of `x-kubernetes-…`: the names of Pulumi's schema, which its provider keeps in state and turns
    back for the API server (pulumi/pulumi-kubernetes#2128, #3348)."""
    if isinstance(schema, dict):
        return {_name(key): _as_pulumi(value) for key, value in schema.items()}
    return [_as_pulumi(one) for one in schema] if isinstance(schema, list) else schema


def _name(key: str) -> str:
    return key.replace("-", "_") if key.startswith("x-kubernetes-") else key
