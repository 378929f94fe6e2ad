import os
import sys
from pathlib import Path

import pytest

from skylift.engine import Tool
from skylift.engine.environment import environment, state_file, state_folder
from skylift.errors import NotFoundError
from skylift.stack.project import Project


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path / "engine" / "pulumi", "3.200.0", "built", (tmp_path / "engine",))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in list(os.environ):
        if name.startswith(("PULUMI_", "SKYLIFT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    return _project(tmp_path / "one")


def _project(root: Path) -> Project:
    (root / "stacks").mkdir(parents=True)
    (root / "stacks" / "Pulumi.local.yaml").write_text("config:\n  skylift:target: local\n")
    return Project(root)


def test_the_engine_and_this_python_come_first(project: Project, tool: Tool) -> None:
    found = environment(project, "local", tool=tool, create=False)
    assert found["PATH"].split(os.pathsep)[:2] == [str(tool.path.parent), str(Path(sys.executable).parent)]
    assert found["PULUMI_STACK"] == "local"
    assert found["PULUMI_BACKEND_URL"] == project.state_folder.as_uri()
    assert Path(found["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    assert found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


def test_without_a_stack_there_is_just_the_engine(tool: Tool) -> None:
    assert set(environment(tool=tool)) == {"PATH", "PULUMI_PYTHON_CMD", "PULUMI_SKIP_UPDATE_CHECK"}


def test_an_unknown_stack_is_said(project: Project, tool: Tool) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'local'"):
        environment(project, "locale", tool=tool, create=False)


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_the_users_own_passphrase_stays(
    project: Project, tool: Tool, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "theirs")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in environment(project, "local", tool=tool, create=False)


def test_a_shell_of_one_project_does_not_lend_its_secrets_to_another(
    project: Project, tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment(project, "local", tool=tool, create=False).items():
        monkeypatch.setenv(name, value)
    other = _project(tmp_path / "two")
    found = environment(other, "local", tool=tool, create=False)
    assert found["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(other.passphrase_file())
    assert found["PULUMI_BACKEND_URL"] == other.state_folder.as_uri()
    assert found["PATH"] == os.environ["PATH"], "nothing twice"


def test_a_file_backend_is_a_folder_and_others_are_not(tmp_path: Path) -> None:
    assert state_folder(tmp_path.as_uri()) == tmp_path / ".pulumi"
    assert state_folder("file:///a%20b") == Path("/a b/.pulumi")
    assert state_folder("file://~") == Path.home() / ".pulumi"
    assert state_folder("s3://bucket") is None
    assert state_file(tmp_path.as_uri(), "local") is None
