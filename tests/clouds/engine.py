"""Drives the real engine against simulated clouds: a stack in a folder of its own, and every step that the engine took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from skylift import assets
from skylift.engine.environment import environment
from skylift.engine.find import Tool

ROOT: Final = Path(__file__).resolve().parents[2]
PASSPHRASE: Final = "simulated"
_QUIET: Final = frozenset({"same", "read", "refresh"})


class EngineFailedError(AssertionError):
    """The engine ended with an error."""

    def __init__(self, done: Done) -> None:
        super().__init__("\n".join(done.errors) or done.output)
        self.done = done


@dataclass
class Step:
    """What the engine did, or would do, to one resource."""

    op: str
    """create, update, replace, create-replacement, delete-replaced, delete, same, refresh …"""
    type: str
    name: str
    urn: str
    keys: tuple[str, ...] = ()
    """Properties that made it a replacement."""
    diffs: tuple[str, ...] = ()
    """Paths that differ."""
    result: str = ""
    """What came of it: the operation, of a refresh `update` or `delete`, `failed`; empty if it did not end."""

    def __str__(self) -> str:
        return f"{self.result if self.op == 'refresh' else self.op} {self.type.rpartition(':')[2]} {self.name}"


@dataclass
class Done:
    """One run of the engine."""

    verb: str
    code: int
    steps: list[Step]
    """In the order in which they began."""
    errors: list[str]
    output: str

    @property
    def changes(self) -> list[Step]:
        """Steps that change something, or found that something had changed."""
        return [
            one
            for one in self.steps
            if (one.op not in _QUIET) or (one.op == "refresh" and one.result in ("update", "delete"))
        ]

    def of(self, kind: str, name: str | None = None) -> list[Step]:
        """Steps on a type (whole token or its last part)."""
        return [
            one for one in self.steps if kind in (one.type, one.type.rpartition(":")[2]) and name in (None, one.name)
        ]

    def ops(self) -> list[str]:
        """The changes as texts such as `create Bucket keep`, in order."""
        return [str(one) for one in self.changes]

    def index(self, text: str) -> int:
        """When a change such as `delete Bucket keep` began."""
        return self.ops().index(text)


@dataclass
class Stack:
    """A stack of a project in `root`, seen through the engine's own commands."""

    root: Path
    name: str
    variables: dict[str, str] = field(repr=False)

    def preview(self, *, check: bool = True) -> Done:
        return self._run("preview", [], check)

    def up(self, *, check: bool = True) -> Done:
        return self._run("up", ["--yes", "--skip-preview"], check)

    def refresh(self, *, check: bool = True) -> Done:
        return self._run("refresh", ["--yes", "--skip-preview"], check)

    def destroy(self, *, check: bool = True) -> Done:
        return self._run("destroy", ["--yes", "--skip-preview"], check)

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self._plain("stack", "output", "--json", "--show-secrets")))

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The state, secrets encrypted unless they are to be shown."""
        return dict(json.loads(self._plain("stack", "export", *(["--show-secrets"] if show_secrets else []))))

    def import_(self, state: dict[str, Any]) -> None:
        self._plain("stack", "import", stdin=json.dumps(state))

    def remove(self) -> None:
        """Forget the stack without touching what it made."""
        self._plain("stack", "rm", "--yes", "--force", "--preserve-config")
        self._plain("stack", "init", "--no-select", self.name, with_stack=False)

    def resources(self) -> list[dict[str, Any]]:
        """Resources in the state, without the stack itself and providers."""
        found = (self.export()["deployment"] or {}).get("resources") or []
        return [one for one in found if not one["type"].startswith("pulumi:")]

    def configure(self, settings: dict[str, Any]) -> None:
        """Write the stack's settings anew; full keys (`skylift:target`)."""
        path = self.root / "stacks" / f"Pulumi.{self.name}.yaml"
        known = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**(known or {}), "config": settings}), encoding="utf-8")

    def change(self, **settings: Any) -> None:
        """Change settings of ours (without `skylift:`), leaving the others; None takes one out."""
        path = self.root / "stacks" / f"Pulumi.{self.name}.yaml"
        config = dict(yaml.safe_load(path.read_text(encoding="utf-8")).get("config") or {})
        for key, value in settings.items():
            if value is None:
                config.pop(f"skylift:{key}", None)
            else:
                config[f"skylift:{key}"] = value
        self.configure(config)

    # how

    def _run(self, verb: str, arguments: list[str], check: bool) -> Done:
        log = self.root / f"events-{verb}.jsonl"
        log.unlink(missing_ok=True)
        told = ["--stack", self.name, "--non-interactive", "--color", "never", "--event-log", str(log)]
        ended = self._process(["pulumi", verb, *arguments, *told])
        events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
        done = Done(verb, ended.returncode, list(_steps(events)), list(_errors(events)), ended.stdout + ended.stderr)
        if check and done.code != 0:
            raise EngineFailedError(done)
        return done

    def _plain(self, *arguments: str, stdin: str | None = None, with_stack: bool = True) -> str:
        stack = ["--stack", self.name] if with_stack else []
        ended = self._process(["pulumi", *arguments, *stack, "--non-interactive", "--color", "never"], stdin)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def _process(self, command: list[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, **self.variables},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
        )


def _steps(events: list[dict[str, Any]]) -> Iterator[Step]:
    begun: dict[tuple[str, str], Step] = {}
    for event in events:
        if "resourcePreEvent" in event:
            told = event["resourcePreEvent"]["metadata"]
            step = Step(
                told["op"],
                told["type"],
                told["urn"].rpartition("::")[2],
                told["urn"],
                tuple(told.get("keys") or ()),
                tuple(told.get("detailedDiff") or told.get("diffs") or ()),
            )
            begun[step.urn, step.op] = step
            if not step.type.startswith("pulumi:"):
                yield step
        elif "resOutputsEvent" in event or "resOpFailedEvent" in event:
            is_done = "resOutputsEvent" in event
            told = event["resOutputsEvent" if is_done else "resOpFailedEvent"]["metadata"]
            found = begun.get((told["urn"], told["op"])) or begun.get((told["urn"], "refresh"))
            if found is not None:
                found.result = told["op"] if is_done else "failed"
                found.diffs = found.diffs or tuple(told.get("detailedDiff") or told.get("diffs") or ())


def _errors(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        told = event.get("diagnosticEvent")
        if told and told["severity"] == "error":
            yield told["message"].strip()


def project_of_ours(root: Path, name: str, tool: Tool, providers: str, settings: dict[str, Any]) -> Stack:
    """A Skylift project in an empty folder with one stack; the stack is made in a backend of that folder."""
    (root / "stacks").mkdir(parents=True)
    for file in ("Pulumi.yaml", "__main__.py"):
        (root / file).write_bytes(assets.path(file).read_bytes())
    return _made(root, name, tool, providers, settings)


def project_of(root: Path, name: str, tool: Tool, providers: str, program: str) -> Stack:
    """A project with a program of its own, for tests of the simulation itself."""
    root.mkdir(parents=True)
    (root / "Pulumi.yaml").write_text("name: skylift\nruntime: python\nstackConfigDir: stacks\n", encoding="utf-8")
    (root / "__main__.py").write_text(program, encoding="utf-8")
    return _made(root, name, tool, providers, {})


def _made(root: Path, name: str, tool: Tool, providers: str, settings: dict[str, Any]) -> Stack:
    (root / "state").mkdir()
    variables = {
        **environment(tool=tool),
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_HOME": str(root / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DEBUG_COMMANDS": "true",
        "PULUMI_DEBUG_PROVIDERS": providers,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    stack = Stack(root, name, variables)
    stack.configure(settings)
    stack._plain("stack", "init", "--no-select", name, with_stack=False)
    return stack
