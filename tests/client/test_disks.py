"""Disks that are full or read-only: told in a sentence, nothing half done, what answers goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import pytest

from skylift.artifacts import endpoints
from skylift.client import projects, training
from skylift.errors import MachineError
from skylift.launch import secrets
from skylift.stack.project import Project
from skylift.store import open_store
from tests.client.conftest import ECHO, StackBench
from tests.serving.conftest import ENDPOINT
from tests.store.disks import make_read_only, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


@pytest.mark.parametrize("fault", [fill, make_read_only])
class TestInit:
    def test_it_says_so_and_goes_on_when_there_is_room(self, disk: Path, fault: object) -> None:
        assert callable(fault)
        fault(disk)
        with pytest.raises(MachineError, match=r"cannot be written: (No space left|Read-only file)") as told:
            projects.init(disk / "new", projects.Wish())
        assert told.value.exit_code == 6 and told.value.hint
        if fault is fill:
            (disk / "ballast").unlink()
            projects.init(disk / "new", projects.Wish())
            assert Project.find(disk / "new").stacks() == ["local"]

    def test_a_secret_is_not_kept_half(self, disk: Path, fault: object) -> None:
        assert callable(fault)
        before = keyring.core._keyring_backend
        keyring.set_keyring(keyring.backends.fail.Keyring())
        try:
            project = Project(disk)
            secrets.store(project, "KEY", "old")
            fault(disk)
            with pytest.raises(MachineError):
                secrets.store(project, "KEY", "new" * 5000)
            assert secrets.resolve(project, ["KEY"]) == {"KEY": "old"}
        finally:
            keyring.core._keyring_backend = before


class TestBuckets:
    def test_a_run_on_a_full_disk_is_refused(
        self, bench: StackBench, disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (bench.folder / "echo.py").write_text(ECHO)
        (bench.folder / "helper.py").write_text("word = 'x'\n")
        monkeypatch.chdir(bench.folder)
        bench.stack.__dict__["keep"] = open_store(disk.as_uri())
        fill(disk)
        with pytest.raises(MachineError, match="the disk is full") as told:
            training.start(bench.stack, training.Request("echo.py"))
        assert "skylift gc" in told.value.hint
        assert bench.stack.runs() == []

    def test_a_deploy_on_a_read_only_disk_changes_nothing(self, bench: StackBench, disk: Path) -> None:
        bench.keep_folder = disk
        bench.keep = open_store(disk.as_uri())
        server = bench.serve()
        for factor in (2.0, 3.0):
            bench.publish_scale(factor)
        bench.stack.deploy("scale:1")
        make_read_only(disk)
        with pytest.raises(MachineError, match="read-only"):
            bench.stack.deploy("scale:2")
        assert server.predict([[1, 2, 3]]).json()["predictions"][0][0] == 2
        assert len(endpoints.list_deployments(bench.keep, ENDPOINT)) == 1
