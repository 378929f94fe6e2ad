"""Which service is seen, and which options its variables stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from serving.arguments import parse
from serving.contracts.surroundings import detect
from skylift.errors import InputError

ENDPOINT = {"SKYLIFT_ENDPOINT": "file:///keep/endpoints/default"}


def put_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    return folder


class TestService:
    @pytest.mark.parametrize(
        ("environment", "arguments", "service"),
        [
            ({}, ["--endpoint", "x"], "none"),
            ({}, ["serve", "--endpoint", "x"], "none"),
            ({}, ["serve"], "sagemaker"),
            ({"SAGEMAKER_BIND_TO_PORT": "8081"}, [], "sagemaker"),
            ({"AIP_HTTP_PORT": "8080"}, ["serve"], "vertex"),
            ({"AIP_MODE": "PREDICTION"}, [], "vertex"),
            ({"AZUREML_MODEL_DIR": "/x"}, [], "azureml"),
            ({"AZUREML_MODEL_DIR": "/x", "SKYLIFT_SERVICE": "none"}, [], "none"),
        ],
    )
    def test_it_is_seen(
        self, tmp_path: Path, environment: Mapping[str, str], arguments: list[str], service: str
    ) -> None:
        around = detect(environment, arguments, tmp_path / "ml")
        assert around.service == service
        assert "serve" not in around.arguments

    def test_a_folder_of_sagemakers_and_its_word_are_enough(self, tmp_path: Path) -> None:
        assert detect({}, ["serve", "--work", "file:///w"], tmp_path).service == "sagemaker"

    def test_a_wrong_one_is_refused(self) -> None:
        with pytest.raises(InputError, match="SKYLIFT_SERVICE is 'mars'"):
            detect({"SKYLIFT_SERVICE": "mars"}, [])

    @pytest.mark.parametrize(
        "environment",
        [
            {"AIP_HTTP_PORT": "9000"},
            {"SAGEMAKER_BIND_TO_PORT": "9000"},
            {"AZUREML_MODEL_DIR": "/none", "WORKER_COUNT": "2"},
        ],
    )
    def test_ours_win_over_the_services_and_the_command_line_over_both(self, environment: dict[str, str]) -> None:
        options = parse(["--drain-seconds", "7"], {**environment, **ENDPOINT, "SKYLIFT_PORT": "7000"})
        assert (options.host, options.port, options.drain_seconds) == ("0.0.0.0", 7000, 7.0)
        assert parse(["serve", "--port", "6000"], {**environment, **ENDPOINT, "SKYLIFT_PORT": "7000"}).port == 6000


class TestSageMaker:
    def test_its_port_and_its_mounted_model(self, tmp_path: Path) -> None:
        put_model(tmp_path / "model")
        assert detect({}, ["serve"], tmp_path).options == (
            "--host=0.0.0.0",
            "--port=8080",
            "--drain-seconds=25",
            f"--mounted={tmp_path / 'model'}",
        )

    def test_an_empty_folder_is_no_model(self, tmp_path: Path) -> None:
        (tmp_path / "model").mkdir()
        assert not [one for one in detect({}, ["serve"], tmp_path).options if "mounted" in one]

    def test_ports(self, tmp_path: Path) -> None:
        around = detect(
            {"SAGEMAKER_BIND_TO_PORT": "8123", "SAGEMAKER_SAFE_PORT_RANGE": "9000-9999"}, ["serve"], tmp_path
        )
        assert {"--port=8123", "--grpc-port=9000"} <= set(around.options)

    def test_many_models(self, tmp_path: Path) -> None:
        put_model(tmp_path / "model")
        options = detect({"SAGEMAKER_MULTI_MODEL": "True"}, ["serve"], tmp_path).options
        assert f"--models-folder={tmp_path / 'models'}" in options
        assert not [one for one in options if "mounted" in one]

    def test_the_batching_of_awss_own_container(self) -> None:
        given = {
            "SAGEMAKER_TFS_ENABLE_BATCHING": "true",
            "SAGEMAKER_TFS_MAX_BATCH_SIZE": "32",
            "SAGEMAKER_TFS_BATCH_TIMEOUT_MICROS": "2500",
            "SAGEMAKER_TFS_MAX_ENQUEUED_BATCHES": "10",
            "SAGEMAKER_TFS_NUM_BATCH_THREADS": "4",
            "SAGEMAKER_TFS_INSTANCE_COUNT": "3",
            "SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "half",
        }
        options = parse(["serve"], {**given, **ENDPOINT})
        assert (options.max_batch_rows, options.batch_delay_ms, options.queue_rows) == (32, 2.5, 320)
        assert (options.workers, options.default_model) == (3, "half")
        (note,) = options.notes
        assert note.startswith("SAGEMAKER_TFS_NUM_BATCH_THREADS is not used")

    def test_what_is_not_done_is_named(self, tmp_path: Path) -> None:
        (put_model(tmp_path / "model") / "code").mkdir()
        (tmp_path / "model" / "code" / "inference.py").touch()
        given = {"SAGEMAKER_TFS_MAX_BATCH_SIZE": "8", "SAGEMAKER_GUNICORN_WORKERS": "4", "SAGEMAKER_PROGRAM": "a.py"}
        notes = detect(given, ["serve"], tmp_path).notes
        for part in ("inference.py", "MAX_BATCH_SIZE", "GUNICORN", "PROGRAM"):
            assert any(part in note for note in notes), part

    def test_all_mistakes_are_told_at_once(self) -> None:
        given = {"SAGEMAKER_BIND_TO_PORT": "x", "SAGEMAKER_MULTI_MODEL": "yes", "SAGEMAKER_SAFE_PORT_RANGE": "9-1"}
        with pytest.raises(InputError) as refused:
            detect(given, ["serve"])
        assert all(name in refused.value.message for name in given)


class TestVertex:
    def test_its_variables(self) -> None:
        given = {
            "AIP_HTTP_PORT": "8090",
            "AIP_HEALTH_ROUTE": "/health",
            "AIP_PREDICT_ROUTE": "/v1/models/x:predict",
            "AIP_STORAGE_URI": "gs://tenant/artifacts",
            "AIP_ENDPOINT_ID": "1",
            "AIP_DEPLOYED_MODEL_ID": "2",
            "AIP_MODE": "PREDICTION",
        }
        options = parse([], given)
        assert (options.host, options.port, options.log_format) == ("0.0.0.0", 8090, "google")
        assert (options.health_route, options.predict_route) == ("/health", "/v1/models/x:predict")
        assert (options.mounted, options.poll_seconds) == ("gs://tenant/artifacts", 30.0)


class TestAzure:
    def test_its_variables(self, tmp_path: Path) -> None:
        put_model(tmp_path / "half")
        given = {
            "AZUREML_MODEL_DIR": str(tmp_path),
            "WORKER_COUNT": "2",
            "WORKER_TIMEOUT": "300",
            "AZUREML_ENTRY_SCRIPT": "score.py",
        }
        options = parse([], given)
        assert (options.port, options.workers, options.request_seconds) == (8080, 2, 300.0)
        assert options.mounted == str(tmp_path)
        assert options.notes == (
            "AZUREML_ENTRY_SCRIPT is not used: no Python of a model's is run; the model itself answers",
        )
