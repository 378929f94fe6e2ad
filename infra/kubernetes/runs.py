"""What a Job in a stack's namespace must be: whoever may start runs would otherwise choose whom they run as."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

_hooks = k8s.admissionregistration.v1
_ACCOUNT = "training"


def hold_to_training(
    name: str, namespace: pulumi.Input[str], own: Mapping[str, str], opts: pulumi.ResourceOptions
) -> None:
    """Refuse a Job whose pods run as another service account than training's. Jobs of a JobSet are held to it as well.

    Needs Kubernetes 1.30 or newer.
    """
    called = pulumi.Output.concat(namespace, "-runs")
    metadata = k8s.meta.v1.ObjectMetaArgs(name=called, labels=own)
    rule = _hooks.NamedRuleWithOperationsArgs(
        api_groups=["batch"], api_versions=["v1"], operations=["CREATE", "UPDATE"], resources=["jobs"]
    )
    check = _hooks.ValidationArgs(
        expression=f"object.spec.template.spec.?serviceAccountName.orValue('default') == '{_ACCOUNT}'",
        message=f"runs of this stack use the service account {_ACCOUNT}",
    )
    policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
        f"{name}-runs",
        metadata=metadata,
        spec=_hooks.ValidatingAdmissionPolicySpecArgs(
            failure_policy="Fail",
            match_constraints=_hooks.MatchResourcesArgs(resource_rules=[rule]),
            validations=[check],
        ),
        opts=opts,
    )
    here = k8s.meta.v1.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace})
    k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        f"{name}-runs-binding",
        metadata=metadata,
        spec=_hooks.ValidatingAdmissionPolicyBindingSpecArgs(
            policy_name=policy.metadata.apply(lambda found: str(found.name)),
            validation_actions=["Deny"],
            match_resources=_hooks.MatchResourcesArgs(namespace_selector=here),
        ),
        opts=opts,
    )
