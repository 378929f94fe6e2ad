"""The routes of all services, asked of a server that knows of none of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.conftest import Answer, Server
from tests.serving.contracts.services import Place

ROWS = [[1, 2, 3], [4, 5, 6]]
DOUBLED = [[2.0, 4.0, 6.0], [8.0, 10.0, 12.0]]
PREDICTING = ("/invocations", "/score", "/predict", "/v1/endpoints/123/deployedModels/456:predict")


@pytest.fixture(scope="module")
def server(shared_place: Place) -> Server:
    shared_place.publish("scale/1", "scale", 2)
    shared_place.publish("scale/2", "scale", 2)
    return shared_place.start("--model", f"scale={shared_place.models / 'scale'}")


def post(server: Server, path: str, body: Any, content_type: str = "application/json", **headers: str) -> Answer:
    given: Any = {"Content-Type": content_type, **headers}
    return server.ask("POST", path, body, **given)


class TestHealth:
    @pytest.mark.parametrize("path", ["/ping", "/livez", "/", "/v1/endpoints/1/deployedModels/2"])
    def test_it_is_200(self, server: Server, path: str) -> None:
        assert server.ask("GET", path).status == 200
        assert server.ask("HEAD", path).status == 200

    def test_people_get_a_page_at_the_root(self, server: Server) -> None:
        assert server.ask("GET", "/", Accept="text/html").headers["Content-Type"].startswith("text/html")

    def test_other_methods_are_refused(self, server: Server) -> None:
        answer = server.ask("POST", "/ping", "{}")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert server.ask("GET", "/invocations").status == 405

    def test_nothing_else_is_answered(self, server: Server) -> None:
        for path in ("/score/x", "/pingg", "/modelsx", "/models/a/b/c", "/v1/endpoints/1"):
            assert server.ask("GET", path).status in (400, 404), path


class TestPredictions:
    @pytest.mark.parametrize("path", PREDICTING)
    def test_rows_of_tensorflow_serving(self, server: Server, path: str) -> None:
        answer = post(server, path, {"instances": ROWS})
        assert (answer.status, answer.json()) == (200, {"predictions": DOUBLED})
        assert answer.headers["X-Skylift-Model-Version"] == "2"

    @pytest.mark.parametrize("path", PREDICTING)
    def test_errors_are_those_of_tensorflow_serving(self, server: Server, path: str) -> None:
        assert post(server, path, b'{"instances": [[1, 2]').json()["error"].startswith("JSON Parse error")
        answer = post(server, path, {"instances": [[1, "x", 3]]})
        assert answer.status == 400
        assert "JSON Value" in answer.json()["error"]

    @pytest.mark.parametrize("path", PREDICTING)
    def test_open_inference_protocol(self, server: Server, path: str) -> None:
        tensor = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": ROWS}
        answer = post(server, path, {"id": "seven", "inputs": [tensor]})
        assert answer.json()["id"] == "seven"
        assert answer.json()["outputs"][0]["data"] == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]

    @pytest.mark.parametrize(("path", "type_"), [(path, kind) for path in PREDICTING[:3] for kind in ("npy", "csv")])
    def test_other_media(self, server: Server, path: str, type_: str) -> None:
        if type_ == "npy":
            file = io.BytesIO()
            np.save(file, np.array(ROWS, np.float32))
            answer = post(server, path, file.getvalue(), "application/x-npy")
            assert np.load(io.BytesIO(answer.body)).tolist() == DOUBLED
        else:
            answer = post(server, path, b"1,2,3\n4,5,6\n", "text/csv", Accept="application/json")
            assert answer.json() == {"predictions": DOUBLED}

    def test_a_type_that_nobody_reads_is_415(self, server: Server) -> None:
        assert post(server, "/invocations", b"\x00\x01", "application/x-protobuf").status == 415

    def test_a_great_body_is_read_beside_the_loop(self, server: Server) -> None:
        rows = np.arange(90_000, dtype=np.float32).reshape(-1, 3)
        answer = post(server, "/invocations", json.dumps(rows.tolist()))
        assert np.allclose(answer.json()["predictions"], rows * 2)


class TestSageMaker:
    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b"[1, 2, 3]", "application/json"),
            (b"[[1, 2, 3]]", "application/json"),
            (b"[1, 2, 3]\n", "application/jsonlines"),
        ],
    )
    def test_one_row_without_a_protocol(self, server: Server, body: bytes, content_type: str) -> None:
        assert post(server, "/invocations", body, content_type).json() == {"predictions": DOUBLED[:1]}

    @pytest.mark.parametrize(
        "body", [b"", b'{"a": 1}\nx', b"[1,2", b"[" * 100_000 + b"\n" + b"]" * 100_000, b"[]][[", b"\xff"]
    )
    def test_what_is_no_json_is_the_clients_mistake(self, server: Server, body: bytes) -> None:
        answer = post(server, "/invocations", body)
        assert (answer.status, bool(answer.json()["error"])) == (400, True)

    def test_lines_of_json(self, server: Server) -> None:
        answer = post(
            server, "/invocations", b"[1,2,3]\n[4,5,6]\n", "application/jsonlines", Accept="application/jsonlines"
        )
        assert answer.headers["Content-Type"] == "application/jsonlines"
        assert answer.body.count(b"\n") == 1
        assert answer.json() == {"predictions": DOUBLED}

    def test_triton_binary_tensors_by_their_content_type(self, server: Server) -> None:
        tensor = {"name": "x", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}
        wanted = {"name": "y", "parameters": {"binary_data": True}}
        head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
        kind = "application/vnd.sagemaker-triton.binary+json;json-header-size="
        answer = post(server, "/invocations", head + np.array(ROWS, np.float32).tobytes(), f"{kind}{len(head)}")
        assert answer.status == 200
        length = int(answer.headers["Content-Type"].removeprefix(kind))
        assert json.loads(answer.body[:length])["outputs"][0]["shape"] == [2, 3]
        assert np.frombuffer(answer.body[length:], np.float32).tolist() == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
        refused = post(server, "/invocations", b"{}", kind.partition(";")[0])
        assert (refused.status, "json-header-size" in refused.json()["error"]) == (400, True)

    def test_binary_tensors_by_their_own_header(self, server: Server) -> None:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
        head = json.dumps({"inputs": [tensor]}).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        body = head + np.array(ROWS[0], np.float32).tobytes()
        answer = post(server, "/invocations", body, "application/octet-stream", **length)
        assert answer.json()["outputs"][0]["data"] == DOUBLED[0]

    def test_attributes_choose_model_version_and_method(self, server: Server) -> None:
        def ask(attributes: str) -> Answer:
            given = {"X-Amzn-SageMaker-Custom-Attributes": attributes}
            return post(server, "/invocations", {"instances": ROWS}, **given)

        assert ask("tfs-model-name=scale,tfs-model-version=2,skylift-key=a").status == 200
        assert ask("tfs-model-version=1").json()["error"].endswith("Specific(scale, 1)")
        assert ask("tfs-model-name=other").status == 404
        assert ask("tfs-method=explore").json()["error"].startswith("tfs-method is 'explore'")
        answer = ask("tfs-method=classify")
        assert (answer.status, "examples" in answer.json()["error"]) == (400, True)

    def test_the_target_model_counts_where_it_is_served(self, server: Server) -> None:
        for target in ("scale.tar.gz", "scale", "another/model.tar.gz"):
            given = {"X-Amzn-SageMaker-Target-Model": target}
            assert post(server, "/invocations", {"instances": ROWS}, **given).status == 200

    def test_a_batch_transform_learns_what_to_send(self, server: Server) -> None:
        plain = server.ask("GET", "/execution-parameters").json()
        assert plain["BatchStrategy"] == "MULTI_RECORD"
        assert plain["MaxConcurrentTransforms"] >= 1
        assert 1 <= plain["MaxPayloadInMB"] * plain["MaxConcurrentTransforms"] <= 100

    def test_models_are_listed_but_do_not_come(self, server: Server) -> None:
        (only,) = server.ask("GET", "/models").json()["models"]
        assert (only["modelName"], Path(only["modelUrl"]).name) == ("scale", "scale")
        assert server.ask("GET", "/models/scale").json() == only
        answer = server.ask("POST", "/models", {"model_name": "x", "url": "/etc"})
        assert (answer.status, "--models-folder" in answer.json()["error"]) == (400, True)
        assert server.ask("DELETE", "/models/scale").status == 400
        assert post(server, "/models/scale/invoke", {"instances": ROWS}).json() == {"predictions": DOUBLED}


class TestVertex:
    def test_parameters_choose_signature_and_outputs(self, server: Server) -> None:
        body = {"instances": ROWS, "parameters": {"signature_name": "serving_default", "output_filter": ["y"]}}
        assert post(server, "/predict", body).json() == {"predictions": DOUBLED}
        answer = post(server, "/predict", {"instances": ROWS, "parameters": {"signature_name": "none"}})
        assert (answer.status, "none" in answer.json()["error"]) == (400, True)

    def test_unknown_parameters_are_named(self, server: Server) -> None:
        answer = post(server, "/predict", {"instances": ROWS, "parameters": {"temperature": 1}})
        assert (answer.status, "'temperature'" in answer.json()["error"]) == (400, True)

    def test_empty_parameters_do_not_matter(self, server: Server) -> None:
        assert post(server, "/predict", {"instances": ROWS, "parameters": {}}).json() == {"predictions": DOUBLED}


class TestAzure:
    @pytest.mark.parametrize("name", ["x-ms-request-id", "x-ms-client-request-id"])
    def test_its_ids_of_requests_come_back(self, server: Server, name: str) -> None:
        answer = post(server, "/score", {"instances": ROWS}, **{name: "an-id-of-azure"})
        assert answer.headers["X-Request-Id"] == "an-id-of-azure"
