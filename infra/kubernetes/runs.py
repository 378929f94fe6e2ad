"""What a run in a stack's namespace must be: whoever may start runs would otherwise choose whom they run as."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

_hooks = k8s.admissionregistration.v1
_ACCOUNT = "training"
_IS_TRAINING = f"serviceAccountName.orValue('default') == '{_ACCOUNT}'"

# JobSets are looked at themselves, too: their controller tells nobody that the API server refuses its Jobs.
_KINDS = {
    "jobs": ("batch", "v1", f"object.spec.template.spec.?{_IS_TRAINING}"),
    "jobsets": (
        "jobset.x-k8s.io",
        "v1alpha2",
        f"object.spec.replicatedJobs.all(job, job.template.spec.template.spec.?{_IS_TRAINING})",
    ),
}


def hold_to_training(
    name: str, namespace: pulumi.Input[str], own: Mapping[str, str], opts: pulumi.ResourceOptions
) -> None:
    """Refuse Jobs and JobSets whose pods would run as another service account than training's.

    Needs Kubernetes 1.30 or newer.
    """
    here = k8s.meta.v1.LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace})
    for kind, (group, version, expression) in _KINDS.items():
        metadata = k8s.meta.v1.ObjectMetaArgs(name=pulumi.Output.concat(namespace, "-", kind), labels=own)
        policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{name}-{kind}", metadata=metadata, spec=_policy(group, version, kind, expression), opts=opts
        )
        k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{name}-{kind}-binding",
            metadata=metadata,
            spec=_hooks.ValidatingAdmissionPolicyBindingSpecArgs(
                policy_name=policy.metadata.apply(lambda found: str(found.name)),
                validation_actions=["Deny"],
                match_resources=_hooks.MatchResourcesArgs(namespace_selector=here),
            ),
            opts=opts,
        )


def _policy(
    group: str, version: str, kind: str, expression: str
) -> k8s.admissionregistration.v1.ValidatingAdmissionPolicySpecArgs:
    rule = _hooks.NamedRuleWithOperationsArgs(
        api_groups=[group], api_versions=[version], operations=["CREATE", "UPDATE"], resources=[kind]
    )
    message = f"runs of this stack use the service account {_ACCOUNT}"
    return _hooks.ValidatingAdmissionPolicySpecArgs(
        failure_policy="Fail",
        match_constraints=_hooks.MatchResourcesArgs(resource_rules=[rule]),
        validations=[_hooks.ValidationArgs(expression=expression, message=message)],
    )
