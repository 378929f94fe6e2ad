"""Recorded requests as TensorFlow's own writer stores them, and files that are none."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.grpc.protos import tensorflow_pb2 as tf
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.signature import ModelSignature, Tensor
from serving.sources.crc32c import crc32c, masked_crc32c
from serving.sources.signatures import describe_saved_model
from serving.sources.warmup import FILE, MOST_RECORDS, Request, warmup_requests
from skylift.errors import DeployError

ROW = ModelSignature((Tensor("x", "float32", (None,)),), (Tensor("y", "float32", (None,)),))


def write(folder: Path, records: Iterable[bytes]) -> Path:
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for data in records:
            head = struct.pack("<Q", len(data))
            file.write(head + struct.pack("<I", masked_crc32c(head)) + data + struct.pack("<I", masked_crc32c(data)))
    return path


def predict(signature: str = "", value: float = 1.0) -> bytes:
    log = tfs.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    tensor = log.predict_log.request.inputs["x"]
    tensor.dtype = tf.DT_FLOAT
    tensor.tensor_shape.dim.add(size=2)
    tensor.float_val.append(value)
    return bytes(log.SerializeToString())


def read(folder: Path) -> list[Request]:
    return list(warmup_requests(folder, {"serving_default": ROW, "other": ROW}))


def test_requests_of_every_kind_are_read(saved_models: Path) -> None:
    def recorded(name: str, *tags: str) -> list[Request]:
        facts = describe_saved_model(saved_models / name, tags)
        return list(warmup_requests(saved_models / name, {one: fact.signature for one, fact in facts.items()}))

    first, second = recorded("line", "serve")
    assert (first.api, first.signature) == ("predict", "serving_default")
    assert first.inputs["x"].shape == (3000, 2)
    assert first.inputs["x"].dtype == np.float32
    assert first.inputs["x"][2999].tolist() == [1, 2]
    assert first.inputs["by"].tolist() == 3
    assert (second.signature, second.inputs["word"].tolist()) == ("number", [b"a", b"z"])
    found = recorded("methods", "serve", "gpu")
    assert [(one.api, one.signature) for one in found] == [
        ("classify", "classify"),
        ("regress", "regress"),
        ("multi_inference", "classify"),
        ("multi_inference", "regress"),
    ]
    for one in found:
        example = tf.Example.FromString(one.inputs["inputs"][0])
        assert list(example.features.feature["x"].float_list.value) == [1.0]


def test_a_version_without_records_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_a_record_without_a_signature_means_the_default(tmp_path: Path) -> None:
    write(tmp_path, [predict(), predict("other", 2.0)])
    assert [(one.signature, one.inputs["x"].tolist()) for one in read(tmp_path)] == [
        ("serving_default", [1, 1]),
        ("other", [2, 2]),
    ]


def test_more_than_1000_records_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [predict()] * MOST_RECORDS)
    assert len(read(tmp_path)) == MOST_RECORDS
    write(tmp_path, [predict()] * (MOST_RECORDS + 1))
    with pytest.raises(DeployError, match=r"Number of warmup records exceeds the maximum \(1000\)"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (predict("none"), 'record 2 of .*: Serving signature key "none" not found'),
        (b"\xff\xff", "Failed to parse warmup record: record 2 of"),
        (b"", "Unsupported log_type for warmup"),
        (tfs.PredictionLog(classify_log={"request": {}}).SerializeToString(), "Input is empty"),
        (
            tfs.PredictionLog(
                predict_log={"request": {"inputs": {"x": {"dtype": 1, "tensor_content": b"abc"}}}}
            ).SerializeToString(),
            "Failed to parse warmup record: record 2 of .*: tensor_content has 3 bytes",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_named(tmp_path: Path, record: bytes, message: str) -> None:
    write(tmp_path, [predict(), record])
    with pytest.raises(DeployError, match=message):
        read(tmp_path)


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    path = write(tmp_path, [predict(), predict()])
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DeployError, match="Please verify your warmup data is in TFRecord format"):
            read(tmp_path)
        path.write_bytes(whole[:place])
        if place not in (0, len(whole) // 2):
            with pytest.raises(DeployError, match="Please verify your warmup data is in TFRecord format"):
                read(tmp_path)


@given(st.integers(0, 20_000), st.binary(max_size=50))
def test_checksums_are_those_of_everybody(length: int, end: bytes) -> None:
    data = bytes(range(251)) * (length // 251) + end
    assert crc32c(data) == google_crc32c.value(data)
