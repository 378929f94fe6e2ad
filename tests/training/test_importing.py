"""Models that were made elsewhere: what is taken, in which forms it lies there then, and what is refused with which words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, external_data_helper, helper, load, numpy_helper, save

from serving.backends.choose import choose
from serving.backends.choose import load as load_backend
from skylift.artifacts import models, transfer
from skylift.artifacts.records import ModelManifest, ModelRef
from skylift.errors import InputError
from skylift.store import Store, open_store
from training.importing.add import Added, add
from training.importing.meaning import Meaning

FLOAT = TensorProto.FLOAT


@pytest.fixture
def keep(tmp_path: Path) -> Store:
    (tmp_path / "keep").mkdir()
    return open_store(f"file://{tmp_path / 'keep'}")


def take(keep: Store, path: Path, **meaning: Any) -> Added:
    return add(path, keep.url, "mine", "tester", Meaning(**meaning))


def manifest_of(keep: Store, added: Added) -> ModelManifest:
    model = added.model
    return models.read_manifest(keep, ModelRef(name=model.name, version=model.version, digest=model.digest))


def fetch(keep: Store, added: Added, folder: Path) -> ModelManifest:
    manifest = manifest_of(keep, added)
    transfer.download_folder(keep, f"models/mine/{added.model.digest}", manifest.files, folder)
    return manifest


def value(name: str, kind: int, shape: Sequence[int | str | None] | None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def write(path: Path, nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], **constants: Any) -> Path:
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "model", list(inputs), list(outputs), held)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def dense(path: Path, width: int = 3, end: str | None = "Softmax", rows: int | str = "rows", units: int = 4) -> Path:
    """Rows of `units` numbers through one matrix and `end`."""
    weights = np.random.default_rng(1).normal(size=(units, width)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y" if end is None else "z"])]
    if end is not None:
        nodes.append(helper.make_node(end, ["z"], ["y"]))
    return write(path, nodes, [value("x", FLOAT, [rows, units])], [value("y", FLOAT, [rows, width])], weights=weights)


class TestOnnx:
    def test_a_classifier_lies_there_compared_and_is_served_by_onnx_runtime(self, keep: Store, tmp_path: Path) -> None:
        added = take(keep, dense(tmp_path / "net.onnx"), labels=("cat", "dog", "owl"))
        assert added.model.version == 1 and added.notes == []
        manifest = fetch(keep, added, tmp_path / "copy")
        assert manifest.by == "tester" and manifest.run is None
        assert manifest.task.kind == "classification" and manifest.task.labels == ["cat", "dog", "owl"]
        (spec,) = manifest.signature.inputs
        assert (spec.name, spec.dtype, spec.shape) == ("x", "float32", [None, 4])
        assert [(each.name, each.shape) for each in manifest.signature.outputs] == [("y", [None, 3])]
        assert set(manifest.formats) == {"onnx"}
        parity = manifest.formats["onnx"].parity
        assert parity is not None and parity.holds and parity.rows > 1 and parity.max_abs_difference == 0
        assert choose(manifest, "auto") == ("onnx", "model.onnx")
        backend = load_backend(manifest, tmp_path / "copy", "auto", 1)
        rows = np.ones((5, 4), np.float32)
        assert backend.run("serving_default", {"x": rows})["y"].sum(axis=1) == pytest.approx(1, abs=1e-5)

    def test_the_next_one_of_that_name_is_the_next_version(self, keep: Store, tmp_path: Path) -> None:
        path = dense(tmp_path / "net.onnx", 1, None)
        assert [take(keep, path).model.version for _ in range(2)] == [1, 2]

    def test_several_inputs_and_outputs_of_several_types_keep_their_names(self, keep: Store, tmp_path: Path) -> None:
        path = write(
            tmp_path / "two.onnx",
            [
                helper.make_node("Cast", ["count"], ["as_float"], to=FLOAT),
                helper.make_node("Identity", ["name"], ["echo"]),
            ],
            [value("count", TensorProto.INT32, ["n", 2]), value("name", TensorProto.STRING, ["n"])],
            [value("as_float", FLOAT, ["n", 2]), value("echo", TensorProto.STRING, ["n"])],
        )
        manifest = manifest_of(keep, take(keep, path))
        assert [(each.name, each.dtype) for each in manifest.signature.inputs] == [
            ("count", "int32"),
            ("name", "string"),
        ]
        assert [(each.name, each.dtype, each.shape) for each in manifest.signature.outputs] == [
            ("as_float", "float32", [None, 2]),
            ("echo", "string", [None]),
        ]
        assert manifest.task.kind == "generic"

    def test_whole_numbers_that_look_up_a_small_table_stay_inside_it(self, keep: Store, tmp_path: Path) -> None:
        path = write(
            tmp_path / "lookup.onnx",
            [helper.make_node("Gather", ["table", "word"], ["vector"])],
            [value("word", TensorProto.INT64, ["n", "length"])],
            [value("vector", FLOAT, ["n", "length", 4])],
            table=np.eye(4, dtype=np.float32),
        )
        manifest = manifest_of(keep, take(keep, path))
        assert manifest.signature.inputs[0].shape == [None, None]
        assert manifest.signature.outputs[0].shape == [None, None, 4]

    def test_numbers_that_are_none_on_both_sides_are_no_difference(self, keep: Store, tmp_path: Path) -> None:
        path = write(
            tmp_path / "log.onnx",
            [helper.make_node("Log", ["x"], ["y"])],
            [value("x", FLOAT, ["n", 2])],
            [value("y", FLOAT, ["n", 2])],
        )
        assert take(keep, path).model.version == 1

    def test_weights_in_a_file_beside_it_come_along(self, keep: Store, tmp_path: Path) -> None:
        plain = dense(tmp_path / "plain.onnx", units=400)
        (tmp_path / "split").mkdir()
        model = load(str(plain))
        external_data_helper.convert_model_to_external_data(model, location="net.weights")
        save(model, str(tmp_path / "split" / "net.onnx"))
        added = take(keep, tmp_path / "split" / "net.onnx")
        manifest = fetch(keep, added, tmp_path / "copy")
        assert {each.path for each in manifest.files} == {"model.onnx", "net.weights"}
        load_backend(manifest, tmp_path / "copy", "auto", 1).close()

    @pytest.mark.parametrize(
        ("meaning", "width", "end", "kind"),
        [
            ({"labels": ("no", "yes")}, 1, "Sigmoid", "binary"),
            ({"labels": ("no", "yes")}, 2, "Softmax", "classification"),
            ({"unit": "EUR"}, 1, None, "regression"),
            ({}, 3, "Softmax", "generic"),
        ],
    )
    def test_labels_and_unit_decide_the_task(
        self, keep: Store, tmp_path: Path, meaning: dict[str, Any], width: int, end: str | None, kind: str
    ) -> None:
        task = manifest_of(keep, take(keep, dense(tmp_path / "net.onnx", width, end), **meaning)).task
        assert task.kind == kind
        assert task.labels == list(meaning.get("labels", ())) and task.unit == meaning.get("unit", "")

    def test_an_image_is_tried_with_pixels(self, keep: Store, tmp_path: Path) -> None:
        path = write(
            tmp_path / "mean.onnx",
            [helper.make_node("ReduceMean", ["image"], ["brightness"], axes=[1, 2, 3], keepdims=0)],
            [value("image", FLOAT, ["n", "height", "width", 3])],
            [value("brightness", FLOAT, ["n"])],
        )
        manifest = manifest_of(keep, take(keep, path, is_image=True, unit="of 255"))
        assert manifest.task.input_kind == "image" and manifest.task.kind == "regression"
        assert manifest.signature.outputs[0].shape == [None]


class TestRefused:
    @pytest.mark.parametrize(
        ("meaning", "width", "end", "said"),
        [
            ({"labels": ("a", "b", "c", "d")}, 3, "Softmax", r"gives 3 value\(s\) per row .*4 labels are given"),
            ({"labels": ("a", "b", "c")}, 1, "Sigmoid", r"gives 1 value\(s\) per row .*3 labels are given"),
            ({"labels": ("a", "b", "c")}, 3, None, "no probabilities"),
            ({"labels": ("a",)}, 1, "Sigmoid", "at least two labels"),
            ({"labels": ("a", "a")}, 2, "Softmax", "'a' is there twice"),
            ({"labels": ("a", "b"), "unit": "m"}, 2, "Softmax", "either labels or a unit"),
            ({"is_image": True}, 2, None, r"takes no image: its input is x \[any, 4\]"),
        ],
    )
    def test_a_meaning_that_does_not_fit(
        self, keep: Store, tmp_path: Path, meaning: dict[str, Any], width: int, end: str | None, said: str
    ) -> None:
        with pytest.raises(InputError, match=said) as caught:
            take(keep, dense(tmp_path / "net.onnx", width, end), **meaning)
        assert caught.value.hint
        assert models.list_models(keep) == []

    def test_a_fixed_batch(self, keep: Store, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"'x' has the shape \[1, 4\]: its first dimension is fixed"):
            take(keep, dense(tmp_path / "net.onnx", rows=1))

    def test_no_batch_at_all(self, keep: Store, tmp_path: Path) -> None:
        scalar = write(
            tmp_path / "scalar.onnx",
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", FLOAT, [])],
            [value("y", FLOAT, [])],
        )
        with pytest.raises(InputError, match="'x' has no batch dimension"):
            take(keep, scalar)
        summed = write(
            tmp_path / "sum.onnx",
            [helper.make_node("ReduceMax", ["x"], ["y"], axes=[0], keepdims=0)],
            [value("x", FLOAT, ["n", 3])],
            [value("y", FLOAT, [3])],
        )
        with pytest.raises(InputError, match=r"'y' has no batch dimension: it has the shape \[3\] for 8 row"):
            take(keep, summed)

    @pytest.mark.parametrize("node", ["RandomNormalLike", "Shuffle"])
    def test_a_row_that_is_not_always_answered_alike(self, keep: Store, tmp_path: Path, node: str) -> None:
        made = (
            [helper.make_node("RandomNormalLike", ["x"], ["y"])]
            if node == "RandomNormalLike"
            else [
                helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
                helper.make_node("Sub", ["x", "mean"], ["y"]),
            ]
        )
        path = write(tmp_path / "odd.onnx", made, [value("x", FLOAT, ["n", 3])], [value("y", FLOAT, ["n", 3])])
        with pytest.raises(InputError, match="differs from the model") as caught:
            take(keep, path)
        assert "whatever rows are beside it" in caught.value.hint

    def test_one_that_does_not_run(self, keep: Store, tmp_path: Path) -> None:
        path = write(
            tmp_path / "broken.onnx",
            [helper.make_node("Reshape", ["x", "shape"], ["y"])],
            [value("x", FLOAT, ["n", 3])],
            [value("y", FLOAT, None)],
            shape=np.int64([-1, 7]),
        )
        with pytest.raises(InputError, match=r"does not run on rows of its own signature \(x \[any, 3\] float32\)"):
            take(keep, path)

    def test_an_output_that_is_no_tensor(self, keep: Store, tmp_path: Path) -> None:
        path = write(
            tmp_path / "sequence.onnx",
            [helper.make_node("SequenceConstruct", ["x"], ["y"])],
            [value("x", FLOAT, ["n", 3])],
            [helper.make_tensor_sequence_value_info("y", FLOAT, None)],
        )
        with pytest.raises(InputError, match=r"output 'y' is of the type seq\(tensor\(float\)\)"):
            take(keep, path)

    def test_what_is_damaged_or_no_model(self, keep: Store, tmp_path: Path) -> None:
        garbage = tmp_path / "garbage.onnx"
        garbage.write_bytes(b"\x00not a model" * 40)
        whole = dense(tmp_path / "whole.onnx").read_bytes()
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(whole[: len(whole) // 2])
        for path in (garbage, cut):
            with pytest.raises(InputError, match=f"ONNX Runtime cannot load {path.name}"):
                take(keep, path)

    def test_weights_from_outside_the_folder(self, keep: Store, tmp_path: Path) -> None:
        dense(tmp_path / "plain.onnx", units=400)
        (tmp_path / "inner").mkdir()
        model = load(str(tmp_path / "plain.onnx"))
        external_data_helper.convert_model_to_external_data(model, location="net.weights")
        save(model, str(tmp_path / "inner" / "net.onnx"))
        raw = (tmp_path / "inner" / "net.onnx").read_bytes().replace(b"net.weights", b"../weights_")
        (tmp_path / "inner" / "net.onnx").write_bytes(raw)
        (tmp_path / "inner" / "net.weights").rename(tmp_path / "weights_")
        with pytest.raises(InputError, match=r"ONNX Runtime cannot load|cannot be copied"):
            take(keep, tmp_path / "inner" / "net.onnx")


class TestProgram:
    def run(self, *arguments: str, head: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "training", *arguments], capture_output=True, text=True, check=False
        )

    def test_it_prints_the_version_and_imports_no_tensorflow_for_onnx(self, keep: Store, tmp_path: Path) -> None:
        dense(tmp_path / "net.onnx")
        arguments = [f"--path={tmp_path / 'net.onnx'}", f"--keep={keep.url}", "--name=mine", "--by=me", "--json"]
        code = f"import sys; from training.__main__ import main; main(['import', *{arguments!r}]); sys.stdout.flush(); "
        code += "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout)
        assert printed["model"]["version"] == 1 and printed["notes"] == []

    def test_an_error_is_json_with_its_exit_code(self, keep: Store, tmp_path: Path) -> None:
        done = self.run(
            "import", f"--path={tmp_path / 'no.onnx'}", f"--keep={keep.url}", "--name=m", "--by=me", "--json"
        )
        assert done.returncode == 3
        assert "there is no file or folder" in json.loads(done.stdout)["error"]["message"]

    def test_a_reader_that_goes_away_is_no_fault(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "training", "recipes", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()  # before it prints anything
        complained = process.stderr.read()
        process.stderr.close()
        assert process.wait() == 0
        assert complained == b""
