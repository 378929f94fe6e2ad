"""The supervisor's parts that need no processes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from serving.arguments import parse
from serving.supervisor import cpus
from serving.supervisor.cache import Cache
from serving.supervisor.port import open_port
from serving.supervisor.program import endpoint_of
from skylift.artifacts.records import Deployment, ModelRef, now
from skylift.errors import InputError, MachineError
from tests.serving.conftest import Bench


class TestCpus:
    def lent(self, folder: Path, own: str, **files: str) -> float:
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("cpu_max", "cpu.max").replace("cfs", "cpu.cfs")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / "own").write_text(own)
        return cpus.lent_cpus(folder, folder / "own")

    def test_without_a_quota_the_affinity_counts(self, tmp_path: Path) -> None:
        whole = cpus.lent_cpus(tmp_path, tmp_path / "missing")
        assert whole >= 1
        assert self.lent(tmp_path, "0::/a\n", a__cpu_max="max 100000\n") == whole

    def test_the_tightest_group_above_counts(self, tmp_path: Path) -> None:
        assert self.lent(tmp_path, "0::/a/b\n", a__b__cpu_max="max 100000", a__cpu_max="50000 100000") == 0.5

    def test_the_older_groups_count_too(self, tmp_path: Path) -> None:
        files = {"cpu__a__cfs_quota_us": "25000", "cpu__a__cfs_period_us": "100000"}
        assert self.lent(tmp_path, "3:cpu,cpuacct:/a\n", **files) == 0.25

    def test_a_group_of_the_host_that_is_not_seen_here_falls_back_to_the_root(self, tmp_path: Path) -> None:
        assert self.lent(tmp_path, "0::/kubepods/pod1\n", cpu_max="75000 100000") == 0.75

    def test_a_worker_has_one_thread_at_least(self) -> None:
        assert cpus.threads_per_worker(0, 256) == 1
        assert cpus.threads_per_worker(3, 256) == 3


class TestPort:
    def test_a_taken_port_names_its_holder(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
            with pytest.raises(MachineError, match=f"port {port} of 127.0.0.1 is taken by .*process"):
                open_port("127.0.0.1", port)

    def test_an_address_that_is_not_ours_is_told(self) -> None:
        with pytest.raises(InputError):
            open_port("192.0.2.1", 0)

    def test_a_port_is_free_again_at_once(self) -> None:
        first = open_port("127.0.0.1", 0)
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = first.accept()
            first.close()
            accepted.close()
            assert client.recv(1) == b""
        open_port("127.0.0.1", port).close()


class TestCache:
    def test_a_whole_version_is_not_fetched_again(self, bench: Bench) -> None:
        ref = bench.publish_scale(2)
        cache = Cache(bench.folder / "cache", "default")
        folder = cache.fetch(bench.keep, ref)
        bench.keep_folder.rename(bench.folder / "away")
        assert cache.fetch(bench.keep, ref) == folder
        assert cache.find(ref) == folder

    @pytest.mark.parametrize("damage", ["change", "remove", "mark", "manifest"])
    def test_what_was_touched_is_fetched_again(self, bench: Bench, damage: str) -> None:
        ref = bench.publish_scale(2)
        cache = Cache(bench.folder / "cache", "default")
        folder = cache.fetch(bench.keep, ref)
        good = (folder / "model.onnx").read_bytes()
        files = {"change": "model.onnx", "remove": "model.onnx", "mark": ".complete.json", "manifest": "manifest.json"}
        path = folder / files[damage]
        path.unlink() if damage == "remove" else path.write_bytes(b"x" * path.stat().st_size)
        assert cache.find(ref) is None
        cache.fetch(bench.keep, ref)
        assert (folder / "model.onnx").read_bytes() == good
        assert cache.find(ref) == folder

    def test_pruning_keeps_what_another_endpoint_remembers(self, bench: Bench) -> None:
        refs = [bench.publish_scale(factor) for factor in (2, 3, 4)]
        own, other = (Cache(bench.folder / "cache", name) for name in ("own", "other"))
        for ref in refs:
            own.fetch(bench.keep, ref)
        other.remember(self.deployment(refs[0]))
        own.remember(self.deployment(refs[2]))
        own.prune({refs[2].digest})
        assert [own.find(ref) is not None for ref in refs] == [True, False, True]

    def test_pruning_leaves_what_another_endpoint_is_about_to_load(self, bench: Bench) -> None:
        first, second = bench.publish_scale(2), bench.publish_scale(3)
        own, other = (Cache(bench.folder / "cache", name) for name in ("own", "other"))
        folder = other.fetch(bench.keep, first)
        own.fetch(bench.keep, second)
        own.prune({second.digest})
        assert (folder / "manifest.json").is_file()
        other.prune(set())  # it has loaded something else, and lets go
        assert not folder.exists() and own.find(second) is not None

    def test_what_is_remembered_survives_and_nonsense_is_nothing(self, bench: Bench) -> None:
        made = self.deployment(bench.publish_scale(2))
        cache = Cache(bench.folder / "cache", "default")
        assert cache.remembered() is None
        cache.remember(made)
        assert Cache(bench.folder / "cache", "default").remembered() == made
        (bench.folder / "cache" / "last-default.json").write_text("{")
        assert cache.remembered() is None

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(MachineError, match="cannot make"):
            Cache(tmp_path / "file" / "cache", "default")

    def deployment(self, ref: ModelRef) -> Deployment:
        return Deployment(endpoint="default", number=1, model=ref, created=now(), by="test")


class TestOptions:
    def test_the_defaults_are_those_of_a_stack(self) -> None:
        from skylift.stack.settings import EndpointSettings

        options, settings = parse(["--endpoint", "file:///keep/endpoints/a"]), EndpointSettings()
        for name in ("host", "port", "workers", "backend", "threads", "queue_rows", "max_batch_rows", "drain_seconds"):
            assert getattr(options, name) == getattr(settings, name), name

    @pytest.mark.parametrize("url", ["file:///keep/endpoints", "file:///keep/endpoints/a/b", "file:///keep/models/a"])
    def test_a_url_that_names_no_endpoint_is_refused(self, url: str) -> None:
        with pytest.raises(InputError):
            endpoint_of(url)

    def test_bucket_and_name(self) -> None:
        assert endpoint_of("s3://bucket/some/prefix/endpoints/a") == ("s3://bucket/some/prefix", "a")
