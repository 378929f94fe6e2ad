"""Models that were cut into parts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from serving.backends.base import Array
from serving.backends.chain import ChainBackend, Link, load_chain
from serving.backends.choose import load
from serving.backends.onnx import OnnxBackend
from serving.backends.remotes import Remotes
from serving.signature import ModelSignature, Tensor
from skylift.artifacts import layout
from skylift.artifacts.records import Format, ModelManifest, ModelRef, Parity, Part, Signature, encode, now
from skylift.artifacts.records import TensorSpec as Spec
from skylift.errors import DeployError, UnreachableError
from tests.serving import onnx_models
from tests.serving.backends.v2_endpoint import serve, write

HOLDS = Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True)
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
WHOLE = ModelRef(name="whole", version=1, digest="0" * 64)
FLOAT = TensorProto.FLOAT


def spec(name: str, dtype: str = "float32") -> Spec:
    return Spec(name=name, dtype=dtype, shape=[None, 3])


def manifest(name: str, takes: list[str], gives: list[str], **more: object) -> ModelManifest:
    return ModelManifest(
        name=name,
        created=now(),
        by="t",
        signature=Signature(inputs=[spec(each) for each in takes], outputs=[spec(each) for each in gives]),
        files=[],
        **{"formats": {"onnx": Format(path="model.onnx", parity=HOLDS)}, **more},  # type: ignore[arg-type]
    )


def adds() -> bytes:
    """`sum = image + doubled`, and `doubled` once more, as itself."""
    return onnx_models.model(
        [helper.make_node("Add", ["image", "doubled"], ["sum"])],
        [onnx_models.value("image", FLOAT, ["rows", 3]), onnx_models.value("doubled", FLOAT, ["rows", 3])],
        [onnx_models.value("sum", FLOAT, ["rows", 3])],
    )


class Parts:
    """image -> (x 2) doubled -> (x 5) tenfold; then sum = image + doubled; the whole gives tenfold and sum."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[int] = []
        self.refs = [ModelRef(name=f"part{number}", version=number, digest=str(number) * 64) for number in (1, 2, 3)]
        self._write(1, ["image"], ["doubled"], onnx_models.scale(2), {"image": 0})
        self._write(2, ["doubled"], ["tenfold"], onnx_models.scale(5), {"doubled": 1})
        self._write(3, ["image", "doubled"], ["sum"], adds(), {"image": 0, "doubled": 1})

    def _write(self, number: int, takes: list[str], gives: list[str], model: bytes, inputs: Mapping[str, int]) -> None:
        part = Part(of=WHOLE, index=number, count=3, inputs=dict(inputs))
        path = write(self.folder / str(number), model)
        path.with_name(layout.MANIFEST).write_bytes(encode(manifest(f"part{number}", takes, gives, part=part)))

    def fetch(self, ref: ModelRef) -> Path:
        self.fetched.append(ref.version)
        return self.folder / str(ref.version)

    def whole(self, takes: str = "image", gives: tuple[str, ...] = ("tenfold", "sum")) -> ModelManifest:
        return manifest("whole", [takes], list(gives), formats={}, chain=self.refs)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


class TestInOneProcess:
    def test_each_part_takes_what_the_request_and_earlier_parts_give(self, parts: Parts) -> None:
        chain = load_chain(parts.whole(), parts.fetch)
        given = chain.run("serving_default", {"image": ROWS})
        assert given.keys() == {"tenfold", "sum"}
        np.testing.assert_array_equal(given["tenfold"], 10 * ROWS)
        np.testing.assert_array_equal(given["sum"], 3 * ROWS)
        assert chain.concurrency == 1

    def test_only_what_is_wanted(self, parts: Parts) -> None:
        chain = load_chain(parts.whole(), parts.fetch)
        assert chain.run("serving_default", {"image": ROWS}, ["sum"]).keys() == {"sum"}

    def test_any_number_of_rows(self, parts: Parts) -> None:
        chain = load_chain(parts.whole(), parts.fetch)
        for rows in (1, 7):
            assert len(chain.run("serving_default", {"image": np.ones((rows, 3), np.float32)})["sum"]) == rows

    def test_parts_lie_below_the_folder_of_the_version(self, parts: Parts) -> None:
        for number in (1, 2, 3):
            (parts.folder / str(number)).rename(parts.folder / f"part{number}")
        chain = load(parts.whole(), parts.folder, "auto", 1)
        np.testing.assert_array_equal(chain.run("serving_default", {"image": ROWS})["sum"], 3 * ROWS)
        assert (chain.name, chain.platform) == ("chain", "skylift_chain")


class TestElsewhere:
    def test_parts_on_other_servers_give_the_same(self, parts: Parts) -> None:
        wanted = ModelSignature((Tensor("doubled", "float32", (None, 3)),), (Tensor("tenfold", "float32", (None, 3)),))
        second = OnnxBackend(parts.folder / "2" / "model.onnx", 1, wanted)
        with serve(second, "part2", 2) as there:
            chain = load_chain(parts.whole(), parts.fetch, Remotes({2: there.url}))
            given = chain.run("serving_default", {"image": ROWS})
            chain.close()
        np.testing.assert_array_equal(given["tenfold"], 10 * ROWS)
        np.testing.assert_array_equal(given["sum"], 3 * ROWS)
        assert chain.concurrency == 3

    def test_a_part_that_does_not_answer_is_named(self, parts: Parts) -> None:
        with pytest.raises(UnreachableError, match="nobody tells what part2 takes"):
            load_chain(parts.whole(), parts.fetch, Remotes({2: "http://127.0.0.1:1"}))

    def test_another_model_behind_the_address_is_refused(self, parts: Parts) -> None:
        other = OnnxBackend(parts.folder / "2" / "model.onnx", 1, None)
        with serve(other, "part2", 2) as there, pytest.raises(DeployError, match="part 2 takes 'x' as float32"):
            load_chain(parts.whole(), parts.fetch, Remotes({2: there.url}))


class TestRefuses:
    def test_parts_that_do_not_fit_are_all_named(self, parts: Parts) -> None:
        with pytest.raises(DeployError) as refused:
            load_chain(parts.whole("picture", ("tenfold", "label")), parts.fetch)
        for said in ("part 1 takes 'image'", "part 3 takes 'image'", "no part gives 'label'"):
            assert said in refused.value.message

    def test_an_address_for_a_part_that_there_is_not(self, parts: Parts) -> None:
        with pytest.raises(DeployError, match="a chain of 3 parts, and has no part 4"):
            load_chain(parts.whole(), parts.fetch, Remotes({4: "http://127.0.0.1:1"}))


class TestPipeline:
    def test_batches_are_in_several_parts_at_once_and_one_in_each(self) -> None:
        together = threading.Barrier(2, timeout=20)
        signatures = {
            "serving_default": ModelSignature(
                (Tensor("x", "float32", (None, 3)),), (Tensor("x", "float32", (None, 3)),)
            )
        }

        class Meets:
            """Answers only while the other part computes, too; the first batch of the first part and the last of the last meet nobody."""

            name = platform = "meets"
            concurrency = 1
            methods: Mapping[str, str] = {}
            defaults: Mapping[str, Mapping[str, Array]] = {}

            def __init__(self, alone: int) -> None:
                self.signatures, self._alone, self.calls, self.inside = signatures, alone, 0, 0

            def run(self, *given: object, **more: object) -> dict[str, Array]:
                self.calls += 1
                self.inside += 1
                assert self.inside == 1
                if self.calls != self._alone:
                    together.wait()
                self.inside -= 1
                return {"x": given[1]["x"]}  # type: ignore[index]

            def close(self) -> None: ...

        batches = 4
        links = [Link(Meets(1), {"x": 0}), Link(Meets(batches), {"x": 1})]
        chain = ChainBackend(links, signatures["serving_default"])
        left = threading.Semaphore(batches)

        def work() -> None:
            while left.acquire(blocking=False):
                chain.run("serving_default", {"x": ROWS})

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert [link.backend.calls for link in links] == [batches, batches]  # type: ignore[attr-defined]
