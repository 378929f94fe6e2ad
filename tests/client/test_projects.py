"""`init`, and looking for a stack."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from skylift import Stack
from skylift.client import journey, projects
from skylift.client.projects import Wish, init
from skylift.errors import ConflictError, InputError, MachineError, NotFoundError, SettingsError
from skylift.stack.project import Project
from tests.client.conftest import StackBench


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class TestInit:
    def test_an_empty_folder_becomes_a_project(self, tmp_path: Path) -> None:
        written = init(tmp_path / "new", Wish(port=0, owner="me", is_disposable=True))
        root = tmp_path / "new"
        assert {path.relative_to(root).as_posix() for path in written} == names(root)
        assert {"Pulumi.yaml", "__main__.py", ".gitignore", "stacks/Pulumi.local.yaml"} <= names(root)
        settings = Project.find(root).settings("local")
        assert (settings.owner, settings.disposable, settings.endpoints["default"].port) == ("me", True, 0)

    def test_a_second_stack_joins_the_project_around_it(self, tmp_path: Path) -> None:
        init(tmp_path, Wish())
        (tmp_path / "deep").mkdir()
        written = init(tmp_path / "deep", Wish("other"))
        assert written == [tmp_path / "stacks" / "Pulumi.other.yaml"]
        assert (
            Project.find(tmp_path).settings("other").endpoints["default"].port == 0
        )  # the first stack has the usual one

    def test_nothing_that_exists_is_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / ".gitignore").write_text("mine\n")
        (tmp_path / "requirements.txt").write_text("mine\n")
        init(tmp_path, Wish())
        before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
        with pytest.raises(ConflictError, match="exists already") as told:
            init(tmp_path, Wish())
        assert told.value.exit_code == 5 and told.value.hint
        assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
        assert before[".gitignore"] == before["requirements.txt"] == b"mine\n"

    @pytest.mark.parametrize("name", ["Pulumi.yaml", "Pulumi.yml", "Pulumi.json"])
    def test_another_pulumi_project_is_left_alone(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("name: theirs\nruntime: nodejs\n")
        with pytest.raises(ConflictError, match="another Pulumi project"):
            init(tmp_path, Wish())
        assert names(tmp_path) == {name}

    def test_another_program_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "__main__.py").write_text("print('theirs')\n")
        with pytest.raises(ConflictError, match="another program"):
            init(tmp_path, Wish())
        assert names(tmp_path) == {"__main__.py"}

    def test_an_interrupted_one_goes_on(self, tmp_path: Path) -> None:
        init(tmp_path, Wish())
        for name in ("Pulumi.yaml", "stacks/Pulumi.local.yaml"):
            (tmp_path / name).unlink()
        assert {path.name for path in init(tmp_path, Wish())} == {"Pulumi.yaml", "Pulumi.local.yaml"}

    @pytest.mark.parametrize(
        ("wish", "kind"),
        [
            (Wish("../up"), InputError),
            (Wish("example-mine"), InputError),
            (Wish(port=99999), SettingsError),
            (Wish(target="moon"), SettingsError),
        ],
    )
    def test_a_wish_that_cannot_be_leaves_nothing_behind(
        self, tmp_path: Path, wish: Wish, kind: type[InputError]
    ) -> None:
        with pytest.raises(kind) as told:
            init(tmp_path, wish)
        assert told.value.hint
        assert names(tmp_path) == set()

    def test_a_port_that_is_taken_becomes_any(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            monkeypatch.setattr(projects, "PORT", holder.getsockname()[1])
            init(tmp_path, Wish())
        assert Project.find(tmp_path).settings("local").endpoints["default"].port == 0

    def test_a_port_that_is_free_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            port = holder.getsockname()[1]
        monkeypatch.setattr(projects, "PORT", port)
        init(tmp_path, Wish())
        assert Project.find(tmp_path).settings("local").endpoints["default"].port == port

    def test_a_file_where_the_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "stacks").write_text("mine")
        with pytest.raises((ConflictError, MachineError)) as told:
            init(tmp_path, Wish())
        assert str(tmp_path / "stacks") in told.value.message and told.value.hint
        assert (tmp_path / "stacks").read_text() == "mine"

    @pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a file system that nobody can write to")
    def test_a_place_that_cannot_be_written(self) -> None:
        with pytest.raises(MachineError, match="cannot be written") as told:
            init(Path("/proc/nowhere"), Wish())
        assert told.value.exit_code == 6

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
    def test_a_folder_without_the_right_to_write(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(MachineError, match="Permission denied"):
            init(tmp_path, Wish())


class TestStack:
    def test_outside_any_project(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="not inside a skylift project"):
            Stack("local", tmp_path)

    def test_an_unknown_one_has_a_near_miss(self, tmp_path: Path) -> None:
        init(tmp_path, Wish())
        with pytest.raises(NotFoundError, match="did you mean 'local'"):
            Stack("locla", tmp_path)
        assert Stack(None, tmp_path).name == "local"

    def test_several_and_none_named(self, tmp_path: Path) -> None:
        init(tmp_path, Wish())
        init(tmp_path, Wish("other"))
        with pytest.raises(InputError, match="local, other"):
            Stack(None, tmp_path)

    def test_no_endpoint_at_all(self, bench: StackBench) -> None:
        bench.stack.outputs.endpoints.clear()
        with pytest.raises(NotFoundError, match="no endpoint at all"):
            bench.stack.endpoint()


class TestPrepare:
    def test_it_writes_once(self, tmp_path: Path) -> None:
        assert journey.prepare(tmp_path, "local")
        assert journey.prepare(tmp_path, "local") == []
        assert [path.name for path in journey.prepare(tmp_path, "other")] == ["Pulumi.other.yaml"]
