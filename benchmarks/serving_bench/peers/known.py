"""Which peers there are: what they need, how they are started, what they are asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving_bench import asking
from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.model import Model

APPS = Path(__file__).parent / "apps"
ONNX = ("onnxruntime>=1.21", "numpy")
UVICORN = "uvicorn[standard]"


@dataclass(frozen=True)
class Start:
    """What a start may use: a scratch folder, free ports, how many CPUs there are."""

    scratch: Path
    ports: tuple[int, int, int, int]
    workers: int
    model: Model

    @property
    def port(self) -> int:
        return self.ports[0]


@dataclass(frozen=True)
class Peer:
    """Another server.

    Args:
        package: whose version is told; `requirements` are all that is installed.
        command: the first part is a program of its environment.
        asks: the first of them is what is compared.
        connections: where a peer is too slow for all of them.
    """

    name: str
    package: str
    requirements: Sequence[str]
    command: Callable[[Start], list[str]]
    asks: Callable[[Any], list[Ask]]
    settings: str
    connections: Sequence[int] = (1, 16, 64, 256)
    in_default: bool = True


def _instances(path: str) -> Callable[[Any], list[Ask]]:
    return lambda rows: [asking.plain_json(path, rows, "instances", "predictions")]


def _uvicorn(app: str, workers: int | None) -> Callable[[Start], list[str]]:
    def command(start: Start) -> list[str]:
        count = str(workers or start.workers)
        options = ["--app-dir", str(APPS), "--port", str(start.port), "--workers", count, "--log-level", "warning"]
        return ["uvicorn", f"{app}:app", *options, "--no-access-log"]

    return command


def _mlserver(start: Start) -> list[str]:
    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), start.ports, strict=False))
    settings = {**ports, "host": "127.0.0.1", "debug": False, "parallel_workers": start.workers}
    (start.scratch / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": start.model.name,
        "implementation": "mlserver_model.Cnn",
        "max_batch_size": 32,
        "max_batch_time": 0.005,
    }
    (start.scratch / "model-settings.json").write_text(json.dumps(model))
    return ["mlserver", "start", str(start.scratch)]


def _bentoml(start: Start) -> list[str]:
    options = ["--working-dir", str(APPS), "--host", "127.0.0.1", "--port", str(start.port)]
    return ["bentoml", "serve", "bento:Cnn", *options]


def _script(name: str) -> Callable[[Start], list[str]]:
    return lambda start: ["python", str(APPS / name), str(start.port)]


def _ray(start: Start) -> list[str]:
    config = {
        "http_options": {"host": "127.0.0.1", "port": start.port},
        "applications": [{"name": "cnn", "route_prefix": "/predict", "import_path": "ray_app:app"}],
    }
    (start.scratch / "serve.yaml").write_text(json.dumps(config))
    return ["serve", "run", "--app-dir", str(APPS), str(start.scratch / "serve.yaml")]


def _tensorflow_serving(start: Start) -> list[str]:
    base = start.scratch / "models"
    shutil.copytree(start.model.saved_model, base / "1")
    batching = start.scratch / "batching.pbtxt"
    batching.write_text("max_batch_size { value: 64 }\nbatch_timeout_micros { value: 0 }\n")
    options = [f"--rest_api_port={start.port}", f"--port={start.ports[1]}", f"--model_name={start.model.name}"]
    options += [f"--model_base_path={base}", "--enable_batching", f"--batching_parameters_file={batching}"]
    return ["tensorflow_model_server", *options]


PEERS: dict[str, Peer] = {
    "mlserver": Peer(
        "MLServer",
        "mlserver",
        ("mlserver", "uvloop<0.22", *ONNX),  # with newer ones its workers end at once
        _mlserver,
        lambda rows: [asking.v2_json("cnn", rows)],
        "adaptive batching to 32 rows, a worker a CPU",
    ),
    "bentoml": Peer(
        "BentoML",
        "bentoml",
        ("bentoml", *ONNX),
        _bentoml,
        lambda rows: [asking.plain_json("/predict", rows, "instances", "")],
        "adaptive batching to 64 rows, a worker a CPU",
    ),
    "litserve": Peer(
        "LitServe",
        "litserve",
        ("litserve", *ONNX),
        _script("lit.py"),
        _instances("/predict"),
        "batches of 32 rows within 5 ms, a worker and an API server a CPU",
    ),
    "fastapi-onnx": Peer(
        "FastAPI + ONNX Runtime",
        "fastapi",
        ("fastapi", UVICORN, *ONNX),
        _uvicorn("fastapi_onnx", None),
        _instances("/predict"),
        "no batching, a uvicorn worker a CPU",
    ),
    "fastapi-keras": Peer(
        "FastAPI + Keras",
        "fastapi",
        ("fastapi", UVICORN, "keras>=3.10", "tensorflow-cpu>=2.20"),
        _uvicorn("fastapi_keras", 1),
        _instances("/predict"),
        "as tutorials have it: one process, the model called in the route",
        (1, 16, 64),
    ),
    "kserve": Peer(
        "KServe SDK",
        "kserve",
        ("kserve", *ONNX),
        _script("kserve_model.py"),
        lambda rows: [asking.tfs_json("cnn", rows), asking.v2_binary("cnn", rows)],
        "a worker a CPU, no batching (that is a sidecar in Kubernetes)",
    ),
    "ray": Peer(
        "Ray Serve",
        "ray",
        ("ray[serve]", *ONNX),
        _ray,
        _instances("/predict"),
        "batches of 32 rows within 5 ms, a replica a CPU",
        (1, 16, 64),
        in_default=False,
    ),
    "tensorflow-serving": Peer(
        "TensorFlow Serving",
        "",
        (),
        _tensorflow_serving,
        lambda rows: [asking.tfs_json("cnn", rows)],
        "batching to 64 rows, the SavedModel",
    ),
}
"""By the name that `--peers` takes."""
