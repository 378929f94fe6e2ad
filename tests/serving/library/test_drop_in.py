"""Started by tensorflow_model_server's flags, asked by tensorflow-serving-api's own stubs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.conftest import Server
from tests.serving.library.conftest import Shelf, shelf_in
from tests.serving.waiting import wait_for

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half_plus_two") / "123"
    program = Path(__file__).with_name("make_half_plus_two.py")
    subprocess.run([sys.executable, "-P", str(program), str(folder)], check=True, capture_output=True)
    return folder


class Original:
    """A server and the stubs."""

    def __init__(self, server: Server, grpc_port: int) -> None:
        self.server = server
        channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
        self.predicting = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    yield from shelf_in(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def original(shelf: Shelf, saved_model: Path) -> Original:
    (shelf.folder / "m").mkdir()
    (shelf.folder / "m" / "123").symlink_to(saved_model)
    config = shelf.folder / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{shelf.folder}/m" model_platform: "tensorflow" '
        f'version_labels {{ key: "stable" value: 123 }} }} }}'
    )
    batching = shelf.folder / "batching.config"
    batching.write_text(
        "max_batch_size { value: 16 } max_enqueued_batches { value: 100 } num_batch_threads { value: 2 }"
    )
    port, rest = free_port(), free_port()
    server = shelf.start(
        f"--port={port}",
        f"--rest_api_port={rest}",
        f"--model_config_file={config}",
        "--enable_batching",
        f"--batching_parameters_file={batching}",
        "--file_system_poll_wait_seconds",
        "1",
        "--tensorflow_inter_op_parallelism=2",
        "--host",
        "127.0.0.1",
    )
    server.wait_ready(120)
    assert server.port == rest
    return Original(server, port)


def _example(x: float) -> Any:
    return tf.train.Example(features={"feature": {"x": {"float_list": {"value": [x]}}}})


def test_it_answers_all_that_the_stubs_can_ask(original: Original) -> None:
    predict = predict_pb2.PredictRequest()
    predict.model_spec.name = "m"
    predict.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0], [2.0]]))
    answer = original.predicting.Predict(predict, timeout=30)
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == [[2.5], [3.0]]
    assert (answer.model_spec.version.value, answer.model_spec.signature_name) == (123, "serving_default")

    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name, classify.model_spec.signature_name = "m", "classify_x_to_y"
    classify.input.example_list.examples.append(_example(20.0))
    scores = original.predicting.Classify(classify, timeout=30).result.classifications[0].classes
    assert [one.score for one in scores] == [12.0]

    regress = regression_pb2.RegressionRequest()
    regress.model_spec.name, regress.model_spec.signature_name = "m", "regress_x_to_y"
    regress.input.example_list.examples.append(_example(80.0))
    assert original.predicting.Regress(regress, timeout=30).result.regressions[0].value == 42.0

    both = inference_pb2.MultiInferenceRequest()
    for name, method in (("regress_x_to_y", "regress"), ("classify_x_to_y", "classify")):
        task = both.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "m", name
    both.input.example_list.examples.append(_example(2.0))
    results = original.predicting.MultiInference(both, timeout=30).results
    assert results[0].regression_result.regressions[0].value == 3.0

    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "m"
    found = get_model_metadata_pb2.SignatureDefMap()
    original.predicting.GetModelMetadata(metadata, timeout=30).metadata["signature_def"].Unpack(found)
    assert set(found.signature_def) == {"serving_default", "regress_x_to_y", "classify_x_to_y"}
    assert found.signature_def["regress_x_to_y"].method_name == "tensorflow/serving/regress"

    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "m"
    told = original.models.GetModelStatus(status, timeout=30).model_version_status
    assert [(one.version, one.state) for one in told] == [(123, get_model_status_pb2.ModelVersionStatus.AVAILABLE)]


def test_rest_answers_as_the_original_does(original: Original) -> None:
    server = original.server
    assert server.predict([[1.0], [2.0]], model="m").json() == {"predictions": [[2.5], [3.0]]}
    assert server.ask("POST", "/v1/models/m/labels/stable:predict", {"inputs": [[4.0]]}).json() == {"outputs": [[4.0]]}
    body = {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}
    assert server.ask("POST", "/v1/models/m:regress", body).json() == {"results": [42.0]}
    body = {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}
    assert server.ask("POST", "/v1/models/m/versions/123:classify", body).json() == {"results": [[["", 12.0]]]}
    metadata = server.ask("GET", "/v1/models/m/metadata").json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["classify_x_to_y"]
    assert signature["method_name"] == "tensorflow/serving/classify"
    page = server.ask("GET", "/monitoring/prometheus/metrics").body.decode()
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} ' in page


def test_what_has_no_effect_is_named_at_start(original: Original) -> None:
    told = [event["message"] for event in original.server.events("no_effect")]
    assert any("tensorflow_inter_op_parallelism" in one for one in told)
    assert any("num_batch_threads" in one for one in told)


def test_a_killed_worker_is_followed_at_once_by_the_one_that_stands_by(original: Original) -> None:
    """TensorFlow takes seconds to load: the standby has done so before."""
    server = original.server
    wait_for(lambda: len(server.workers) == 2 and server.predict([[1.0]], model="m").status == 200, 60)
    wait_for(lambda: server.events("standby_ready"), 60)
    os.kill(server.workers[0], signal.SIGKILL)
    began = time.monotonic()
    wait_for(
        lambda: (
            (answer := server.try_ask("POST", "/v1/models/m:predict", {"instances": [[1.0]]})) and answer.status == 200
        )
    )
    assert time.monotonic() - began < 10
    assert len(server.workers) == 2 or server.events("worker_started")[-1]["worker"] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port=8500", "--model_nme=x"], "--model_nme"),
        (["--rest_api_port=x", "--model_base_path=/x"], "--rest_api_port"),
        (["--rest_api_port=8501", "--platform_config_file=/x", "--model_base_path=/x"], "platform_config_file"),
        (["--port=8500", "--model_config_file=/no/such/file"], "/no/such/file"),
    ],
)
def test_flags_that_cannot_be_are_told_and_nothing_starts(arguments: list[str], told: str) -> None:
    command = [sys.executable, "-P", "-m", "serving", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode not in (0, None)
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_its_models_are_changed_over_grpc(original: Original, shelf: Shelf) -> None:
    shelf.scale("other", 1, 3)
    reload = model_management_pb2.ReloadConfigRequest()
    one = reload.config.model_config_list.config.add()
    one.name, one.base_path = "other", f"{shelf.folder}/other"
    assert original.models.HandleReloadConfigRequest(reload, timeout=60).status.error_code == 0
    predict = predict_pb2.PredictRequest()
    predict.model_spec.name = "other"
    predict.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([[1, 2, 3]])))
    assert tf.make_ndarray(original.predicting.Predict(predict, timeout=30).outputs["y"]).tolist() == [[3, 6, 9]]
    predict.model_spec.name = "m"
    with pytest.raises(grpc.RpcError) as refused:
        original.predicting.Predict(predict, timeout=30)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    one.base_path = "relative"
    with pytest.raises(grpc.RpcError) as refused:
        original.models.HandleReloadConfigRequest(reload, timeout=30)
    assert "to have an absolute path or URI" in refused.value.details()
