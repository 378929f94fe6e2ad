"""What a version's folder holds: its form, whether it is whole, what its file says."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.interface import CLASSIFY, PREDICT, REGRESS
from serving.options import BackendChoice
from serving.signature import ModelSignature, Tensor
from serving.sources import bundle, onnx_file, saved_model
from serving.sources.forms import backend_for
from serving.sources.signatures import describe_saved_model
from serving.sources.whole import damaged, missing
from serving.sources.wire import CutError, fields, mapped
from skylift.errors import DeployError
from tests.serving import onnx_models
from tests.serving.sources.conftest import ONNX, contents
from tests.serving.sources.test_fetching import published

TFLITE = b"\x1c\x00\x00\x00TFL3" + bytes(20)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def lacks(folder: Path) -> list[str]:
    return missing(folder, {path: len(data) for path, data in contents(folder).items()})


@pytest.mark.parametrize(
    ("names", "choice", "platform", "prefers", "backend"),
    [
        ([], "auto", "", False, "auto"),
        ([], "onnx", "", False, "onnx"),
        ([], "auto", "onnx", False, "onnx"),
        ([], "tensorflow", "tensorflow", False, "tensorflow"),
        (["model.tflite"], "auto", "tensorflow", False, "tensorflow"),
        (["model.tflite"], "auto", "tensorflow", True, "tflite"),
        (["model.tflite"], "auto", "", True, "tflite"),
        (["model.tflite"], "onnx", "", True, "onnx"),
        ([], "auto", "tensorflow", True, "tensorflow"),
        ([], "auto", "", True, "auto"),
        (["manifest.json"], "auto", "tensorflow", True, "auto"),
    ],
)
def test_the_configuration_says_what_serves_a_version(
    tmp_path: Path, names: list[str], choice: BackendChoice, platform: str, prefers: bool, backend: str
) -> None:
    fill(tmp_path, dict.fromkeys(names, b""))
    assert backend_for(tmp_path, choice, platform, prefer_tflite=prefers) == backend


def test_a_platform_that_the_server_may_not_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="its platform is 'tensorflow', and the server was told to use 'onnx'"):
        backend_for(tmp_path, "onnx", "tensorflow")


def test_signatures_are_read_as_tensorflow_wrote_them(saved_models: Path) -> None:
    found = describe_saved_model(saved_models / "line")
    assert set(found) == {"serving_default", "number"}
    default = found["serving_default"]
    assert default.signature == ModelSignature(
        (Tensor("by", "float32", ()), Tensor("x", "float32", (None, 2))), (Tensor("y", "float32", (None, 2)),)
    )
    assert default.method == PREDICT
    assert {name: value.tolist() for name, value in default.defaults.items()} == {"by": 2.0}
    assert default.tensors["x"] == "serving_default_x:0"
    assert found["number"].signature.inputs == (Tensor("word", "string", None),)


def test_methods_and_tags_are_read(saved_models: Path) -> None:
    found = describe_saved_model(saved_models / "methods", ["gpu", "serve"])
    assert {name: facts.method for name, facts in found.items()} == {"classify": CLASSIFY, "regress": REGRESS}
    with pytest.raises(DeployError, match=r"no graph with the tags \{serve\}; it has \{gpu, serve\}"):
        describe_saved_model(saved_models / "methods")


def test_a_saved_model_that_cannot_be_read_is_named(tmp_path: Path, saved_models: Path) -> None:
    with pytest.raises(DeployError, match="No such file"):
        describe_saved_model(tmp_path)
    fill(tmp_path, {"saved_model.pbtxt": b""})
    with pytest.raises(DeployError, match=r"saved_model\.pbtxt is there instead"):
        describe_saved_model(tmp_path)
    whole = (saved_models / "line" / "saved_model.pb").read_bytes()
    fill(tmp_path, {"saved_model.pb": whole[:-1]})
    with pytest.raises(DeployError, match="is no SavedModel: a field of"):
        describe_saved_model(tmp_path)


def test_models_of_each_kind_are_whole(tmp_path: Path, saved_models: Path) -> None:
    assert lacks(saved_models / "line") == []
    assert lacks(saved_models / "methods") == []
    assert lacks(fill(tmp_path / "onnx", dict(ONNX))) == []
    assert lacks(fill(tmp_path / "tflite", {"model.tflite": TFLITE})) == []
    assert lacks(fill(tmp_path / "ours", published())) == []


def test_a_missing_asset_and_a_missing_shard_are_named(tmp_path: Path, saved_models: Path) -> None:
    files = contents(saved_models / "line")
    data = files.pop("variables/variables.data-00000-of-00001")
    del files["assets/vocabulary.txt"]
    fill(tmp_path, files)
    assert lacks(tmp_path) == [
        "assets/vocabulary.txt is missing",
        "variables/variables.data-00000-of-00001 is missing",
    ]
    fill(tmp_path, {"assets/vocabulary.txt": b"", "variables/variables.data-00000-of-00001": data[:-1]})
    assert lacks(tmp_path) == [f"variables/variables.data-00000-of-00001 has {len(data) - 1} of {len(data)} bytes"]


def test_files_of_our_own_that_lack_are_named(tmp_path: Path) -> None:
    files = published()
    fill(tmp_path, {**files, "model.onnx": b"short"})
    assert lacks(tmp_path) == [f"model.onnx has 5 of {len(files['model.onnx'])} bytes"]
    (tmp_path / "model.onnx").unlink()
    assert lacks(tmp_path) == ["model.onnx is missing"]
    fill(tmp_path, {"manifest.json": files["manifest.json"][:50]})
    assert lacks(tmp_path)[0].startswith("manifest.json: ")


def test_damage_shows_by_digest_alone(tmp_path: Path) -> None:
    fill(tmp_path, published(damage=bytes(len(ONNX["model.onnx"]))))
    assert lacks(tmp_path) == []
    assert damaged(tmp_path) == ["model.onnx is not what was published"]
    assert damaged(fill(tmp_path / "whole", published())) == []


def with_weights(folder: Path) -> Path:
    """An ONNX model whose weights lie in a file beside it."""
    folder.mkdir()
    weights = onnx_models.constant("w", np.ones((64, 64), np.float32))
    made = onnx_models.model(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        [onnx_models.value("x", onnx_models.FLOAT, [None, 64])],
        [onnx_models.value("y", onnx_models.FLOAT, [None, 64])],
        [weights],
    )
    whole = onnx.load_from_string(made)
    onnx.save(whole, str(folder / "model.onnx"), save_as_external_data=True, location="model.weights", size_threshold=0)
    return folder


def test_tensors_beside_an_onnx_file_are_waited_for(tmp_path: Path) -> None:
    folder = with_weights(tmp_path / "m")
    assert lacks(folder) == []
    data = (folder / "model.weights").read_bytes()
    (folder / "model.weights").write_bytes(data[:-1])
    assert lacks(folder) == [f"model.weights has {len(data) - 1} of {len(data)} bytes"]
    (folder / "model.weights").unlink()
    assert lacks(folder) == ["model.weights is missing"]


def test_an_onnx_file_that_points_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    folder = with_weights(tmp_path / "m")
    raw = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(raw.replace(b"model.weights", b"../../secrets"))
    assert lacks(folder) == ["model.onnx: it points to '../../secrets', which is outside of its folder"]


@pytest.mark.parametrize("size", [0, 1, 7, 50, -1])
def test_a_cut_file_is_named(tmp_path: Path, size: int) -> None:
    fill(tmp_path, {"model.onnx": ONNX["model.onnx"][:size]})
    assert lacks(tmp_path)[0].startswith("model.onnx: ")
    fill(tmp_path / "lite", {"model.tflite": TFLITE[: min(size % 100, 7)]})
    assert lacks(tmp_path / "lite") == ["model.tflite: it is no TFLite file"]


@given(st.binary())
def test_no_bytes_make_the_readers_break(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    footer = bytes.fromhex("57fb808b247547db")
    for read in (saved_model.needs, onnx_file.outside, bundle.shard_sizes):
        with contextlib.suppress(CutError):
            read(path)
    path.write_bytes(data + bytes(48)[len(data) % 40 :] + footer)
    with contextlib.suppress(CutError):
        bundle.shard_sizes(path)


def test_a_graph_is_passed_over_not_read(tmp_path: Path) -> None:
    """A field of 1 GB in a sparse file takes no time."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(bytes([0x12, 0x80, 0x80, 0x80, 0x80, 0x04]))
        file.truncate(6 + (1 << 30))
    with mapped(path) as data:
        assert list(fields(data, (0, len(data)))) == [(2, (6, 6 + (1 << 30)))]
