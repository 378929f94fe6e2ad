"""Build a real Kubernetes control plane from the Go modules that tools/kubernetes pins, for tests/kubernetes.

Kept in the user's cache: the first time takes many minutes of two cores (most of them compiling), every later call a blink.
Nothing is downloaded but Go modules, each checked by go.sum. etcd is not among them: `apt-get install etcd-server`.
"""

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

MODULE = Path(__file__).resolve().parent.parent / "tools" / "kubernetes"
PROGRAMS = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
}
_BASE = "k8s.io/component-base/version"


def version() -> str:
    """The control plane's version that tools/kubernetes/go.mod names: `1.33.1`."""
    match = re.search(r"k8s\.io/kubernetes v(\S+)", (MODULE / "go.mod").read_text(encoding="utf-8"))
    assert match, "tools/kubernetes/go.mod names no k8s.io/kubernetes"
    return match.group(1)


def folder() -> Path:
    """Where the programs lie once they are built."""
    return cache_folder().parent / "kubernetes" / f"v{version()}-{sys.platform}-{platform.machine()}"


def is_whole(path: Path) -> bool:
    """Whether a folder holds every program."""
    return all((path / name).is_file() for name in PROGRAMS)


def build(target: Path) -> None:
    """Compile the programs into `target`, one after the other: together they would need more memory than a small machine has."""
    major, minor, _ = version().split(".")
    stamp = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(["-s", "-w", *(f"-X {_BASE}.{key}={value}" for key, value in stamp.items())])
    command = [str(golang.program()), "build", "-mod=readonly", "-trimpath", "-ldflags", flags]
    for name, package in PROGRAMS.items():
        begun = time.monotonic()
        done = subprocess.run([*command, "-o", str(target / name), package], cwd=MODULE, env=_environment())
        if done.returncode != 0:
            raise MachineError(f"{name} could not be built", hint="Go's own words stand above")
        print(f"{name}: {(time.monotonic() - begun) / 60:.1f} min", flush=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0"}


def show(progress: BuildProgress) -> None:
    print(progress.stage, flush=True)


def main() -> None:
    golang.require(cache_folder())
    make_once(folder(), build, is_whole, show)
    print(f"kubernetes {version()} in {folder()}", file=sys.stderr)


if __name__ == "__main__":
    main()
