"""Strict mocks for tests of components: runs a program in this process against simulated clouds and records what it declares.

They differ from Pulumi's own mocks: every input is checked against the SDK's types, stack transforms run, computed outputs look like the
cloud's (unknown in a preview), and each resource's parent, provider and options are there to be looked at.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import _callbacks, mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import run_pulumi_func

from tests.clouds import arm, computed, schema
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.values import Secret, decode, encode, paths, plain

Answer = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]
"""What an invoke returns, by wire names, or how to tell it from the arguments."""


@dataclass(frozen=True)
class Resource:
    """One resource as a program declared it. Inputs have wire names; secrets are bare in `inputs` and named in `secrets`."""

    type: str
    name: str
    urn: str
    parent: str
    """The name of the parent; empty under the stack itself."""
    parent_urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    secrets: tuple[str, ...]
    """Paths of secret inputs."""
    provider: str
    """`urn::id` of the provider; empty for the default provider."""
    is_custom: bool
    is_read: bool
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    additional_secret_outputs: tuple[str, ...]
    depends_on: tuple[str, ...]
    """Names of what it depends on, by an option or through an input."""
    deleted_with: str
    aliases: tuple[Any, ...]
    import_id: str
    timeouts: dict[str, str]


@dataclass
class Recorded:
    """What a program declared and asked."""

    resources: list[Resource] = field(default_factory=list)
    invokes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each component registered as outputs, by its name."""
    result: Any = None
    """What the program returned, resolved; None where unknown."""

    def of(self, token: str) -> list[Resource]:
        """All of a type: a whole token, or its last part (`Bucket`)."""
        return [one for one in self.resources if token in (one.type, one.type.rpartition(":")[2])]

    def one(self, token: str, name: str | None = None) -> Resource:
        found = [one for one in self.of(token) if name is None or one.name == name]
        assert len(found) == 1, f"{len(found)} of {token} {name or ''}, not one; there are:\n{self.tree()}"
        return found[0]

    def children(self, parent: Resource | str) -> list[Resource]:
        if isinstance(parent, Resource):
            return [one for one in self.resources if one.parent_urn == parent.urn]
        return [one for one in self.resources if one.parent == parent]

    def tree(self) -> str:
        lines: list[str] = []

        def add(parent: str, depth: int) -> None:
            for one in self.resources:
                if one.parent_urn == parent:
                    lines.append(f"{'  ' * depth}{one.type} {one.name}")
                    add(one.urn, depth + 1)

        add("", 0)
        return "\n".join(lines)


def provision(
    program: Callable[[], Any],
    *,
    preview: bool = False,
    answers: Mapping[str, Answer] | None = None,
    project: str = "skylift",
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    world: computed.World | None = None,
    cloud: SimulatedCloud | None = None,
) -> Recorded:
    """Run the program and record it.

    Args:
        preview: whether computed outputs are unknown, as before a first `up`.
        answers: what invokes return, by token, before what every simulated cloud can answer itself.
        config: of the stack, with full keys (`aws:region`).
        cloud: what Azure's resource manager tells of, where the program asks it by itself; an empty account without.

    Raises:
        AssertionError: listing every wrong input of every resource, or an invoke that nobody answers.
    """
    world = world or computed.World()
    services = ExitStack()
    monitor = _Monitor(preview, answers or {}, world, lambda: _lead(services, cloud or SimulatedCloud(world=world)))

    async def run() -> Any:
        pulumi.runtime.set_mocks(_Unused(), project=project, stack=stack, preview=preview, monitor=monitor)
        pulumi.runtime.set_all_config(dict(config or {}))
        SETTINGS.rpc_manager.clear()
        SETTINGS.outputs.clear()  # what a run that failed left belongs to a loop that is gone
        kept: list[Any] = []
        await run_pulumi_func(lambda: kept.append(program()))
        await run_pulumi_func(lambda: None)
        return await pulumi.Output.from_input(kept[0]).future()

    try:
        with services, warnings.catch_warnings():
            # The SDKs warn of their own old names while they are imported, which happens at first use, in here.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="pulumi_.*")
            monitor.recorded.result = asyncio.run(run())
    finally:
        pulumi.runtime.set_all_config({})
        _forget_loops()
    if monitor.problems:
        raise AssertionError(f"{len(monitor.problems)} wrong inputs:\n  " + "\n  ".join(monitor.problems))
    return monitor.recorded


def _lead(services: ExitStack, cloud: SimulatedCloud) -> None:
    """Run the simulated resource manager until the program ends, and lead the program to it."""
    _, variables = services.enter_context(arm.serve(cloud))
    services.callback(os.environ.update, {key: os.environ[key] for key in variables if key in os.environ})
    services.callback(lambda: [os.environ.pop(key, None) for key in variables])
    os.environ.update(variables)


def _forget_loops() -> None:
    """The SDK opens event loops in its threads and leaves them to the garbage collector, which complains."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class _Unused(mocks.Mocks):
    """set_mocks wants one; the monitor below asks nobody."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise NotImplementedError

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise NotImplementedError


class _Monitor(mocks.MockMonitor):
    def __init__(
        self, preview: bool, answers: Mapping[str, Answer], world: computed.World, manager: Callable[[], None]
    ) -> None:
        super().__init__(_Unused())
        self.recorded = Recorded()
        self.problems: list[str] = []
        self._preview = preview
        self._answers = answers
        self._world = world
        self._manager = manager
        self._names: dict[str, str] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._transforms: list[Any] = []

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        if "pulumi:pulumi:Stack" in parent:
            parent = ""
        return str(super().make_urn(parent, type_, name))

    # what the SDK calls

    def Invoke(self, request: Any) -> Any:
        arguments = plain(decode(request.args))
        if request.tok == "pulumi:pulumi:getResource":
            urn = arguments["urn"]
            found = {"urn": urn, "id": self._states[urn].get("id", ""), "state": self._states[urn]}
        else:
            self.recorded.invokes.append((request.tok, arguments))
            if request.tok == "azure-native:authorization:getClientToken":
                self._manager()
            answer = self._answers.get(request.tok)
            if answer is None:
                found = computed.answer(request.tok, arguments, self._world)
            else:
                found = dict(answer(arguments) if callable(answer) else answer)
        return resource_pb2.ResourceInvokeResponse(**{"return": encode(found)})

    Call = Invoke

    def ReadResource(self, request: Any) -> Any:
        given = decode(request.properties)
        urn = self.make_urn(request.parent, request.type, request.name)
        state = computed.read(request.type, request.name, request.id, plain(given), self._world)
        self._record(request, urn, given, state, is_read=True)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=encode(state))

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        given = decode(self._transformed(request))
        if not request.custom:
            state, identifier = dict(given), ""
        else:
            named = computed.checked(request.type, request.name, given, self._world)
            self.problems += [f"{request.name}: {problem}" for problem in schema.problems(request.type, named)]
            identifier, state = computed.outputs(request.type, request.name, given, self._world)
            if self._preview:
                identifier, state = "", computed.known_before(request.type, given, state)
        self._record(request, urn, given, state, is_read=False)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=encode(state))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn in self._names:
            self.recorded.outputs[self._names[request.urn]] = decode(request.outputs)
        return empty_pb2.Empty()

    def RegisterStackTransform(self, request: Any) -> Any:
        self._transforms.append(request)
        return empty_pb2.Empty()

    # how

    def _transformed(self, request: Any) -> struct_pb2.Struct:
        """The inputs after the transforms of the resource and of the stack, in the order of the engine."""
        properties = request.object
        for callback in [*request.transforms, *self._transforms]:
            servicer = next(one for one in _callbacks._CallbackServicer._servicers if callback.token in one._callbacks)
            asked = resource_pb2.TransformRequest(
                type=request.type,
                name=request.name,
                custom=request.custom,
                parent=request.parent,
                properties=properties,
                options=resource_pb2.TransformResourceOptions(),
            )
            told = servicer._callbacks[callback.token](asked.SerializeToString())
            properties = asyncio.run_coroutine_threadsafe(told, servicer._loop).result().properties
        return properties

    def _record(self, request: Any, urn: str, given: dict[str, Any], state: dict[str, Any], *, is_read: bool) -> None:
        self._names[urn] = request.name
        self._states[urn] = state
        self.recorded.resources.append(_resource(request, urn, given, state, self._names, is_read))


def _resource(
    request: Any, urn: str, given: dict[str, Any], state: dict[str, Any], names: Mapping[str, str], is_read: bool
) -> Resource:
    def told(option: str) -> Any:
        return getattr(request, option, None)

    parent = "" if "pulumi:pulumi:Stack" in request.parent else request.parent
    timeouts = told("customTimeouts")
    return Resource(
        type=request.type,
        name=request.name,
        urn=urn,
        parent=names.get(parent, ""),
        parent_urn=parent,
        inputs=plain(given),
        outputs=plain(state),
        secrets=tuple(paths(given, Secret)),
        provider=request.provider,
        is_custom=is_read or bool(told("custom")),
        is_read=is_read,
        protect=bool(told("protect")),
        retain_on_delete=bool(told("retainOnDelete")),
        delete_before_replace=bool(told("deleteBeforeReplace")),
        ignore_changes=tuple(told("ignoreChanges") or ()),
        replace_on_changes=tuple(told("replaceOnChanges") or ()),
        additional_secret_outputs=tuple(told("additionalSecretOutputs") or ()),
        depends_on=tuple(names[one] for one in told("dependencies") or () if one in names),
        deleted_with=names.get(told("deletedWith") or "", ""),
        aliases=tuple(told("aliases") or ()),
        import_id=told("importId") or "",
        timeouts={} if timeouts is None else {verb.name: value for verb, value in timeouts.ListFields()},
    )


def shown(recorded: Recorded) -> str:
    """Everything declared, as JSON: for a look while writing a test."""
    return json.dumps([[one.type, one.name, one.inputs] for one in recorded.resources], indent=1, default=repr)
