"""A serving machine: starts its server, tells why it could not, stays until its group takes it away."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable

import pytest

from infra.boot import Cloud
from tests.boot.machine import ALL, ONE, Machine, spec

Make = Callable[[Cloud, str], Machine]
NAMES = {"aws": "i-0abc", "gcp": "prod-run-x1", "azure": "prod-run_3"}
PEM = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("cloud", ALL)
def test_the_server_gets_its_endpoint_its_port_and_the_whole_of_its_flags(machine: Make, cloud: Cloud) -> None:
    vm = machine(cloud, "serve")
    given = spec(
        cloud,
        "serve",
        flags=("--workers", "4", "--note", "it's $(touch pwned) `x`"),
        env={"A": "b c", "H": "$HOME '\""},
    )
    code, out = vm.boot(given)
    assert code == 0, vm.told()
    assert "started mnist" in out
    words = vm.arguments("serve")
    at = words.index("serve", words.index(given.image))
    assert words[at + 1 :] == [
        *("--endpoint", f"{given.keep}/endpoints/mnist", "--work", given.work, "--host", "0.0.0.0", "--port", "8080"),
        *("--replica", NAMES[cloud], "--cache", "/cache", *given.flags),
    ]
    assert ("--network", "host") in itertools.pairwise(words)
    env = (vm.root / "var/lib/skylift/env").read_text().splitlines()
    assert env[-4:] == ["SKYLIFT_STACK=prod", "SKYLIFT_REGION=us-east-1", "A=b c", "H=$HOME '\""]
    assert not list(vm.root.rglob("pwned"))
    assert not vm.calls("iptables")  # its identity is the machine's


@pytest.mark.parametrize("cloud", ONE)
def test_a_server_that_could_not_start_reports_beside_the_replicas_and_leaves_the_rest_to_its_group(
    machine: Make, cloud: Cloud
) -> None:
    vm = machine(cloud, "serve")
    vm.set("login-fails", "9")
    code, _ = vm.boot(spec(cloud, "serve"))
    assert code == 1
    assert vm.report(f"replicas/_boot/mnist/{NAMES[cloud]}.json")["reason"] == "sign_in"
    assert len(vm.calls("docker login")) == 5
    assert not vm.calls("shutdown")
    assert not vm.calls("aws autoscaling")
    assert not [one for one in vm.api.requests if one.method == "DELETE"]


@pytest.mark.slow
def test_a_server_that_dies_is_started_again(machine: Make) -> None:
    vm = machine("gcp", "serve")
    vm.set("on-serve", 'if [ "$(grep -c "docker run" "$FAKE/calls")" -lt 8 ]; then exit 1; fi')
    vm.boot(spec("gcp", "serve"))
    vm.until(lambda: len(vm.calls("docker run")) == 8, "started more often than a bounded unit")
    vm.until_running("serve")


@pytest.mark.parametrize(("cloud", "seconds"), [("aws", 110), ("gcp", 25)])
def test_a_preempted_server_is_asked_to_drain(machine: Make, cloud: Cloud, seconds: int) -> None:
    vm = machine(cloud, "serve")
    vm.boot(spec(cloud, "serve"))
    vm.until_running("serve")
    vm.metadata.answers["GET 169.254.169.254/latest/meta-data/spot/instance-action"] = (200, '{"action":"terminate"}')
    vm.metadata.answers["GET 169.254.169.254/computeMetadata/v1/instance/preempted"] = (200, "TRUE")
    vm.until(lambda: vm.calls("SIGTERM serve"), "SIGTERM")
    assert vm.calls("docker stop") == [f"docker stop -t {seconds} skylift-serve"]


@pytest.mark.parametrize("cloud", ONE)
def test_a_certificate_comes_from_the_cloud_s_secrets_into_memory(machine: Make, cloud: Cloud) -> None:
    vm = machine(cloud, "serve")
    vm.set("pem", PEM)
    secret = json.dumps({"name": "x", "payload": {"data": base64.b64encode(PEM.encode()).decode()}})
    vm.api.answers["GET secretmanager.googleapis.com/v1/projects/acct/secrets/tls/versions/latest:access"] = (
        200,
        secret,
    )
    vm.api.answers["GET certs.vault.azure.net/secrets/tls?api-version=7.4"] = (
        200,
        json.dumps({"value": PEM, "id": "x"}),
    )
    vm.boot(spec(cloud, "serve", tls_secret="certs/tls" if cloud == "azure" else "tls"))
    words = vm.arguments("serve")
    assert f"{vm.state}/tls.pem:/run/skylift/tls.pem:ro" in words
    assert (vm.state / "tls.pem").read_text().strip() == PEM.strip()
    assert (vm.state / "tls.pem").stat().st_mode & 0o077 == 0
    assert "BEGIN" not in (vm.fake / "calls").read_text()


@pytest.mark.slow
def test_a_server_without_its_certificate_does_not_start(machine: Make) -> None:
    vm = machine("gcp", "serve")
    vm.boot(spec("gcp", "serve", tls_secret="tls"))
    vm.until(lambda: len(vm.api.to("GET secretmanager")) > 2, "asked again")
    assert not vm.calls("docker run")


@pytest.mark.parametrize(
    ("cloud", "words"),
    [
        ("aws", "--log-driver awslogs --log-opt awslogs-region=us-east-1 --log-opt awslogs-group=/skylift/prod"),
        ("gcp", "--log-driver gcplogs --log-opt gcp-project=/skylift/prod"),
    ],
)
def test_output_goes_where_the_stack_says(machine: Make, cloud: Cloud, words: str) -> None:
    vm = machine(cloud, "serve")
    vm.boot(spec(cloud, "serve", logs="/skylift/prod"))
    assert words in " ".join(vm.arguments("serve"))
