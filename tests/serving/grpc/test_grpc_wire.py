"""The messages against what others publish: TensorFlow in the same process, and the packages of the real clients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

COMPARE = """
from google.protobuf import descriptor_pool
from serving.grpc.protos import {ours}

theirs = descriptor_pool.Default()

def compare(message):
    full = theirs.FindMessageTypeByName(message.full_name)
    for field in message.fields:
        other = full.fields_by_number[field.number]
        same = (field.name, field.type, field.is_repeated, field.is_packed if field.is_repeated else None)
        assert same == (other.name, other.type, other.is_repeated, other.is_packed if other.is_repeated else None), same
        for kind in ("message_type", "enum_type", "containing_oneof"):
            mine, other_kind = getattr(field, kind), getattr(other, kind)
            if kind == "containing_oneof":
                assert (mine and mine.name) == (other_kind and other_kind.name), field.full_name
            else:
                assert (mine and mine.full_name) == (other_kind and other_kind.full_name), field.full_name
    for nested in message.nested_types:
        compare(nested)
    for enumeration in message.enum_types:
        values(enumeration)

def values(enumeration):
    full = theirs.FindEnumTypeByName(enumeration.full_name)
    for value in enumeration.values:
        assert full.values_by_name[value.name].number == value.number

file = {ours}.DESCRIPTOR
for message in file.message_types_by_name.values():
    compare(message)
for enumeration in file.enum_types_by_name.values():
    values(enumeration)
for service in file.services_by_name.values():
    full = theirs.FindServiceByName(service.full_name)
    for method in service.methods:
        other = full.methods_by_name[method.name]
        types = lambda one: (one.input_type.full_name, one.output_type.full_name)
        assert types(method) == types(other), method.full_name
print("same", len(file.message_types_by_name))
"""

TENSORFLOW = """
import numpy as np
import tensorflow as tf
from serving.grpc import tensors
from serving.grpc.protos import tensorflow_pb2, views_pb2

assert tensorflow_pb2.TensorProto is not tf.make_tensor_proto(1).__class__
rng = np.random.default_rng(0)
arrays = [rng.normal(size=(2, 3)).astype(kind) for kind in ("float16", "float32", "float64")]
arrays += [(rng.normal(size=(2, 3)) * 50).astype(kind) for kind in ("int8", "int16", "int32", "int64", "bool")]
arrays += [rng.integers(0, 200, (2, 3)).astype(kind) for kind in ("uint8", "uint16", "uint32", "uint64")]
arrays += [(rng.normal(size=3) + 1j).astype(kind) for kind in ("complex64", "complex128")]
arrays += [np.array([[b"a", b"\\xff"]], object), np.float32(3).reshape(()), np.zeros((0, 2), np.int32)]
arrays += [rng.normal(size=4).astype(tf.bfloat16.as_numpy_dtype)]

def read(raw):
    return tensors.decode(views_pb2.Tensor.FromString(raw))

def kernel(raw, dtype):
    # TensorFlow's own Tensor::FromProto
    return tf.io.parse_tensor(raw, dtype).numpy()

for array in arrays:
    dtype = tf.as_dtype(array.dtype) if array.dtype != object else tf.string
    for as_content in (False, True):
        view = views_pb2.Tensor()
        tensors.encode(array, view, as_content=as_content)
        got = kernel(view.SerializeToString(), dtype)
        assert np.array_equal(np.asarray(got), array), (array, got)
    theirs = tf.make_tensor_proto(array, dtype).SerializeToString()
    assert np.array_equal(read(theirs), array), array
    serialized = tf.io.serialize_tensor(tf.constant(array, dtype)).numpy()
    assert np.array_equal(read(serialized), array), array

# What few, no and too many values mean.
for name, number, values in (("float_val", 1, [1.5, 2.5]), ("int_val", 3, [7, 8]), ("bool_val", 10, [True, False])):
    for count in range(3):
        for size in range(1, 5):
            proto = tensorflow_pb2.TensorProto(dtype=number, **{name: values[:count]})
            proto.tensor_shape.dim.add(size=size)
            raw = proto.SerializeToString()
            assert np.array_equal(read(raw), kernel(raw, tf.as_dtype(number))), (name, count, size)
print("same")
"""


def run(code: str) -> str:
    # Protobuf's packages of the clients may be older than its runtime, and say so.
    program = [sys.executable, "-P", "-W", "ignore", "-c", code]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=200, env=_environment())
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


def needs_triton() -> None:
    for name in ("tritonclient", "rapidjson"):
        pytest.importorskip(name, reason="tritonclient[grpc] is not installed")


SERVING_CLIENT = """
import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2, get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc, predict_pb2,
    prediction_service_pb2_grpc,
)
from tests.serving.grpc.line_models import running

with running() as server:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(server.channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "line"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0]]))
    answer = stub.Predict(request, timeout=10)
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == [[3, 5]]
    assert answer.model_spec.version.value == 2
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "line"
    request.model_spec.signature_name = "columns"
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.extend([1, 2])
    assert [one.score for one in stub.Classify(request, timeout=10).result.classifications[0].classes] == [3, 5]
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "line"
    described = get_model_metadata_pb2.SignatureDefMap()
    stub.GetModelMetadata(request, timeout=10).metadata["signature_def"].Unpack(described)
    assert described.signature_def["serving_default"].inputs["x"].dtype == tf.float32.as_datatype_enum
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "line"
    states = model_service_pb2_grpc.ModelServiceStub(server.channel).GetModelStatus(request, timeout=10)
    assert [one.version for one in states.model_version_status] == [1, 2, 3]
print("served")
"""

TRITON_CLIENT = """
import numpy as np
import tritonclient.grpc as triton
from tests.serving.grpc.line_models import running

with running() as server:
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("line")
    given = triton.InferInput("x", [1, 2], "FP32")
    given.set_data_from_numpy(np.array([[1, 2]], np.float32))
    wanted = [triton.InferRequestedOutput("y")]
    answer = client.infer("line", [given], outputs=wanted, model_version="1", request_id="7", client_timeout=10)
    assert answer.as_numpy("y").tolist() == [[3, 5]] and answer.get_response().id == "7"
    text = triton.InferInput("x", [2], "BYTES")
    text.set_data_from_numpy(np.array([b"a", b"bc"], object))
    answer = client.infer("line", [text], parameters={"signature_name": "echo_string"})
    assert answer.as_numpy("y").tolist() == [b"a", b"bc"]
    assert client.get_model_metadata("line").inputs[0].name == "x"
    assert [one.version for one in client.get_model_repository_index().models] == ["1", "2", "3"]
    client.load_model("line")
    client.unload_model("line")
    assert client.get_inference_statistics("line").model_stats[0].execution_count == 3
    client.close()
print("served")
"""


@pytest.mark.slow
def test_tensorflow_servings_own_client_is_served() -> None:
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    assert "served" in run(SERVING_CLIENT)


def test_tritons_own_client_is_served() -> None:
    needs_triton()
    assert "served" in run(TRITON_CLIENT)


@pytest.mark.slow
def test_tensorflow_in_the_same_process_reads_and_writes_the_same_tensors() -> None:
    assert "same" in run(TENSORFLOW)


@pytest.mark.slow
def test_the_messages_are_those_that_tensorflow_publishes() -> None:
    imports = (
        "from tensorflow.core.framework import tensor_pb2\nfrom tensorflow.core.example import example_pb2\n"
        "from tensorflow.core.protobuf import meta_graph_pb2, error_codes_pb2\n"
    )
    assert "same" in run(imports + COMPARE.format(ours="tensorflow_pb2"))
    assert "same" in run(imports + COMPARE.format(ours="tensorflow_error_pb2"))


@pytest.mark.slow
def test_the_services_are_those_of_tensorflow_serving() -> None:
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    imports = (
        "from tensorflow_serving.apis import prediction_service_pb2, model_service_pb2, prediction_log_pb2\n"
        "from tensorflow_serving.config import model_server_config_pb2\n"
    )
    assert "same" in run(imports + COMPARE.format(ours="tensorflow_serving_pb2"))


def test_the_services_are_those_of_triton() -> None:
    needs_triton()
    imports = "from tritonclient.grpc import service_pb2\n"
    assert "same" in run(imports + COMPARE.format(ours="inference_pb2"))


def test_a_view_has_the_numbers_of_what_it_shows() -> None:
    from serving.grpc.protos import inference_pb2, tensorflow_pb2, tensorflow_serving_pb2, views_pb2

    pairs = [
        (views_pb2.Tensor, tensorflow_pb2.TensorProto),
        (views_pb2.Shape, tensorflow_pb2.TensorShapeProto),
        (views_pb2.ModelSpec, tensorflow_serving_pb2.ModelSpec),
        (views_pb2.PredictRequest, tensorflow_serving_pb2.PredictRequest),
        (views_pb2.PredictResponse, tensorflow_serving_pb2.PredictResponse),
        (views_pb2.ExamplesRequest, tensorflow_serving_pb2.ClassificationRequest),
        (views_pb2.ExamplesRequest, tensorflow_serving_pb2.RegressionRequest),
        (views_pb2.MultiInferenceRequest, tensorflow_serving_pb2.MultiInferenceRequest),
        (views_pb2.Input, tensorflow_serving_pb2.Input),
        (views_pb2.ModelInferRequest, inference_pb2.ModelInferRequest),
        (views_pb2.ModelInferResponse, inference_pb2.ModelInferResponse),
        (views_pb2.InferTensor, inference_pb2.ModelInferRequest.InferInputTensor),
        (views_pb2.Contents, inference_pb2.InferTensorContents),
        (views_pb2.Parameter, inference_pb2.InferParameter),
    ]
    for view, shown in pairs:
        of_shown = {field.number: field.name for field in shown.DESCRIPTOR.fields}
        for field in view.DESCRIPTOR.fields:
            assert of_shown[field.number] == field.name, (view.DESCRIPTOR.full_name, field.name)


def test_the_compiled_messages_are_those_of_the_proto_files(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    folder = ROOT / "serving/grpc/protos"
    before = {path.name: path.read_bytes() for path in folder.glob("*_pb2.py*")}
    (tmp_path / "serving/grpc/protos").mkdir(parents=True)
    for path in (*folder.glob("*.proto"), folder / "build.py"):
        (tmp_path / "serving/grpc/protos" / path.name).write_bytes(path.read_bytes())
    build = tmp_path / "serving/grpc/protos/build.py"
    done = subprocess.run([sys.executable, str(build)], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in build.parent.glob("*_pb2.py*")} == before
