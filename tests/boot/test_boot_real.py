"""The script against real tools, where there are any: the kernel's packet filter, systemd's checker, docker's parser."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.boot import Cloud, render
from tests.boot.machine import Machine, spec

pytestmark = pytest.mark.slow

# A network of its own, in which the metadata server is simulated; asked as root, as the agent's user and as the run's.
GUARDED = """
ip link set lo up && ip addr add 169.254.169.254/32 dev lo || exit 9
cd "$BOOT_ROOT" && echo metadata >index.html
python3 -m http.server 80 --bind 169.254.169.254 >/dev/null 2>&1 &
until curl -fs -m 3 http://169.254.169.254/; do sleep 0.05; done
guard && guard || exit 8
curl -fs -m 3 http://169.254.169.254/
setpriv --reuid 10002 --clear-groups curl -fs -m 3 http://169.254.169.254/
setpriv --reuid 10001 --clear-groups curl -fs -m 3 http://169.254.169.254/
echo "exit $?"
iptables -S OUTPUT | grep -c 169.254.169.254
kill %1
"""


def library(cloud: Cloud, mode: str, folder: Path) -> str:
    """The script without its last line, which enters it."""
    path = folder / "library.sh"
    path.write_text(render(cloud, spec(cloud, mode)).removesuffix('enter "$@"\n'))
    return f". {shlex.quote(str(path))}\n"


def test_the_kernel_keeps_the_run_and_nobody_else_from_the_metadata(tmp_path: Path) -> None:
    missing = [name for name in ("unshare", "ip", "iptables", "ip6tables", "setpriv", "curl") if not shutil.which(name)]
    if missing or os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip(
            f"needs root in a network namespace of its own, and {', '.join(missing) or 'the right to make one'}"
        )
    program = library("aws", "train", tmp_path) + GUARDED
    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", program],
        env={**os.environ, "BOOT_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    if done.returncode == 8 and "iptables" in done.stderr:
        pytest.skip(f"the kernel has no packet filter for us: {done.stderr}")
    assert done.stdout.splitlines() == ["metadata", "metadata", "metadata", "exit 7", "1"], done.stderr


@pytest.mark.parametrize("mode", ["train", "serve"])
def test_systemd_understands_the_units(mode: str, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs the program systemd-analyze")
    program = library("gcp", mode, tmp_path) + 'mkdir -p "$UNITS"; unit watch always 0 "" +console; units_of_mode'
    subprocess.run(["bash", "-c", program], env={**os.environ, "BOOT_ROOT": str(tmp_path)}, check=True)
    units = sorted((tmp_path / "etc/systemd/system").iterdir())
    assert [unit.stem for unit in units] == {
        "train": ["skylift-agent", "skylift-run", "skylift-watch"],
        "serve": ["skylift-serve", "skylift-watch"],
    }[mode]
    for unit in units:  # docker's own unit need not be here
        unit.write_text(unit.read_text().replace(" docker.service", ""))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("mode", ["train", "serve"])
def test_docker_understands_its_arguments(machine: Callable[[Cloud, str], Machine], mode: str) -> None:
    docker = shutil.which("docker")
    if not docker:
        pytest.skip("needs docker's client")
    vm = machine("aws", mode)
    assert vm.boot(spec("aws", mode, logs="/skylift/prod"))[0] == 0
    given = vm.arguments("run" if mode == "train" else "serve")
    nowhere = {**os.environ, "DOCKER_HOST": f"unix://{vm.root}/none.sock"}
    done = subprocess.run([docker, *given], env=nowhere, capture_output=True, text=True)
    assert "docker daemon" in done.stderr  # all was understood, and nobody is there to do it
