"""A machine in a folder: the rendered script runs for real, against metadata servers and tools that are simulated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.boot import BootSpec, Cloud, render

FAKES = Path(__file__).parent / "fakes"
RUN = "20261122t234501-3f9a0c"
LATER = "20991231t000000z"
ALL = ["aws", "gcp", "azure"]
ONE = ["aws", *(pytest.param(cloud, marks=pytest.mark.slow) for cloud in ("gcp", "azure"))]
"""All clouds, of which the quick tests take the first: each request to the others' interfaces starts a program and TLS."""
DIGEST = "sha256:" + "a" * 64
REGISTRIES = {
    "aws": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "gcp": "us-central1-docker.pkg.dev",
    "azure": "skylift.azurecr.io",
}
BUCKETS = {"aws": "s3://{}", "gcp": "gs://{}", "azure": "az://acct/{}"}
HOSTS = (
    "storage.googleapis.com",
    "compute.googleapis.com",
    "secretmanager.googleapis.com",
    "management.azure.com",
    "acct.blob.core.windows.net",
    "certs.vault.azure.net",
    "skylift.azurecr.io",
)


def spec(cloud: Cloud, mode: str, **changes: Any) -> BootSpec:
    values: dict[str, Any] = {
        "mode": mode,
        "stack": "prod",
        "region": "us-east-1",
        "account": "acct",
        "image": f"{REGISTRIES[cloud]}/skylift/image@{DIGEST}",
        "registry": REGISTRIES[cloud],
        "keep": BUCKETS[cloud].format("keep"),
        "work": BUCKETS[cloud].format("work"),
        "gpu": True,
        "driver_timeout_s": 0,
        "identity_client_id": "client-id" if cloud == "azure" else "",
        **({"endpoint": "mnist"} if mode == "serve" else {"max_hours": 4.0}),
    }
    return BootSpec(**values | changes)


class Request(NamedTuple):
    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: str


Answer = tuple[int, str]


class Server:
    """Answers by the beginning of a path and remembers every request; `answers` may change while it runs."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer | Callable[[Request], Answer]] = {}
        self.requests: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                headers = {key.lower(): value for key, value in self.headers.items()}
                asked = Request(self.command, headers.get("host", "").split(":")[0], self.path, headers, body)
                outer.requests.append(asked)
                status, text = outer.answer(asked)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815  # names that http.server looks for

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        if context:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, asked: Request) -> Answer:
        for start in sorted(self.answers, key=len, reverse=True):
            if f"{asked.method} {asked.host}{asked.path}".startswith(start):
                found = self.answers[start]
                return found(asked) if callable(found) else found
        return 404, "not found"

    def to(self, start: str) -> list[Request]:
        return [asked for asked in self.requests if f"{asked.method} {asked.host}{asked.path}".startswith(start)]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Machine:
    """One simulated machine of a cloud."""

    def __init__(self, folder: Path, cloud: Cloud, metadata: Server, api: Server, certificate: Path) -> None:
        self.cloud, self.metadata, self.api = cloud, metadata, api
        self.root, self.fake = folder / "root", folder / "fake"
        self.root.mkdir()
        self.fake.mkdir()
        (self.fake / "calls").touch()
        (folder / ".curlrc").write_text(
            f'connect-to = "169.254.169.254:80:127.0.0.1:{metadata.port}"\n'
            f'connect-to = ":443:127.0.0.1:{api.port}"\ncacert = "{certificate / "cert"}"\n'
        )
        self.env = {
            "PATH": f"{FAKES}:{os.environ['PATH']}",
            "REAL_CURL": shutil.which("curl") or "",
            "CURL_HOME": str(folder),
            "HOME": str(folder),
            "FAKE": str(self.fake),
            "BOOT_ROOT": str(self.root),
            "BOOT_PAUSE": "0",
        }
        self.state = self.root / "run/skylift"
        self._folder = folder
        self._groups: list[int] = []

    def begin(self, given: BootSpec) -> subprocess.Popen[bytes]:
        """Start the first boot."""
        script = self._folder / "user-data"
        script.write_text(render(self.cloud, given))
        with (self._folder / "out").open("w") as out:
            running = subprocess.Popen(
                ["bash", script], env=self.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self._groups.append(running.pid)
        return running

    def boot(self, given: BootSpec) -> tuple[int, str]:
        """Exit code and output of the first boot; what systemd started goes on."""
        code = self.begin(given).wait(60)
        return code, (self._folder / "out").read_text()

    def set(self, name: str, text: str = "") -> None:
        """Something that the simulated tools look for."""
        (self.fake / name).write_text(text)

    def calls(self, start: str = "") -> list[str]:
        return [line for line in (self.fake / "calls").read_text().splitlines() if line.startswith(start)]

    def until(self, true: Callable[[], Any], what: str) -> None:
        last = time.monotonic() + 30
        while not true():
            assert time.monotonic() < last, f"{what}: never; {self.told()}"
            time.sleep(0.01)

    def until_off(self) -> None:
        self.until((self.fake / "off").exists, "switched off")

    def until_running(self, name: str) -> None:
        self.until((self.fake / f"container-{name}").exists, f"container {name}")

    def arguments(self, name: str) -> list[str]:
        """What `docker run` was given for a container."""
        self.until_running(name)
        return (self.fake / f"arguments-{name}").read_text().splitlines()

    def told(self) -> str:
        found = [self._folder / "out", *self.fake.glob("*.out"), self.fake / "calls"]
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in found if path.exists())

    def report(self, key: str) -> dict[str, str]:
        """The report in the work bucket under that key."""
        if self.cloud == "aws":
            text = (self.fake / "bucket/s3:/work" / key).read_text()
        else:
            host = {"gcp": "storage.googleapis.com", "azure": "acct.blob.core.windows.net"}[self.cloud]
            text = self.api.to(f"PUT {host}/work/{key}")[-1].body
        found: dict[str, str] = json.loads(text)
        return found

    def end(self) -> None:
        self.set("off")
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


def serve_metadata(cloud: str, server: Server, mode: str) -> None:
    run = {"skylift-run": RUN, "skylift-end": LATER} if mode == "train" else {}
    at = "169.254.169.254"
    if cloud == "aws":
        server.answers[f"PUT {at}/latest/api/token"] = (200, "TOKEN-of-imds")
        server.answers[f"GET {at}/latest/meta-data/instance-id"] = (200, "i-0abc")
        for name, value in run.items():
            server.answers[f"GET {at}/latest/meta-data/tags/instance/{name}"] = (200, value)
    elif cloud == "gcp":
        facts = {
            "instance/name": "prod-run-x1",
            "instance/id": "4711",
            "instance/zone": "projects/99/zones/us-central1-a",
            "project/project-id": "acct",
            "instance/attributes/created-by": "projects/99/regions/us-central1/instanceGroupManagers/prod-run",
            "instance/service-accounts/default/token": '{"access_token":"TOKEN-of-google","expires_in":3599,"token_type":"Bearer"}',
            "instance/preempted": "FALSE",
            **{f"instance/attributes/{name}": value for name, value in run.items()},
        }
        for path, value in facts.items():
            server.answers[f"GET {at}/computeMetadata/v1/{path}"] = (200, value)
    else:
        vm = "/subscriptions/acct/resourceGroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/prod-run/virtualMachines/3"
        tags = ";".join(f"{name}:{value}" for name, value in {"owner": "me", **run}.items())
        for path, value in {"name": "prod-run_3", "resourceId": vm, "tags": tags}.items():
            server.answers[f"GET {at}/metadata/instance/compute/{path}?"] = (200, value)
        server.answers[f"GET {at}/metadata/identity/oauth2/token"] = lambda asked: (
            200,
            json.dumps(
                {"access_token": "TOKEN-for-" + asked.path.split("resource=")[1].split("&")[0], "expires_in": "86399"}
            ),
        )
        server.answers[f"GET {at}/metadata/scheduledevents"] = (200, '{"DocumentIncarnation":1,"Events":[]}')
        server.answers[f"POST {at}/metadata/scheduledevents"] = (200, "")


def serve_apis(server: Server) -> None:
    server.answers["PUT storage.googleapis.com/work/"] = (200, "")
    server.answers["POST compute.googleapis.com/compute/v1/"] = (200, "{}")
    server.answers["DELETE compute.googleapis.com/compute/v1/"] = (200, "{}")
    server.answers["PUT acct.blob.core.windows.net/work/"] = (201, "")
    server.answers["DELETE management.azure.com/"] = (202, "")
    server.answers["POST skylift.azurecr.io/oauth2/exchange"] = (200, '{"refresh_token":"TOKEN-of-acr"}')
