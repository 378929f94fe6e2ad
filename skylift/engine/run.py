"""Runs the engine on a stack.

It drives `pulumi` with `--event-log`, the interface that the Automation API itself stands on, and not through the Automation API's
Stack class: that starts `pulumi` four more times after each `up` (to select, for outputs, with and without secrets, for history) and
imports the SDK here, which together cost more than an `up` without changes. The Automation API installs the engine (official.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from skylift.engine import failures, locks, resting
from skylift.engine.drift import mendable
from skylift.engine.environment import environment, state_file, state_folder
from skylift.engine.events import EventLog, OnEvent, Summary
from skylift.engine.find import Tool
from skylift.engine.progress import OnBuild
from skylift.errors import MachineError, ProvisionError
from skylift.stack.project import Project

if TYPE_CHECKING:
    from skylift.stack.outputs import Outputs

_LOCK_PATIENCE = 1.0
"""How long a lock must be held by a living process [s] before we give up: two that begin at once refuse each other for an instant."""

_ATTEMPTS = 4

_LEAST_BYTES = 2 * 2**20
"""Free disk below which nothing is begun: state that cannot be written is worse than an `up` that does not start."""


class Engine:
    """One stack of a project, seen through the engine. Every method blocks until the engine is done.

    Errors of all methods: SettingsError before anything is started, ConflictError while another process changes the stack,
    MachineError without an engine, ProvisionError with the essential lines of what the engine said.
    """

    def __init__(
        self,
        project: Project,
        stack: str,
        *,
        tool: Tool | None = None,
        progress: OnBuild | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.project = project
        self.stack = stack
        self._tool = tool
        self._progress = progress
        self._known = variables

    # operations

    def up(self, on_event: OnEvent | None = None, *, previewed: bool = False) -> Summary:
        """Make what the settings say. The stack is created in its backend if need be.

        On a cloud nothing is touched before a preview has passed, for a refusal in the middle leaves half of a change behind.

        Args:
            previewed: the caller has done that already.
        """
        settings = self.project.settings(self.stack)
        self.create()
        if settings.target != "local" and not previewed:
            self._operate("preview", ["preview"], None)
        return self._operate("up", ["up", "--yes", "--skip-preview"], on_event)

    def preview(self, on_event: OnEvent | None = None) -> Summary:
        """What `up` would change."""
        self.project.settings(self.stack)
        self.create()
        return self._operate("preview", ["preview"], on_event)

    def refresh(self, on_event: OnEvent | None = None, *, preview_only: bool = False) -> Summary:
        """Compare state with what exists, and write the difference into state unless `preview_only`. Sizes that autoscalers and
        launchers set are no difference."""
        if not self.exists():
            return Summary()
        how = ["--preview-only"] if preview_only else ["--yes", "--skip-preview"]
        found = self._operate("refresh", ["refresh", *how], on_event)
        return mendable(found, self._exported()) if found.steps else found

    def destroy(self, on_event: OnEvent | None = None, *, compute_only: bool = False) -> Summary:
        """Remove everything the stack made; its own buckets' contents only if the stack is disposable. See also delete_data.

        Args:
            compute_only: leave what is protected, and what that needs.
        """
        if not self.exists():
            return Summary()
        kept = ["--exclude-protected"] if compute_only else []
        ended = self._operate("destroy", ["destroy", "--yes", "--skip-preview", *kept], on_event)
        holders = resting.holders(self._exported()) if compute_only else []
        if not holders:
            return ended
        self._let_go(holders)
        return resting.both(ended, self._operate("destroy", ["destroy", "--yes", "--skip-preview", *kept], on_event))

    def _let_go(self, holders: list[str]) -> None:
        try:
            outputs: Outputs | None = self.outputs()
        except ProvisionError:
            outputs = None
        with _scratch(self.project.hidden) as folder:
            variables = {**(self._known or {}), resting.AT_REST: str(resting.write(outputs, folder))}
            letting = Engine(self.project, self.stack, tool=self._tool, variables=variables)
            letting._operate("up", resting.arguments(holders), None)

    def resources(self) -> list[tuple[str, str]]:
        """Type and name of everything that stands in state, without components and providers."""
        if not self.exists():
            return []
        return [
            (one["type"], one["urn"].rpartition("::")[2])
            for one in self._exported()
            if one.get("custom") and not one["type"].startswith("pulumi:providers:")
        ]

    def _exported(self) -> list[dict[str, Any]]:
        done = self._plain(["stack", "export", "--stack", self.stack])
        if done.returncode != 0:
            raise failures.failure(self.stack, "export", [], done.stderr, "")
        return list(json.loads(done.stdout)["deployment"].get("resources") or [])

    # looking

    def outputs(self) -> Outputs:
        """What the stack promises.

        Raises:
            ProvisionError: it is not up.
        """
        from skylift.engine.state import stored_outputs
        from skylift.stack.outputs import decode

        url = self._known["PULUMI_BACKEND_URL"] if self._known else self.project.backend_url(self.stack)
        stored = stored_outputs(url, self.stack)
        if stored is not None:
            return decode(stored, self.stack)
        if self._certainly_missing():
            return decode({}, self.stack)
        done = self._plain(["stack", "output", "--json", "--stack", self.stack])
        if done.returncode == 0:
            return decode(json.loads(done.stdout), self.stack)
        if failures.is_missing_stack(done.stderr):
            return decode({}, self.stack)
        raise failures.failure(self.stack, "outputs", [], done.stderr, "")

    def exists(self) -> bool:
        """Whether the stack is known to its backend; it may have no resources."""
        if self._certainly_missing():
            return False
        if state_file(self._environment()["PULUMI_BACKEND_URL"], self.stack) is not None:
            return True
        done = self._plain(["stack", "ls", "--json", "--project", "skylift"])
        if done.returncode != 0:
            raise failures.failure(self.stack, "stack ls", [], done.stderr, "")
        return any(found["name"].rpartition("/")[2] == self.stack for found in json.loads(done.stdout or "[]"))

    def create(self) -> None:
        """Make the stack known to its backend, without resources and without selecting it; nothing if it is already."""
        if self.exists():
            return
        self.project.require(self.stack)
        provider = self.project.secrets_provider(self.stack)
        by = ["--secrets-provider", provider] if provider else []
        done = self._plain(["stack", "init", "--no-select", self.stack, *by])
        if done.returncode != 0 and "already exists" not in done.stderr:
            raise failures.failure(self.stack, "stack init", [], done.stderr, "")

    def _certainly_missing(self) -> bool:
        url = self._environment()["PULUMI_BACKEND_URL"]
        return state_folder(url) is not None and state_file(url, self.stack) is None

    # running

    def _environment(self) -> dict[str, str]:
        if self._known is None:
            from skylift.engine.find import find_pulumi

            tool = self._tool or find_pulumi(progress=self._progress)
            self._known = environment(self.project, self.stack, tool=tool, create=False)
        return {**os.environ, **self._known, "PULUMI_DEBUG_COMMANDS": "true"}

    def _plain(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        return subprocess.run(
            command,
            cwd=self.project.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def _operate(self, verb: str, arguments: list[str], on_event: OnEvent | None) -> Summary:
        url = self._environment()["PULUMI_BACKEND_URL"]
        for _ in range(_ATTEMPTS):
            if locks.clear_stale(url, self.stack):
                locks.end_orphans(self.project.root)
            try:
                return self._once(verb, arguments, on_event)
            except failures.LockedError:
                if not state_folder(url) or _held_on(url, self.stack):
                    raise
                time.sleep(random.uniform(0, 0.3))  # noqa: S311 - so that two that collided do not collide again
        return self._once(verb, arguments, on_event)

    def _once(self, verb: str, arguments: list[str], on_event: OnEvent | None) -> Summary:
        begun = time.monotonic()
        output = self.project.hidden / f"engine-{self.stack}.log"
        with _scratch(self.project.hidden) as folder:
            events = EventLog(folder / "events.jsonl", on_event)
            common = ["--stack", self.stack, "--non-interactive", "--color", "never", "--event-log", str(events.path)]
            with output.open("wb") as stdout:
                code, said = self._run(["pulumi", *arguments, *common], events, stdout)
        if code != 0:
            raise failures.failure(self.stack, verb, events.errors, said, str(output))
        return Summary(events.changes, events.steps, time.monotonic() - begun)

    def _run(self, command: list[str], events: EventLog, stdout: IO[bytes]) -> tuple[int, str]:
        """Run to the end; the exit code, and what was said on stderr."""
        # A process group of its own: a Ctrl-C reaches the engine once, from us, and it ends in order.
        with subprocess.Popen(
            command,
            cwd=self.project.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            process_group=0,
        ) as process:
            said: list[bytes] = []
            assert process.stderr is not None
            reader = threading.Thread(target=lambda pipe: said.append(pipe.read()), args=[process.stderr], daemon=True)
            reader.start()
            code = _attend(process, events)
            reader.join(timeout=1)  # a plugin that outlives a killed engine may hold the pipe open
            if reader.is_alive():
                process.stderr = None
        return code, b"".join(said).decode(errors="replace")


def _attend(process: subprocess.Popen[bytes], events: EventLog) -> int:
    """Pass on events until the process ends. An interrupt asks the engine to end in order, a third one kills it."""
    interrupts = 0
    while True:
        try:
            events.follow()
            code = process.wait(timeout=0.03)
            events.follow()
            if interrupts:
                raise KeyboardInterrupt
            return code
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            interrupts += 1
            if process.poll() is not None:
                raise
            process.send_signal(signal.SIGINT if interrupts < 3 else signal.SIGKILL)


def _held_on(url: str, stack: str) -> bool:
    """Whether a living process keeps the stack locked, so that it is at work and was not just refused like us."""
    deadline = time.monotonic() + _LOCK_PATIENCE
    while time.monotonic() < deadline:
        if not [lock for lock in locks.locks(url, stack) if not lock.stale]:
            return False
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def _scratch(hidden: Path) -> Iterator[Path]:
    if shutil.disk_usage(hidden).free < _LEAST_BYTES:
        raise MachineError(
            f"the disk is full: less than {_LEAST_BYTES >> 20} MiB free at {hidden}",
            hint="free some space; `skylift gc` shows what",
        )
    try:
        with tempfile.TemporaryDirectory(prefix="engine-", dir=hidden) as folder:
            yield Path(folder)
    except OSError as error:
        raise MachineError(
            f"{hidden} cannot be written: {error.strerror}", hint="free disk space, or mend its rights"
        ) from None
