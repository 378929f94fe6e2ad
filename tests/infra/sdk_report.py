"""A program of test_lazy.py: tells as JSON what an SDK looks like, and what becomes of some resources, after `lazy.install()`."""

from __future__ import annotations

import asyncio
import importlib
import json
import pickle
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from types import ModuleType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pulumi
from pulumi import _types

from infra import lazy

MODULES = {
    "pulumi_aws": ("s3", "eks"),
    "pulumi_gcp": ("storage", "vertex"),
    "pulumi_azure_native": ("storage", "keyvault"),
    "pulumi_kubernetes": ("apps.v1", "autoscaling.v2"),
}


def origins(module: ModuleType, names: list[str]) -> dict[str, str]:
    """Where each name of a module comes from."""
    return {name: _origin(getattr(module, name)) for name in names if not name.startswith("__")}


def _origin(value: Any) -> str:
    if isinstance(value, ModuleType):
        return f"module {value.__name__}"
    return f"{type(value).__name__} {getattr(value, '__module__', '')} {getattr(value, '__qualname__', '')}"


def types(module: ModuleType, names: list[str]) -> dict[str, str]:
    """What annotations come to: properties of nested types and resources, keys of TypedDicts, values of enums."""
    outputs = [getattr(module.outputs, name) for name in module.outputs.__all__]
    found = [each for each in (*(getattr(module, name) for name in names), *outputs) if isinstance(each, type)]
    return {f"{each.__module__}.{each.__qualname__}": _type(each) for each in found}


def _type(each: type) -> str:
    if _types.is_input_type(each):
        return f"{_plain(_types.input_type_types(each))} {_types.input_type_py_to_pulumi_names(each)}"
    if _types.is_output_type(each):
        return f"{_plain(_types.output_type_types(each))}"
    if issubclass(each, pulumi.Resource):
        return f"{_plain(_types.resource_types(each))} {_types.resource_py_to_pulumi_names(each)}"
    if issubclass(each, dict):
        return f"{get_type_hints(each, localns={'Output': pulumi.Output, 'T': type(None)})} {sorted(each.__required_keys__)}"  # type: ignore[attr-defined]
    return str(list(each)) if hasattr(each, "__members__") else str(each.__mro__)


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """Types by property; a choice of plain values and enums is told as the text that it mostly is, for nothing else is asked of it."""
    return {name: str if _is_choice(hint) else hint for name, hint in found.items()}


def _is_choice(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return True
    if get_origin(hint) is not Union:
        return False
    members = [each for each in get_args(hint) if get_origin(each) not in (Awaitable, pulumi.Output)]
    return all(
        isinstance(each, type) and (each in (str, int, float, bool, type(None)) or issubclass(each, Enum))
        for each in members
    )


# what becomes of some resources


def gcp() -> dict[str, pulumi.Output[Any]]:
    import pulumi_gcp as gcp

    rule = gcp.storage.BucketLifecycleRuleArgs(
        action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
        condition=gcp.storage.BucketLifecycleRuleConditionArgs(num_newer_versions=3),
    )
    plain: Any = {"action": {"type": "Delete"}, "condition": {"num_newer_versions": 4}}
    bucket = gcp.storage.Bucket("b", location="EU", lifecycle_rules=[rule, plain])
    pool = gcp.container.NodePool(
        "p", cluster="c", node_config=gcp.container.NodePoolNodeConfigArgs(machine_type="g2-standard-4", spot=True)
    )
    return {
        "condition": bucket.lifecycle_rules.apply(lambda rules: rules and rules[1].condition.num_newer_versions),
        "machine": pool.node_config.machine_type,
    }


def aws() -> dict[str, pulumi.Output[Any]]:
    import pulumi_aws as aws

    template = aws.ec2.LaunchTemplate(
        "t",
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(http_tokens="required"),
        block_device_mappings=[{"device_name": "/dev/sda1", "ebs": {"volume_size": 100}}],
    )
    policy = aws.iam.get_policy_document(statements=[aws.iam.GetPolicyDocumentStatementArgs(actions=["s3:GetObject"])])
    return {
        "tokens": template.metadata_options.http_tokens,
        "size": template.block_device_mappings.apply(lambda found: found and found[0].ebs and found[0].ebs.volume_size),
        "policy": pulumi.Output.from_input(policy.json),
    }


def azure() -> dict[str, pulumi.Output[Any]]:
    import pulumi_azure_native as azure

    account = azure.storage.StorageAccount(
        "a",
        resource_group_name="g",
        kind=azure.storage.Kind.STORAGE_V2,
        sku=azure.storage.SkuArgs(name=azure.storage.SkuName.STANDARD_LRS),
        network_rule_set={"default_action": azure.storage.DefaultAction.DENY},
    )
    return {"sku": account.sku.name, "kind": account.kind}


def kubernetes() -> dict[str, pulumi.Output[Any]]:
    import pulumi_kubernetes as k8s

    pod = k8s.core.v1.PodTemplateSpecArgs(
        spec=k8s.core.v1.PodSpecArgs(
            containers=[k8s.core.v1.ContainerArgs(name="c", image_pull_policy="Always")], host_network=False
        )
    )
    labels = k8s.meta.v1.LabelSelectorArgs(match_labels={"match_labels": "kept"})
    deployment = k8s.apps.v1.Deployment("d", spec=k8s.apps.v1.DeploymentSpecArgs(selector=labels, template=pod))
    return {"host": deployment.spec.template.spec.host_network}


PROGRAMS: dict[str, Callable[[], dict[str, pulumi.Output[Any]]]] = {
    "pulumi_aws": aws,
    "pulumi_gcp": gcp,
    "pulumi_azure_native": azure,
    "pulumi_kubernetes": kubernetes,
}


class Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        if args.typ != "t:t:Old":
            self.inputs[args.name] = args.inputs
        return f"{args.name}-id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[Any, Any]:
        return {**args.args, "json": "{}", "id": "i", "minifiedJson": "{}"}


class Old(pulumi.ComponentResource):
    def __init__(self) -> None:
        super().__init__("t:t:Old", "new", {}, pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")]))
        self.register_outputs({})


class Traced(Old):
    """Where the SDK says that a resource was declared."""

    def __init__(self) -> None:
        self.trace = str(pulumi.runtime.resource._get_stack_trace())


class Outer(Traced):
    def __init__(self) -> None:
        super().__init__()


class Outermost(Outer):
    def __init__(self) -> None:
        super().__init__()


async def declared(sdk: str) -> dict[str, Any]:
    """The inputs that reach the engine, what outputs give, the URN of an alias."""
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder)
    given = PROGRAMS[sdk]()
    answers = {name: await output.future() for name, output in given.items()}
    alias = await pulumi.Output.from_input(Old()._aliases[0]).future()
    return {"inputs": recorder.inputs, "answers": answers, "alias": alias, "trace": Outermost().trace}


def main() -> None:
    lazy.install()
    sdk = sys.argv[1]
    shown: dict[str, Any] = {"declared": asyncio.run(declared(sdk))}
    shown["loaded"] = sorted(name for name in sys.modules if name.startswith(f"{sdk}."))
    for name in MODULES[sdk]:
        module = importlib.import_module(f"{sdk}.{name}")
        assert module.outputs  # the SDK's own lazy modules must be entered by one thread first
        with ThreadPoolExecutor(8) as threads:  # of all that ask at once, each gets the same class
            asked = list(threads.map(_first, [module] * 8))
        assert len({id(each) for each in asked}) == 1
        assert pickle.loads(pickle.dumps(asked[0])) is asked[0]
        names = sorted(each for each in dir(module) if not each.startswith("__"))
        starred: dict[str, Any] = {}
        exec(f"from {sdk}.{name} import *", starred)
        shown[name] = {
            "origins": origins(module, names),
            "types": types(module, names),
            "starred": sorted(each for each in starred if not each.startswith("__")),
            "nested": sorted(each for each in dir(module._inputs) if each.endswith(("Args", "Dict"))),
        }
    print(json.dumps(shown, default=str))


def _first(module: ModuleType) -> type:
    """A nested type that nobody asked for yet, at least where classes are made on demand."""
    name = max(each for each in dir(module._inputs) if each.endswith("Args"))
    found: type = getattr(module._inputs, name)
    return found


if __name__ == "__main__":
    main()
