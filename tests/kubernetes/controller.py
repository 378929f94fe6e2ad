"""The real controller of JobSet beside the control plane: started as its Deployment says, with the rights of its own service account, and
reached by the API server through the Service of its webhooks. What a kubelet and a cluster's network would do is played here."""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from tests.kubernetes.plane import Client, Plane, RefusedError, eventually, free_port

SYSTEM = "/api/v1/namespaces/jobset-system"
_LOOKED_FOR = Path("/tmp/k8s-webhook-server/serving-certs/tls.crt")
"""The controller waits until this exists, wherever its configuration says that certificates are."""


@contextlib.contextmanager
def running(plane: Plane, deployment: dict[str, Any], configuration: dict[str, Any]) -> Iterator[None]:
    """The controller, from when it is ready to the end of the block.

    Args:
        deployment: the manifest whose flags it gets.
        configuration: the manifest of its ConfigMap.
    """
    folder = plane.folder / "jobset"
    (folder / "certificates").mkdir(parents=True)
    client = plane.client()
    webhooks, health = free_port(), free_port()
    flags = _flags(folder, deployment, configuration, webhooks)
    with network(plane, webhooks), contextlib.ExitStack() as stack:
        start = plane.starter(stack)
        with _one_at_a_time():
            start(
                "jobset",
                *flags,
                f"--kubeconfig={_own(plane, client)}",
                f"--health-probe-bind-address=127.0.0.1:{health}",
                "--metrics-bind-address=0",
            )
            eventually(lambda: _mount(client, folder / "certificates"), "certificate of the webhooks", start.words)
            _LOOKED_FOR.touch()
            eventually(lambda: _is_ready(health), "controller of JobSet that is ready", start.words)
        yield


@contextlib.contextmanager
def network(plane: Plane, port: int) -> Iterator[None]:
    """The cluster's network as the API server sees it: whatever Service it calls for a webhook answers on that port of this machine."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while b"\r\n\r\n" not in self.request.recv(4096):
                pass
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pour, args=(there, self.request), daemon=True)
                back.start()
                _pour(self.request, there)
                back.join()

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(plane.proxy), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _flags(folder: Path, deployment: dict[str, Any], configuration: dict[str, Any], port: int) -> list[str]:
    """Those of the manifest, with its configuration file moved here and the webhooks to a free port."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    path = folder / "configuration.yaml"
    (text,) = configuration["data"].values()
    told = yaml.safe_load(text)
    assert told["webhook"]["port"] in {one["containerPort"] for one in container["ports"]}
    told["webhook"] |= {"port": port, "host": "127.0.0.1", "certDir": str(folder / "certificates")}
    told["leaderElection"]["resourceNamespace"] = "jobset-system"  # a pod knows its own
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    (mounted,) = (one["mountPath"] for one in container["volumeMounts"] if one["name"] == "configuration")
    flags: list[str] = container["args"]
    assert f"--config={mounted}" in flags
    return [f"--config={path}" if one == f"--config={mounted}" else one for one in flags]


def _own(plane: Plane, client: Client) -> Path:
    """A kubeconfig of the controller's own service account, so that it may do what its roles say and no more."""
    wish = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = client.call("POST", f"{SYSTEM}/serviceaccounts/jobset-controller-manager/token", wish)
    return plane.settings("jobset", made["status"]["token"])


def _mount(client: Client, folder: Path) -> bool:
    """Play the kubelet: write the Secret that the controller has filled into the folder that the pod would have."""
    try:
        found = client.call("GET", f"{SYSTEM}/secrets/jobset-webhook-server-cert").get("data") or {}
    except RefusedError:
        return False
    for name, text in found.items():
        (folder / name).write_bytes(base64.b64decode(text))
    return {"tls.crt", "tls.key"} <= found.keys()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """The file that a controller waits for is there for all of this machine: while one begins, no other may, and none may be left."""
    _LOOKED_FOR.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_LOOKED_FOR.parent.parent / "tests.lock"):
        _LOOKED_FOR.unlink(missing_ok=True)
        try:
            yield
        finally:
            _LOOKED_FOR.unlink(missing_ok=True)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False
