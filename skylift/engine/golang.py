"""Build the engine from the Go modules that tools/ pins: the `pulumi` program, its Python language host, and the host's scripts.

Nothing is written outside the given folder and Go's own caches; go.mod and go.sum are read only, so every byte is checked by go.sum.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from skylift import assets
from skylift.engine.progress import BuildProgress, OnBuild
from skylift.errors import MachineError

ENGINE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
HOST = "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
SDK = "github.com/pulumi/pulumi/sdk/v3"
SCRIPTS = (
    "python/cmd/pulumi-language-python-exec",
    "python/dist/pulumi-resource-pulumi-python",
    "python/dist/pulumi-analyzer-policy-python",
)
_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_PACKAGE = "{{.ImportPath}} {{with .Module}}{{.Version}}{{end}}"

NEEDED_BYTES = 3 * 2**30
"""Disk that a cold build takes: modules 1.7 GiB, compiled packages 0.9 GiB, the engine 0.1 GiB."""


def program() -> Path | None:
    """The program `go`, on PATH or where its installer puts it."""
    found = shutil.which("go")
    usual = Path("/usr/local/go/bin/go")
    return Path(found) if found else usual if usual.is_file() else None


def require(cache: Path) -> None:
    """Raises:
    MachineError: there is no Go, or too little disk.
    """
    if program() is None:
        raise MachineError("no Go to build it with")
    existing = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if free < NEEDED_BYTES and not _caches_filled():
        raise MachineError(
            f"building it needs {NEEDED_BYTES / 2**30:.0f} GiB of disk, {existing} has {free / 2**30:.1f} GiB free"
        )


def build(folder: Path, version: str, progress: OnBuild) -> None:
    """Put a whole engine into `folder`.

    Raises:
        MachineError: a module cannot be downloaded or does not compile; the message holds Go's last words.
    """
    engine, host = assets.path("tools/pulumi"), assets.path("tools/pulumi-python")
    progress(BuildProgress("downloading Pulumi's Go modules (about four minutes in all where nothing is cached)"))
    scripts = Path(json.loads(_go(engine, "mod", "download", "-json", SDK))["Dir"])
    parts = [(engine, ENGINE, "pulumi"), (host, HOST, "pulumi-language-python")]
    steps = [set(_go(module, "list", "-deps", "-f", _PACKAGE, package).splitlines()) for module, package, _ in parts]
    counts = [len(steps[0]), len(steps[1] - steps[0])]
    begun = time.monotonic()
    flags = {"pulumi": f"-s -w -X {_VERSION}=v{version}", "pulumi-language-python": "-s -w"}
    before = 0
    for (module, package, name), count in zip(parts, counts, strict=True):
        counter = _Counter(progress, before, sum(counts), begun)
        _compile(module, package, folder / name, flags[name], counter)
        before += count
    for script in SCRIPTS:
        target = folder / Path(script).name
        shutil.copyfile(scripts / script, target)
        target.chmod(0o755)


class _Counter:
    """Turns the lines of `go build -v`, one per package that had to be compiled, into progress."""

    def __init__(self, progress: OnBuild, before: int, total: int, begun: float) -> None:
        self._progress, self._before, self._total, self._begun = progress, before, total, begun

    def show(self, compiled: int, package: str) -> None:
        done = self._before + compiled
        spent = time.monotonic() - self._begun
        left = spent / done * (self._total - done) if done >= 50 else None
        self._progress(BuildProgress(f"compiling {package}", done, self._total, left))


def _compile(module: Path, package: str, target: Path, ldflags: str, counter: _Counter) -> None:
    command = [str(program()), "build", "-v", "-mod=readonly", "-o", str(target), "-ldflags", ldflags, package]
    counter.show(0, target.name)
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=module,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            for compiled, line in enumerate(process.stderr, start=1):
                lines.append(line.rstrip())
                counter.show(compiled, line.strip()[:80])
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if code != 0:
        raise _failed(lines)


def _go(module: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [str(program()), *arguments], cwd=module, env=_environment(), capture_output=True, text=True, timeout=1800
        )
    except subprocess.TimeoutExpired:
        raise MachineError("building it with Go took more than half an hour to download its modules") from None
    if done.returncode != 0:
        raise _failed(done.stderr.splitlines() or done.stdout.splitlines())
    return done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _failed(lines: list[str]) -> MachineError:
    words = " / ".join(line.strip() for line in lines[-3:] if line.strip()) or "no reason given"
    return MachineError(f"building it with Go failed: {words}")


def _caches_filled() -> bool:
    """Whether Go already holds what a build needs, so that little disk is enough."""
    done = subprocess.run([str(program()), "env", "GOCACHE", "GOMODCACHE"], capture_output=True, text=True, timeout=60)
    build, modules = (Path(line) for line in done.stdout.splitlines()[:2])
    return (modules / "github.com/pulumi/pulumi/pkg").is_dir() and build.is_dir()
