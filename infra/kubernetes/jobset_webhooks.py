"""JobSet's webhooks: defaults and checks of JobSets, and of the pods that belong to one. See jobset.py for their origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as k8s

PORT = 10250
"""Where the controller answers, in the place of upstream's 9443. The control plane must reach it, and that of a private GKE cluster
reaches 443 and 10250 without a firewall rule of ours:
https://cloud.google.com/kubernetes-engine/docs/how-to/private-clusters#add_firewall_rules"""

_hooks = k8s.admissionregistration.v1
_JOBSETS = ("jobset.x-k8s.io", "v1alpha2", "jobsets")
_PODS = ("", "v1", "pods")


def webhooks(
    name: str, service: k8s.core.v1.Service, own: Mapping[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Both configurations. The controller writes the certificate of its authority into them, which is no field of ours and so neither
    drift nor undone."""
    mutating = [
        _hooks.MutatingWebhookArgs(
            name=hook,
            admission_review_versions=["v1"],
            client_config=_client(service, path),
            failure_policy="Fail",
            object_selector=selector,
            rules=[_rule(kind, ["CREATE"])],
            side_effects="None",
        )
        for hook, path, kind, selector in (
            ("mjobset.kb.io", "/mutate-jobset-x-k8s-io-v1alpha2-jobset", _JOBSETS, None),
            ("mpod.kb.io", "/mutate--v1-pod", _PODS, _of_jobsets()),
        )
    ]
    validating = [
        _hooks.ValidatingWebhookArgs(
            name=hook,
            admission_review_versions=["v1"],
            client_config=_client(service, path),
            failure_policy="Fail",
            object_selector=selector,
            rules=[_rule(kind, operations)],
            side_effects="None",
        )
        for hook, path, kind, operations, selector in (
            ("vjobset.kb.io", "/validate-jobset-x-k8s-io-v1alpha2-jobset", _JOBSETS, ["CREATE", "UPDATE"], None),
            ("vpod.kb.io", "/validate--v1-pod", _PODS, ["CREATE"], _of_jobsets()),
        )
    ]
    return [
        _hooks.MutatingWebhookConfiguration(
            f"{name}-mutating", metadata=_named("mutating", own), webhooks=mutating, opts=opts
        ),
        _hooks.ValidatingWebhookConfiguration(
            f"{name}-validating", metadata=_named("validating", own), webhooks=validating, opts=opts
        ),
    ]


def _named(kind: str, own: Mapping[str, str]) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(name=f"jobset-{kind}-webhook-configuration", labels=own)


def _client(service: k8s.core.v1.Service, path: str) -> k8s.admissionregistration.v1.WebhookClientConfigArgs:
    reference = _hooks.ServiceReferenceArgs(
        name=service.metadata.apply(lambda found: str(found.name)),
        namespace=service.metadata.apply(lambda found: str(found.namespace)),
        path=path,
    )
    return _hooks.WebhookClientConfigArgs(service=reference)


def _rule(kind: tuple[str, str, str], operations: Sequence[str]) -> k8s.admissionregistration.v1.RuleWithOperationsArgs:
    group, version, resource = kind
    return _hooks.RuleWithOperationsArgs(
        api_groups=[group], api_versions=[version], resources=[resource], operations=list(operations)
    )


def _of_jobsets() -> k8s.meta.v1.LabelSelectorArgs:
    requirement = k8s.meta.v1.LabelSelectorRequirementArgs(key="jobset.sigs.k8s.io/jobset-name", operator="Exists")
    return k8s.meta.v1.LabelSelectorArgs(match_expressions=[requirement])
