"""A chain whose parts are all computed by one server, and the cache that brings them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from serving.supervisor.cache import Cache
from skylift.artifacts import layout
from skylift.artifacts.objects import DamagedError
from skylift.artifacts.records import ModelRef
from skylift.errors import SkyliftError
from tests.serving.chain.chained import ROWS, check, expected, publish_chain, publish_parts, publish_uncut
from tests.serving.conftest import ENDPOINT, Bench
from tests.serving.library.conftest import Shelf


class TestServed:
    def test_it_answers_as_the_uncut_model_and_starts_again_without_the_bucket(self, bench: Bench) -> None:
        bench.deploy(publish_chain(bench, publish_parts(bench)))
        server = bench.start()
        server.wait_ready()
        check(server)
        asked = {
            "inputs": [{"name": "x", "shape": [5, 3], "datatype": "FP32", "data": ROWS.ravel().tolist()}],
            "outputs": [{"name": "root"}],
        }
        answer = server.ask("POST", "/v2/models/digits-in3/infer", asked).json()
        (output,) = answer["outputs"]
        np.testing.assert_array_equal(
            np.array(output["data"], np.float32), expected(ROWS)["root"].ravel(), err_msg=str(output)
        )
        assert server.stop() == 0
        bench.keep_folder.rename(bench.folder / "away")
        again = bench.start()
        again.wait_ready()
        check(again)

    def test_the_uncut_model_takes_its_place_and_gives_it_back(self, bench: Bench) -> None:
        chain, whole = publish_chain(bench, publish_parts(bench)), publish_uncut(bench)
        bench.deploy(chain)
        server = bench.start()
        server.wait_ready()
        for number, ref in enumerate((whole, chain), start=2):
            bench.deploy(ref)
            bench.wait_report(lambda report, number=number: report.serving == number)  # type: ignore[misc]
            check(server, model=ref.name)

    def test_a_damaged_part_is_named_and_what_answers_goes_on(self, bench: Bench) -> None:
        parts = publish_parts(bench)
        chain = publish_chain(bench, parts)
        bench.deploy(publish_uncut(bench))
        server = bench.start()
        server.wait_ready()
        bench.deploy_by_hand(chain, lambda: damage(bench, parts[1]))
        report = bench.wait_report(lambda report: report.failure is not None)
        assert report.failure is not None
        assert "part 2 of digits-in3:1, which is digits-part2of3:1" in report.failure.message
        assert report.failure.kind == DamagedError.kind
        check(server, model="digits")

    def test_from_a_folder(self, bench: Bench, shelf: Shelf) -> None:
        """As `skylift shard --out` lays it, below a version's number."""
        parts = publish_parts(bench)
        version = shelf.folder / "digits-in3" / "1"
        source = Cache(bench.folder / "other", "x").fetch(bench.keep, publish_chain(bench, parts))
        shutil.copytree(source, version)
        check(shelf.serve("digits-in3"))


def damage(bench: Bench, ref: ModelRef) -> None:
    path = bench.keep_folder / layout.model(ref.name, ref.digest) / "model.onnx"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def folder_of(root: Path, ref: ModelRef) -> Path:
    return root / ref.digest


class TestCache:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "brought"

    def test_a_part_of_two_chains_is_brought_once_and_kept_for_each(self, bench: Bench, root: Path) -> None:
        parts = publish_parts(bench)
        first, second = publish_chain(bench, parts), publish_chain(bench, parts, name="other-in3", why="b")
        assert first.digest != second.digest
        cache = Cache(root, ENDPOINT)
        cache.fetch(bench.keep, first)
        model = folder_of(root, parts[1]) / "model.onnx"
        brought = model.stat()
        folder = cache.fetch(bench.keep, second)
        assert (folder / "part2" / "model.onnx").stat() == brought
        cache.prune({second.digest})
        assert not folder_of(root, first).exists()
        assert (folder / "part2" / "model.onnx").stat() == brought
        cache.prune(set())
        assert [path for path in root.iterdir() if path.is_dir()] == []

    def test_another_process_keeps_the_parts_that_it_serves(self, bench: Bench, root: Path) -> None:
        parts = publish_parts(bench)
        chain = publish_chain(bench, parts)
        serving, tidying = Cache(root, "one"), Cache(root, "two")
        serving.fetch(bench.keep, chain)
        tidying.prune(set())
        assert all(folder_of(root, part).is_dir() for part in parts)

    def test_what_another_endpoint_remembers_is_kept_with_its_parts(self, bench: Bench, root: Path) -> None:
        parts = publish_parts(bench)
        made = bench.deploy(publish_chain(bench, parts))
        gone = Cache(root, "one")
        gone.fetch(bench.keep, made.model)
        gone.remember(made)
        del gone
        again = Cache(root, "one")
        Cache(root, "two").prune(set())
        assert again.find(made.model) is not None

    def test_without_one_of_its_parts_it_is_not_here(self, bench: Bench, root: Path) -> None:
        parts = publish_parts(bench)
        chain = publish_chain(bench, parts)
        cache = Cache(root, ENDPOINT)
        cache.fetch(bench.keep, chain)
        assert cache.find(chain) is not None
        (folder_of(root, parts[2]) / "model.onnx").unlink()
        assert cache.find(chain) is None
        cache.fetch(bench.keep, chain)
        assert cache.find(chain) is not None

    def test_a_missing_part_is_named(self, bench: Bench, root: Path) -> None:
        parts = publish_parts(bench)
        chain = publish_chain(bench, parts)
        shutil.rmtree(bench.keep_folder / layout.model(parts[2].name, parts[2].digest))
        with pytest.raises(SkyliftError, match=r"^part 3 of digits-in3:1, which is digits-part3of3:1: ") as missing:
            Cache(root, ENDPOINT).fetch(bench.keep, chain)
        assert missing.value.message == str(missing.value)

    def test_of_a_remote_part_only_the_manifest_is_brought(self, bench: Bench, root: Path) -> None:
        parts = publish_parts(bench)
        chain = publish_chain(bench, parts)
        cache = Cache(root, ENDPOINT, {2})
        folder = cache.fetch(bench.keep, chain)
        assert [path.name for path in (folder / "part2").iterdir()] == [layout.MANIFEST]
        assert cache.find(chain) is not None
        here = Cache(root, ENDPOINT)
        assert here.find(chain) is None, "the part itself is not here"
        here.fetch(bench.keep, chain)
        assert (folder / "part2" / "model.onnx").is_file()
