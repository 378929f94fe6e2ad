from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from skylift.artifacts import endpoints, layout, models
from skylift.artifacts.records import Canary, Current, Deployment, ModelManifest, ModelRef, ReplicaReport, encode, now
from skylift.errors import DeployError, NotFoundError
from skylift.store import Store
from tests.artifacts.racing import race


@pytest.fixture
def model(keep: Store, tmp_path: Path, manifest: Callable[..., ModelManifest]) -> ModelRef:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "model.onnx").write_text("weights")
    models.publish(keep, "mnist", tmp_path / "export", manifest())
    return models.resolve(keep, "mnist")


def pointer(keep: Store) -> int:
    found = endpoints.read_current(keep, "digits")
    assert found is not None
    return found[0].deployment


class TestDeploy:
    def test_numbers_count_and_the_pointer_follows(self, keep: Store, model: ModelRef) -> None:
        assert endpoints.read_current(keep, "digits") is None
        for number in (1, 2, 3):
            made = endpoints.deploy(keep, "digits", model, by="ada", why=f"try {number}")
            assert made.number == pointer(keep) == number
        assert [made.why for made in endpoints.list_deployments(keep, "digits")] == ["try 1", "try 2", "try 3"]
        assert endpoints.read_deployment(keep, "digits", 2).model == model
        assert endpoints.list_endpoints(keep) == ["digits"]

    def test_two_processes_at_once_end_at_the_greatest_number(self, keep: Store, model: ModelRef) -> None:
        said = race("deploy", keep.url, 25)
        numbers = sorted(int(number) for numbers in said.values() for number in numbers)
        assert numbers == list(range(1, 51))
        assert pointer(keep) == 50
        by = {made.number: made.by for made in endpoints.list_deployments(keep, "digits")}
        assert all(by[int(number)] == name for name, numbers in said.items() for number in numbers)

    def test_a_slow_deploy_does_not_take_the_pointer_back(self, keep: Store, model: ModelRef) -> None:
        """It wrote its record, slept, and a newer one was pointed at meanwhile."""
        late = Deployment(endpoint="digits", number=1, model=model, created=now(), by="slow")
        keep.create(layout.deployment("digits", 1), encode(late))
        assert endpoints.deploy(keep, "digits", model, by="quick").number == 2
        endpoints._point(keep, "digits", late)
        assert pointer(keep) == 2

    @pytest.mark.parametrize("fault", ["without manifest", "changed manifest"])
    def test_a_bad_version_is_refused_and_the_old_one_stays(self, keep: Store, model: ModelRef, fault: str) -> None:
        endpoints.deploy(keep, "digits", model, by="ada")
        bad = ModelRef(name="mnist", version=2, digest="0" * 64)
        if fault == "changed manifest":
            keep.put(layout.model_manifest("mnist", bad.digest), b'{"schema": 1}')
        with pytest.raises(DeployError, match="mnist:2 cannot be deployed"):
            endpoints.deploy(keep, "digits", bad, by="ada")
        assert pointer(keep) == 1
        assert len(endpoints.list_deployments(keep, "digits")) == 1

    def test_an_unknown_deployment_names_those_there_are(self, keep: Store, model: ModelRef) -> None:
        endpoints.deploy(keep, "digits", model, by="ada")
        with pytest.raises(NotFoundError, match="'9'; there is 1"):
            endpoints.read_deployment(keep, "digits", 9)

    def test_serving_names_the_canary_too(self, keep: Store, model: ModelRef) -> None:
        other = ModelRef(name="mnist", version=2, digest="1" * 64)
        made = Deployment(
            endpoint="digits", number=1, model=model, canary=Canary(model=other, weight=0.1), created=now(), by="ada"
        )
        keep.create(layout.deployment("digits", 1), encode(made))
        keep.create(layout.current("digits"), encode(Current(deployment=1, changed=now(), by="ada")))
        assert endpoints.serving(keep) == {"digits": {("mnist", model.digest), ("mnist", "1" * 64)}}


class TestReplicas:
    def test_reports_have_an_age_by_the_clock_of_the_store(self, work: Store, age: Callable[..., None]) -> None:
        for name in ("a", "b"):
            report = ReplicaReport(
                endpoint="digits", replica=name, host="h", pid=1, url="http://127.0.0.1:1", state="serving",
                started=now(), updated=now() + timedelta(days=3),
            )  # fmt: skip
            endpoints.write_replica(work, report)
        age(work, layout.replica("digits", "a"), timedelta(seconds=90))
        (first, young), (second, old) = endpoints.list_replicas(work, "digits")
        assert (first.replica, second.replica) == ("b", "a")
        assert 0 <= young < 10 and 89 < old < 100
        endpoints.remove_replica(work, "digits", "b")
        assert [report.replica for report, _ in endpoints.list_replicas(work, "digits")] == ["a"]
        assert endpoints.list_replicas(work, "other") == []
