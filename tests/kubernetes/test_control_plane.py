"""The workloads against a real API server, with real controllers and a real scheduler. Nodes are simulated by kwok: no container runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.kubernetes import program
from tests.kubernetes.plane import Client, Plane, RefusedError, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

BASE = f"/api/v1/namespaces/{program.NAMESPACE}"


def job(name: str, **spec: Any) -> dict[str, Any]:
    """An indexed Job as a run of several machines starts it."""
    security = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "training",
        "image": program.IMAGE,
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "serviceAccountName": "training",
        "restartPolicy": "Never",
        "securityContext": security,
        "nodeSelector": {"skylift.dev/pool": "t4"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [container],
    }
    labels = {"app.kubernetes.io/component": "training"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": program.NAMESPACE, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": 2,
            "parallelism": 2,
            "backoffLimit": 0,
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }


def jobset(name: str) -> dict[str, Any]:
    template = {"spec": job(name)["spec"]}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": program.NAMESPACE},
        "spec": {
            "failurePolicy": {"maxRestarts": 3},
            "network": {"enableDNSHostnames": True},
            "replicatedJobs": [{"name": "workers", "replicas": 1, "template": template}],
        },
    }


def lasting(found: dict[str, Any]) -> dict[str, Any]:
    """An object without what controllers write into it by the way."""
    metadata = {
        key: value for key, value in found["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    return {**found, "metadata": metadata, "status": None}


@contextlib.contextmanager
def refused(code: int, words: str) -> Iterator[None]:
    with pytest.raises(RefusedError) as caught:
        yield
    assert caught.value.code == code, caught.value
    assert words in caught.value.message


def pods(client: Client, selector: str) -> list[dict[str, Any]]:
    return client.listed(f"{BASE}/pods?labelSelector={selector}")


def placed(client: Client, selector: str, count: int) -> list[str]:
    """The nodes of that many pods, once they run."""

    def running() -> list[str]:
        found = [one for one in pods(client, selector) if one["status"].get("phase") in ("Running", "Succeeded")]
        return [one["spec"]["nodeName"] for one in found] if len(found) == count else []

    found: list[str] = eventually(running, f"{count} running pods of {selector}", lambda: str(pods(client, selector)))
    return sorted(found)


def settled(client: Client) -> None:
    """Wait until controllers have done what the workloads ask of them, once."""

    def done() -> bool:
        found = client.listed("/apis/apps/v1/deployments")
        seen = [one["status"].get("observedGeneration") == one["metadata"]["generation"] for one in found]
        revised = ["deployment.kubernetes.io/revision" in one["metadata"].get("annotations", {}) for one in found]
        return all(seen) and all(revised)

    placed(client, "app.kubernetes.io/name=tabular", 2)
    eventually(done, "settled Deployments")


# what is declared


def test_the_server_takes_every_object_without_a_warning(cluster: Client, objects: list[dict[str, Any]]) -> None:
    assert cluster.warnings == []
    for one in objects:
        assert cluster.read(one)["metadata"]["labels"]["skylift-stack"] == "vision-prod"


def test_a_second_time_changes_nothing(cluster: Client, objects: list[dict[str, Any]]) -> None:
    settled(cluster)
    for one in objects:
        before = lasting(cluster.read(one))
        assert lasting(cluster.apply(one)) == before


def test_a_misspelt_field_is_found(cluster: Client, objects: list[dict[str, Any]]) -> None:
    wrong = deepcopy(next(one for one in objects if one["kind"] == "Deployment"))
    wrong["spec"]["template"]["spec"]["nodeSelektor"] = {}
    with refused(500, "nodeSelektor"):
        cluster.apply(wrong, dry=True)


def test_the_kind_jobset_is_established_and_checks_what_it_is_given(cluster: Client) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/jobsets.jobset.x-k8s.io"

    def established() -> bool:
        conditions = cluster.call("GET", path)["status"]["conditions"]
        return ("Established", "True") in [(one["type"], one["status"]) for one in conditions]

    eventually(established, "kind JobSet")
    wrong = jobset("run-2")
    wrong["spec"]["startupPolicy"] = {"startupPolicyOrder": "Sideways"}
    with refused(422, 'Unsupported value: "Sideways"'):
        cluster.create(wrong)
    kept = jobset("run-2")
    kept["spec"]["suspend"] = True
    cluster.create(kept)
    kept["spec"]["network"]["enableDNSHostnames"] = False
    with refused(422, 'spec.network: Invalid value: "object": Value is immutable'):
        cluster.apply(kept)


# what comes of it


def test_replicas_find_their_nodes_as_many_as_the_autoscaler_says(
    cluster: Client, objects: list[dict[str, Any]]
) -> None:
    assert placed(cluster, "app.kubernetes.io/name=tabular", 2) == ["cpu-a", "cpu-b"]
    assert placed(cluster, "app.kubernetes.io/name=digits", 1) == ["t4-a"]
    deployment = next(one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == "tabular")
    assert cluster.apply(deployment)["spec"]["replicas"] == 2


def test_the_device_plugin_runs_on_gpu_nodes_and_no_other(cluster: Client) -> None:
    def nodes() -> set[str]:
        found = cluster.listed("/api/v1/namespaces/kube-system/pods?labelSelector=app.kubernetes.io/name")
        own = [one for one in found if one["metadata"]["name"].startswith("nvidia-device-plugin")]
        return {one["spec"].get("nodeName", "") for one in own if one["status"].get("phase") == "Running"}

    eventually(lambda: nodes() == {"t4-a", "h100-a"}, "device plugin on both GPU nodes", lambda: str(nodes()))


def test_a_drain_takes_one_replica_at_a_time(cluster: Client) -> None:
    placed(cluster, "app.kubernetes.io/name=tabular", 2)
    names = [one["metadata"]["name"] for one in pods(cluster, "app.kubernetes.io/name=tabular")]
    budget = "/apis/policy/v1" + f"/namespaces/{program.NAMESPACE}/poddisruptionbudgets/tabular"
    eventually(lambda: cluster.call("GET", budget)["status"].get("disruptionsAllowed") == 1, "budget of one")
    with cordoned(cluster):  # or a new replica may be ready before the second is asked to go
        cluster.call("POST", f"{BASE}/pods/{names[0]}/eviction", eviction(names[0]))
        with refused(429, "disruption budget"):
            cluster.call("POST", f"{BASE}/pods/{names[1]}/eviction", eviction(names[1]))
    placed(cluster, "app.kubernetes.io/name=tabular", 2)


def eviction(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": program.NAMESPACE}
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}


@contextlib.contextmanager
def cordoned(cluster: Client) -> Iterator[None]:
    """No node takes pods meanwhile, as a drain begins."""
    names = [one["metadata"]["name"] for one in cluster.listed("/api/v1/nodes")]
    try:
        for name in names:
            _mark(cluster, name, True)
        yield
    finally:
        for name in names:
            _mark(cluster, name, False)


def _mark(cluster: Client, name: str, closed: bool) -> None:
    patch = {"spec": {"unschedulable": closed}}
    cluster.call("PATCH", f"/api/v1/nodes/{name}", patch, "application/merge-patch+json")


def test_an_indexed_job_runs_on_the_pool_that_it_names(cluster: Client, plane: Plane) -> None:
    trainer = plane.client("grace")
    trainer.create(job("run-3"))
    assert placed(trainer, "job-name=run-3", 2) == ["t4-a", "t4-a"]
    assert {
        one["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
        for one in pods(trainer, "job-name=run-3")
    } == {"0", "1"}
    trainer.call("DELETE", f"/apis/batch/v1/namespaces/{program.NAMESPACE}/jobs/run-3?propagationPolicy=Foreground")


def test_a_jobset_becomes_a_job_whose_machines_know_each_other_by_name(cluster: Client, plane: Plane) -> None:
    trainer = plane.client("grace")
    trainer.create(jobset("run-1"))
    assert placed(cluster, "jobset.sigs.k8s.io/jobset-name=run-1", 2) == ["t4-a", "t4-a"]
    specs = [one["spec"] for one in pods(cluster, "jobset.sigs.k8s.io/jobset-name=run-1")]
    assert {(spec["hostname"], spec["subdomain"]) for spec in specs} == {
        ("run-1-workers-0-0", "run-1"),
        ("run-1-workers-0-1", "run-1"),
    }
    assert cluster.call("GET", f"{BASE}/services/run-1")["spec"]["clusterIP"] == "None"
    path = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{program.NAMESPACE}/jobsets/run-1"
    eventually(
        lambda: trainer.call("GET", path).get("status", {}).get("terminalState") == "Completed", "finished JobSet"
    )
    trainer.call("DELETE", path)


def test_the_controller_of_jobset_says_what_is_wrong_with_one(cluster: Client) -> None:
    wrong = jobset("run-7")
    wrong["spec"]["successPolicy"] = {"operator": "All", "targetReplicatedJobs": ["nobody"]}
    with refused(403, 'admission webhook "vjobset.kb.io" denied the request'):
        cluster.create(wrong)
    wrong = jobset("run-7")
    wrong["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"] = "training"
    with refused(400, "cannot unmarshal string"):
        cluster.create(wrong)


# what is refused


def _privileged(pod: dict[str, Any]) -> None:
    pod["containers"][0]["securityContext"] = {"privileged": True}


def _as_root(pod: dict[str, Any]) -> None:
    pod["securityContext"]["runAsUser"] = 0


def _host_folder(pod: dict[str, Any]) -> None:
    pod["volumes"] = [{"name": "host", "hostPath": {"path": "/"}}]


def _capable(pod: dict[str, Any]) -> None:
    pod["containers"][0]["securityContext"]["capabilities"] = {"add": ["NET_ADMIN"]}


@pytest.mark.parametrize("breaks", [_privileged, _as_root, _host_folder, _capable])
def test_a_pod_that_could_become_more_is_refused(cluster: Client, breaks: Callable[[dict[str, Any]], None]) -> None:
    spec = deepcopy(job("x")["spec"]["template"]["spec"])
    breaks(spec)
    metadata = {"name": "bad", "namespace": program.NAMESPACE}
    with refused(403, 'violates PodSecurity "restricted:v1.33"'):
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def test_no_more_gpus_are_given_than_the_quota_has(cluster: Client) -> None:
    def known() -> bool:
        return "requests.nvidia.com/gpu" in cluster.call("GET", f"{BASE}/resourcequotas/stack")["status"].get(
            "used", {}
        )

    eventually(known, "quota that is counted")
    spec = deepcopy(job("x")["spec"]["template"]["spec"])
    spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = "5"
    metadata = {"name": "greedy", "namespace": program.NAMESPACE}
    with refused(403, "exceeded quota: stack, requested: requests.nvidia.com/gpu=5"):
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def test_a_pod_without_wishes_gets_the_small_ones_of_the_limit_range(cluster: Client) -> None:
    spec = deepcopy(job("x")["spec"]["template"]["spec"])
    del spec["containers"][0]["resources"]
    metadata = {"name": "modest", "namespace": program.NAMESPACE}
    made = cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry=True)
    resources = made["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "512Mi"}}


@pytest.mark.parametrize("account", ["serving", "launcher", None])
def test_nobody_starts_a_run_as_somebody_else(cluster: Client, plane: Plane, account: str | None) -> None:
    trainer = plane.client("grace")
    stolen = job("run-4")
    stolen["spec"]["template"]["spec"]["serviceAccountName"] = account
    with refused(422, "runs of this stack use the service account training"):
        trainer.create(stolen)


def test_a_jobset_does_not_get_around_that(cluster: Client, plane: Plane) -> None:
    stolen = jobset("run-8")
    stolen["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["serviceAccountName"] = "serving"
    with refused(422, "runs of this stack use the service account training"):
        plane.client("grace").create(stolen)


def test_a_launcher_may_train_and_nothing_else(cluster: Client, plane: Plane) -> None:
    trainer = plane.client("grace")
    trainer.create(jobset("run-5"))
    trainer.call("GET", f"{BASE}/pods")
    for method, path in (
        ("GET", f"{BASE}/secrets"),
        ("GET", f"{BASE}/configmaps"),
        ("DELETE", f"{BASE}/pods/any"),
        ("POST", f"{BASE}/pods/any/exec"),
        ("GET", f"/apis/apps/v1/namespaces/{program.NAMESPACE}/deployments"),
        ("GET", "/api/v1/namespaces/kube-system/pods"),
        ("GET", "/api/v1/nodes"),
    ):
        with refused(403, "grace"):
            trainer.call(method, path)


def test_a_caller_may_reach_endpoints_and_nothing_else(cluster: Client, plane: Plane) -> None:
    caller = plane.client("ada@example.com")
    assert {"digits", "tabular"} <= {one["metadata"]["name"] for one in caller.listed(f"{BASE}/services")}
    with refused(403, "cannot create resource"):
        caller.create(job("run-6"))
    with refused(403, "cannot list resource"):
        caller.call("GET", f"{BASE}/secrets")
