"""Build a real Kubernetes control plane, and the controller of JobSet, from the Go modules that tools/ pins, for tests/kubernetes.

Kept in the user's cache: the first time takes minutes of two cores (nearly all of them compiling), every later call a blink.
Nothing is downloaded but Go modules, each checked by go.sum. etcd is not among them: `apt-get install etcd-server`.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from skylift.engine import BuildProgress, golang
from skylift.engine.find import cache_folder, make_once
from skylift.errors import MachineError

TOOLS = Path(__file__).resolve().parent.parent / "tools"
PROGRAMS = {
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kwok": ("kubernetes", "sigs.k8s.io/kwok/cmd/kwok"),
    "jobset": ("jobset", "sigs.k8s.io/jobset"),
}
"""By name: the module below tools/, for each wants its own release of Kubernetes' libraries, and the package."""

_BASE = "k8s.io/component-base/version"


def version() -> str:
    """The control plane's version that tools/kubernetes/go.mod names: `1.33.1`."""
    match = re.search(r"k8s\.io/kubernetes v(\S+)", (TOOLS / "kubernetes" / "go.mod").read_text(encoding="utf-8"))
    assert match, "tools/kubernetes/go.mod names no k8s.io/kubernetes"
    return match.group(1)


def folder() -> Path:
    """Where the programs lie once they are built; another one as soon as anything is pinned otherwise."""
    pins = b"".join((TOOLS / module / "go.sum").read_bytes() for module in ("kubernetes", "jobset"))
    name = f"v{version()}-{hashlib.sha256(pins).hexdigest()[:8]}-{sys.platform}-{platform.machine()}"
    return cache_folder().parent / "kubernetes" / name


def is_whole(path: Path) -> bool:
    """Whether a folder holds every program."""
    return all((path / name).is_file() for name in PROGRAMS)


def build(target: Path) -> None:
    """Compile the programs into `target`, one after the other: together they would need more memory than a small machine has.

    Raises:
        MachineError: one of them does not compile.
    """
    for name, (module, package) in PROGRAMS.items():
        begun = time.monotonic()
        command = [str(golang.program()), "build", "-mod=readonly", "-trimpath", "-ldflags", _flags()]
        done = subprocess.run(
            [*command, "-o", str(target / name), package], cwd=TOOLS / module, env=_environment(), check=False
        )
        if done.returncode != 0:
            raise MachineError(f"{name} could not be built", hint="Go's own words stand above")
        print(f"{name}: {(time.monotonic() - begun) / 60:.1f} min", flush=True)


def _flags() -> str:
    major, minor, _ = version().split(".")
    stamp = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {_BASE}.{key}={value}" for key, value in stamp.items())])


def _environment() -> dict[str, str]:
    return {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0"}


def show(progress: BuildProgress) -> None:
    print(progress.stage, flush=True)


def main() -> None:
    golang.require(cache_folder())
    make_once(folder(), build, is_whole, show)
    print(f"kubernetes {version()} in {folder()}", file=sys.stderr)


if __name__ == "__main__":
    main()
