"""An endpoint on this machine: a supervisor of serving processes as a resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra.local import supervisor
from infra.local.dynamic import LocalProvider, own, said, told
from skylift.stack.local import LocalFolders, ProcessRecord
from skylift.stack.settings import LOCAL_FIELDS, EndpointSettings


class SupervisorProvider(LocalProvider):
    """Starts, watches and stops one supervisor. A killed one is drift: `refresh` shows it, `up` mends it, refreshed or not."""

    @told
    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        spec = supervisor.from_plain(news)
        error = supervisor.taken(spec.host, spec.port, spec.path, spec.setting)
        return CheckResult(news, [CheckFailure("port", said(error))] if error else [])

    @told
    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        spec = supervisor.from_plain(_news)
        found = supervisor.running(spec.path)
        as_wanted = found is not None and found.spec == supervisor.plain(spec) and found.pid == _olds.get("pid")
        return DiffResult(changes=not as_wanted)

    @told
    def create(self, props: dict[str, Any]) -> CreateResult:
        spec = supervisor.from_plain(props)
        return CreateResult(spec.name, _state(spec, supervisor.ensure(spec)))

    @told
    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        spec = supervisor.from_plain(props)
        found = supervisor.running(spec.path)
        now = _state(spec, found) if found else {**own(props), "running": False}
        return ReadResult(id_, now)

    @told
    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        spec = supervisor.from_plain(_news)
        return UpdateResult(_state(spec, supervisor.ensure(spec)))

    @told
    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        supervisor.remove(supervisor.from_plain(_props).path)


def _state(spec: supervisor.Spec, record: ProcessRecord) -> dict[str, Any]:
    return {
        **supervisor.plain(spec),
        "pid": record.pid,
        "url": record.url,
        "running": record.alive,
        "log": str(spec.log),
    }


class Supervisor(Resource, module="local", name="Supervisor"):
    """One supervisor; see SupervisorProvider."""

    pid: pulumi.Output[int]
    url: pulumi.Output[str]
    running: pulumi.Output[bool]
    log: pulumi.Output[str]

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        outputs = {"pid": None, "url": None, "running": None, "log": None}
        super().__init__(SupervisorProvider(), name, {**inputs, **outputs}, opts)


class Endpoint(pulumi.ComponentResource):
    """A served address that only this machine can reach.

    Costs nothing but this machine's memory. Survives a log-out, not a restart of the machine: the next `up` brings it back.
    `down` drains it, ends it and removes its log and cache.
    """

    def __init__(
        self,
        name: str,
        *,
        settings: EndpointSettings,
        folders: LocalFolders,
        keep: pulumi.Input[str],
        work: pulumi.Input[str],
        release: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("skylift:local:Endpoint", name, {}, opts)
        inputs = {
            **{key: getattr(settings, key) for key in LOCAL_FIELDS},
            "name": name,
            "folder": str(folders.endpoint(name)),
            "keep": keep,
            "work": work,
            "release": release,
            "setting": f"skylift:endpoints.{name}.port in stacks/Pulumi.{folders.stack}.yaml",
        }
        self.supervisor = Supervisor(f"{name}-supervisor", inputs, pulumi.ResourceOptions(parent=self))
        self.url = self.supervisor.url
        self.register_outputs({"url": self.url})
