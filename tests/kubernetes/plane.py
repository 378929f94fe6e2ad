"""A real Kubernetes control plane on this machine for the length of a test session: etcd, API server, controllers, scheduler, and nodes
and kubelets that are played by kwok. Nothing in it runs a container."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WAIT = 90.0
"""How long anything may take until it is as it should be [s]: two cores may have other work."""

# Who may come in, by token: the controllers, and people of the stack.
PEOPLE = {
    "admin": ("admin", ["system:masters"]),
    "system:kube-controller-manager": ("controllers", []),
    "system:kube-scheduler": ("scheduler", []),
    "grace": ("grace", ["trainers"]),
    "ada@example.com": ("ada", []),
}


class RefusedError(Exception):
    """What the API server says no to."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


@dataclass
class Client:
    """The API server as one person sees it."""

    url: str
    token: str
    context: ssl.SSLContext
    warnings: list[str] = field(default_factory=list)
    """What the server warned of, since the client was made."""

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=30) as answer:
                self.warnings += answer.headers.get_all("Warning") or []
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            with contextlib.suppress(ValueError):
                text = json.loads(text)["message"]
            raise RefusedError(error.code, text) from None

    def path(self, manifest: dict[str, Any], named: bool = True) -> str:
        version, kind = manifest["apiVersion"], manifest["kind"]
        base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        plural, is_inside = self._kinds(base)[kind]
        space = f"/namespaces/{manifest['metadata']['namespace']}" if is_inside else ""
        name = f"/{manifest['metadata']['name']}" if named else ""
        return f"{base}{space}/{plural}{name}"

    def _kinds(self, base: str) -> dict[str, tuple[str, bool]]:
        listed = self.call("GET", base)["resources"]
        return {one["kind"]: (one["name"], one["namespaced"]) for one in listed if "/" not in one["name"]}

    def apply(self, manifest: dict[str, Any], *, dry: bool = False) -> Any:
        """Server-side apply as Pulumi does it, with every unknown or doubled field refused."""
        query = "?fieldManager=skylift&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.call("PATCH", self.path(manifest) + query, manifest, "application/apply-patch+yaml")

    def create(self, manifest: dict[str, Any], *, dry: bool = False) -> Any:
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.call("POST", self.path(manifest, named=False) + query, manifest)

    def read(self, manifest: dict[str, Any]) -> Any:
        return self.call("GET", self.path(manifest))

    def listed(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", path)["items"]
        return found


@dataclass
class Plane:
    """A control plane that answers."""

    folder: Path
    url: str
    certificate: Path

    @property
    def proxy(self) -> Path:
        """The socket that the API server reaches the cluster's network through: see controller.network."""
        return self.folder / "network.sock"

    def starter(self, stack: contextlib.ExitStack) -> Starter:
        """For programs that end with the stack."""
        return Starter(self.folder, stack)

    def client(self, person: str = "admin") -> Client:
        context = ssl.create_default_context(cafile=str(self.certificate))
        return Client(self.url, PEOPLE[person][0], context)

    def settings(self, name: str, token: str) -> Path:
        """A kubeconfig file."""
        path = self.folder / f"{name}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        whole = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(whole), encoding="utf-8")
        return path


def missing() -> str:
    """What this machine lacks for a control plane, with the words that get it; empty if nothing."""
    build = recipe()
    if not build.is_whole(build.folder()):
        return f"no Kubernetes {build.version()} in {build.folder()}: `python .ci/kubernetes.py` builds it with Go in some minutes"
    if shutil.which("etcd") is None:
        return "no etcd on PATH: `apt-get install etcd-server`"
    return "" if shutil.which("openssl") else "no openssl on PATH: `apt-get install openssl`"


@cache
def recipe(name: str = "kubernetes") -> ModuleType:
    """A program of .ci/; `kubernetes` knows where the control plane lies."""
    spec = importlib.util.spec_from_file_location(f"skylift_ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Plane]:
    """A control plane that ends with the block, with all its processes."""
    key, certificate = _certificate(folder)
    clients, peers, port = free_port(), free_port(), free_port()
    plane = Plane(folder, f"https://127.0.0.1:{port}", certificate)
    with contextlib.ExitStack() as stack:
        start = Starter(folder, stack)
        start("etcd", *_etcd(folder, clients, peers))
        start("kube-apiserver", *_api_server(folder, clients, port, key, certificate))
        client = plane.client()
        eventually(lambda: _answers(client), "an API server that is ready", start.words)
        _controllers(plane, start, key, certificate)
        yield plane


def _etcd(folder: Path, clients: int, peers: int) -> list[str]:
    here, there = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={here}",
        f"--advertise-client-urls={here}",
        f"--listen-peer-urls={there}",
        f"--initial-advertise-peer-urls={there}",
        f"--initial-cluster=default={there}",
        "--unsafe-no-fsync",
        "--logger=zap",
    ]


def _api_server(folder: Path, etcd: int, port: int, key: Path, certificate: Path) -> list[str]:
    tokens = folder / "tokens.csv"
    rows = [f'{token},{name},{name},"{",".join(groups)}"' for name, (token, groups) in PEOPLE.items()]
    tokens.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",  # as clouds have it: Pod Security is to say no, not this
        f"--egress-selector-config-file={_egress(folder)}",
    ]


def _egress(folder: Path) -> Path:
    """Have the API server reach Services through a socket, for this machine has no cluster's network."""
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(folder / "network.sock")}}}
    whole = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }
    path = folder / "egress.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def _controllers(plane: Plane, start: Starter, key: Path, certificate: Path) -> None:
    leader = ["--leader-elect=false", "--secure-port=0"]
    known = {name: f"--kubeconfig={plane.settings(token, token)}" for name, (token, _) in PEOPLE.items()}
    keys = [f"--service-account-private-key-file={key}", f"--root-ca-file={certificate}"]
    often = "--horizontal-pod-autoscaler-sync-period=2s"
    start(
        "kube-controller-manager",
        known["system:kube-controller-manager"],
        "--use-service-account-credentials=true",
        often,
        *keys,
        *leader,
    )
    start("kube-scheduler", known["system:kube-scheduler"], *leader)
    start("kwok", known["admin"], "--manage-all-nodes=true", "--server-address=127.0.0.1:0")


class Starter:
    """Starts programs that end with a stack, and keeps what they say."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(self, name: str, *arguments: str) -> None:
        program = shutil.which("etcd") if name == "etcd" else recipe().folder() / name
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*_DIES_WITH_US, str(program), *arguments],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        self._running[name] = process
        self._stack.callback(_end, process)

    def words(self) -> str:
        """The last that each has said, and which have ended."""
        said = []
        for name, process in self._running.items():
            lines = (self._folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
            said.append(f"{name} ({'ended' if process.poll() is not None else 'running'}): " + "\n  ".join(lines))
        return "\n".join(said)


_DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""So that a session that is killed leaves nothing behind (Linux)."""


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # nothing in it outlives the session
    process.wait()


def _answers(client: Client) -> bool:
    try:
        client.call("GET", "/readyz?exclude=none")
    except (RefusedError, urllib.error.URLError, OSError, ValueError) as error:
        return isinstance(error, ValueError)  # it says `ok`, which is no JSON
    return True


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, certificate = folder / "plane.key", folder / "plane.crt"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:TRUE"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def eventually(true: Callable[[], Any], what: str, words: Callable[[], str] = lambda: "", within: float = WAIT) -> Any:
    """What `true` returns once it is something; fails if that takes too long, or if `words` tell that a program has ended."""
    end = time.monotonic() + within
    while True:
        found = true()
        if found:
            return found
        said = words()
        assert time.monotonic() < end and " (ended): " not in said, f"no {what} within {within:.0f} s\n{said}"
        time.sleep(0.1)


def node(name: str, zone: str, labels: dict[str, str], gpus: int = 0) -> dict[str, Any]:
    """A node that kwok plays, tainted as GPU nodes are if it has any."""
    can = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "200Gi"}
    if gpus:
        can["nvidia.com/gpu"] = str(gpus)
    taints: Sequence[dict[str, str]] = (
        [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}] if gpus else []
    )
    own = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux", **labels}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": own},
        "spec": {"taints": taints},
        "status": {"capacity": can, "allocatable": can},
    }
