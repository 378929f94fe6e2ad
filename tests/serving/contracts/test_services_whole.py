"""The program in the surroundings of each service, asked as the service asks."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from skylift.artifacts import endpoints
from tests.serving import onnx_models
from tests.serving.conftest import Answer, Bench, Server
from tests.serving.contracts.services import Place
from tests.serving.waiting import wait_for

ROWS = [[1, 2, 3]]


def invoke(server: Server, path: str = "/invocations", **headers: str) -> Answer:
    given: Any = {"Content-Type": "application/json", **headers}
    return server.ask("POST", path, {"instances": ROWS}, **given)


def first(answer: Answer) -> float:
    assert answer.status == 200, answer.body
    value: float = answer.json()["predictions"][0][0]
    return value


class TestSageMaker:
    @pytest.mark.parametrize("where", ["", pytest.param("half/00000001", marks=pytest.mark.slow)])
    def test_it_serves_what_is_mounted(self, place: Place, where: str) -> None:
        place.put(where) if where else place.put("x").joinpath("model.onnx").rename(place.models / "model.onnx")
        server = place.start("serve", SKYLIFT_MOUNTED=str(place.models))
        assert server.ask("GET", "/ping").status == 200
        assert first(invoke(server)) == 2.0

    def test_a_mounted_model_that_cannot_be_loaded_is_never_healthy(self, place: Place) -> None:
        row = (
            onnx_models.value("x", onnx_models.FLOAT, ["rows", 3]),
            onnx_models.value("y", onnx_models.FLOAT, ["rows", 3]),
        )
        unknown = onnx_models.model([helper.make_node("NoSuchOperation", ["x"], ["y"])], [row[0]], [row[1]])
        (place.put("1") / "model.onnx").write_bytes(unknown)
        server = place.start("serve", ready=False, SKYLIFT_MOUNTED=str(place.models))
        wait_for(lambda: server.events("version_failed"))
        assert server.ask("GET", "/ping").status == 503
        assert server.ask("GET", "/livez").status == 200

    @pytest.mark.slow
    def test_several_mounted_models_need_a_name_or_a_default(self, place: Place) -> None:
        place.put("half/1", 0.5)
        place.put("triple/1", 3)
        server = place.start("serve", SKYLIFT_MOUNTED=str(place.models))
        assert (invoke(server).status, "half, triple" in invoke(server).json()["error"]) == (400, True)
        named: Any = {"X-Amzn-SageMaker-Custom-Attributes": "tfs-model-name=triple"}
        assert first(invoke(server, **named)) == 3.0
        usual = place.start("serve", SKYLIFT_MOUNTED=str(place.models), SAGEMAKER_TFS_DEFAULT_MODEL_NAME="half")
        assert first(invoke(usual)) == 0.5
        assert first(invoke(usual, **named)) == 3.0

    def test_nothing_to_serve_is_one_clear_line(self, place: Place) -> None:
        code, said = place.fail("serve")
        assert (code, said.count("\n")) == (3, 1)
        assert "--endpoint URL" in said
        assert "--mounted" in said
        code, said = place.fail("serve", SKYLIFT_MOUNTED=str(place.models))
        assert (code, "holds no model" in said) == (3, True)

    @pytest.mark.slow
    def test_what_is_not_done_is_in_the_log(self, place: Place) -> None:
        place.put("1")
        server = place.start("serve", SKYLIFT_MOUNTED=str(place.models), SAGEMAKER_GUNICORN_WORKERS="4")
        assert "SAGEMAKER_GUNICORN_WORKERS" in server.events("no_effect")[0]["message"]

    def test_ping_is_quick_while_a_model_loads(self, place: Place, bench: Bench) -> None:
        """It never waits for the model: 503 until it answers, then 200."""
        bench.deploy(bench.publish_scale(2))
        server = place.start("serve", ready=False, SKYLIFT_ENDPOINT=f"{bench.keep.url}/endpoints/default")
        seen = []

        def ask() -> bool:
            began = time.monotonic()
            seen.append(server.ask("GET", "/ping").status)
            assert time.monotonic() - began < 2
            return seen[-1] == 200

        wait_for(ask)
        assert set(seen) <= {503, 200}
        assert first(invoke(server)) == 2.0


class TestManyModels:
    @pytest.fixture
    def server(self, place: Place) -> Server:
        return place.start(
            "serve", "--workers", "2", SAGEMAKER_MULTI_MODEL="true", SKYLIFT_MODELS_FOLDER=str(place.models)
        )

    def load(self, server: Server, name: str, where: Path) -> Answer:
        return server.ask("POST", "/models", {"model_name": name, "url": str(where)})

    def test_the_life_of_a_model(self, place: Place, server: Server) -> None:
        assert server.ask("GET", "/ping").status == 200
        assert server.ask("GET", "/models").json() == {"models": []}
        assert invoke(server, "/models/a/invoke").status == 404
        bare, numbered = place.put("aaa/model", 2), place.put("bbb/model/1", 3).parent
        assert self.load(server, "a", bare).status == 200
        assert self.load(server, "b", numbered).status == 200
        assert [first(invoke(server, f"/models/{name}/invoke")) for name in "ab"] == [2.0, 3.0]
        assert server.ask("GET", "/models/b").json() == {"modelName": "b", "modelUrl": str(numbered)}
        again = self.load(server, "a", bare)
        assert (again.status, "loaded already" in again.json()["error"]) == (409, True)
        assert server.ask("DELETE", "/models/a").status == 200
        assert server.ask("DELETE", "/models/a").status == 404
        assert server.ask("GET", "/models/a").status == 404
        assert invoke(server, "/models/a/invoke").status == 404
        assert server.ask("GET", "/models").json() == {"models": [{"modelName": "b", "modelUrl": str(numbered)}]}
        assert self.load(server, "a", bare).status == 200
        assert first(invoke(server, "/models/a/invoke")) == 2.0

    def test_of_several_loads_of_one_name_one_counts(self, place: Place, server: Server) -> None:
        folder = place.put("one/model")
        seen: list[int] = []
        loading = [
            threading.Thread(target=lambda: seen.append(self.load(server, "one", folder).status)) for _ in range(6)
        ]
        for one in loading:
            one.start()
        for one in loading:
            one.join()
        assert sorted(seen) == [200, 409, 409, 409, 409, 409]
        assert first(invoke(server, "/models/one/invoke")) == 2.0

    def test_what_cannot_be_loaded_leaves_nothing(self, place: Place, server: Server) -> None:
        great = place.put("great/model")
        with (great / "model.onnx").open("ab") as file:
            file.truncate(1 << 43)  # of which the disk holds nothing
        answer = self.load(server, "great", great)
        assert (answer.status, "memory is short" in answer.json()["error"]) == (507, True)
        broken = place.put("broken/model")
        (broken / "model.onnx").write_bytes(b"no model")
        assert self.load(server, "broken", broken).status == 400
        assert self.load(server, "none", place.models / "none").status == 404
        (place.models / "empty").mkdir()
        assert self.load(server, "empty", place.models / "empty").status == 404
        assert self.load(server, "outside", Path("/etc")).status == 403
        assert self.load(server, "outside", place.models / ".." / "..").status == 403
        assert self.load(server, "a/b", place.models).status == 400
        for body in (b"", b"[]", b'{"model_name": "x"}', b'{"model_name": 1, "url": "x"}'):
            assert server.ask("POST", "/models", body).status == 400
        assert server.ask("GET", "/models").json() == {"models": []}

    @pytest.mark.slow
    def test_long_lists_come_in_pages(self, place: Place, server: Server) -> None:
        folder = place.put("one/model")
        names = [f"m{number:03}" for number in range(103)]

        def load(some: list[str]) -> None:
            for name in some:
                assert self.load(server, name, folder).status == 200

        loading = [threading.Thread(target=load, args=(names[start::4],)) for start in range(4)]
        for one in loading:
            one.start()
        for one in loading:
            one.join()
        page = server.ask("GET", "/models").json()
        rest = server.ask("GET", f"/models?next_page_token={page['nextPageToken']}").json()
        assert [one["modelName"] for one in page["models"] + rest["models"]] == names
        assert "nextPageToken" not in rest


class TestVertex:
    def start(self, place: Place, **variables: str) -> Server:
        given: Any = {
            "AIP_HTTP_PORT": "8080",
            "AIP_HEALTH_ROUTE": "/v1/models/own",
            "AIP_PREDICT_ROUTE": "/v1/models/own:predict",
            "AIP_STORAGE_URI": place.models.as_uri(),
        }
        return place.start("serve", **{**given, **variables})

    def test_its_routes_and_its_model(self, place: Place) -> None:
        place.put("half/1", 0.5)
        server = self.start(place, SKYLIFT_FLAGS="--access-log stderr")
        assert server.ask("GET", "/v1/models/own").json() == {"status": "ok"}
        assert first(invoke(server, "/v1/models/own:predict")) == 0.5
        assert first(invoke(server, "/v1/models/half:predict")) == 0.5
        csv: Any = {"Content-Type": "text/csv", "Accept": "*/*"}
        raw = server.ask("POST", "/v1/models/own:predict", b"1,2,3\n", **csv)
        assert raw.body.startswith(b"0.5,1")

    def test_its_log_has_the_fields_of_cloud_logging(self, place: Place) -> None:
        place.put("1")
        server = self.start(place, SKYLIFT_FLAGS="--access-log stderr", SKYLIFT_NOTHING="")
        assert invoke(server).status == 200

        def lines() -> list[dict[str, Any]]:
            return [json.loads(line) for line in server.log.read_text().splitlines()]

        wait_for(lambda: any(line["message"] == "request" for line in lines()))
        assert all(line["severity"] in ("INFO", "WARNING", "ERROR") and line["message"] for line in lines())


class TestAzure:
    def test_its_folders_and_its_routes(self, place: Place) -> None:
        place.put("INPUT_model/half/1", 0.5)
        server = place.start(AZUREML_MODEL_DIR=str(place.models), WORKER_COUNT="2", AZUREML_ENTRY_SCRIPT="score.py")
        assert [server.ask("GET", path).status for path in ("/", "/livez", "/readyz")] == [200, 200, 200]
        assert first(invoke(server, "/score")) == 0.5
        assert len(server.workers) == 2
        assert "AZUREML_ENTRY_SCRIPT" in server.events("no_effect")[0]["message"]


class TestLastCopy:
    """The pointer wins over a mounted model, which answers while the bucket cannot be reached."""

    @pytest.mark.slow
    def test_the_pointer_wins(self, place: Place, bench: Bench) -> None:
        place.put("1", 5)
        bench.deploy(bench.publish_scale(2))
        endpoint = f"{bench.keep.url}/endpoints/default"
        server = place.start("serve", SKYLIFT_ENDPOINT=endpoint, SKYLIFT_MOUNTED=str(place.models))
        assert first(invoke(server)) == 2.0

    def test_without_the_bucket_it_answers_until_there_is_one(self, place: Place, bench: Bench, tmp_path: Path) -> None:
        place.publish("1", "scale", 5)
        bench.deploy(bench.publish_scale(2))
        away = bench.keep_folder.rename(tmp_path / "away")
        endpoint = f"{bench.keep.url}/endpoints/default"
        server = place.start("serve", SKYLIFT_ENDPOINT=endpoint, SKYLIFT_MOUNTED=str(place.models))
        answer = invoke(server)
        assert (first(answer), answer.headers["X-Skylift-Deployment"]) == (5.0, None)
        shutil.move(away, bench.keep_folder)
        wait_for(lambda: first(invoke(server)) == 2.0)
        assert invoke(server).headers["X-Skylift-Deployment"] == "1"
        assert first(invoke(server, "/v1/models/scale:predict")) == 2.0

    @pytest.mark.slow
    def test_with_nothing_deployed_nothing_answers(self, place: Place, bench: Bench) -> None:
        place.put("1", 5)
        endpoint = f"{bench.keep.url}/endpoints/default"
        server = place.start("serve", SKYLIFT_ENDPOINT=endpoint, SKYLIFT_MOUNTED=str(place.models))
        assert (invoke(server).status, invoke(server).json()["code"]) == (503, "no_deployment")
        assert server.ask("GET", "/ping").status == 200
        assert endpoints.list_deployments(bench.keep, "default") == []
