import json
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from skylift.errors import InputError, MachineError, NotFoundError, SettingsError
from skylift.stack.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "Pulumi.yaml").write_text("name: skylift\nruntime: python\n")
    (tmp_path / "stacks").mkdir()
    for name in ("local", "team", "example-local"):
        (tmp_path / "stacks" / f"Pulumi.{name}.yaml").write_text("config:\n  skylift:target: local\n")
    return Project(tmp_path)


def test_is_found_from_a_folder_deep_inside(project: Project) -> None:
    deep = project.root / "a" / "b"
    deep.mkdir(parents=True)
    (project.root / "a" / "Pulumi.yaml").write_text("name: something-else\n")
    assert Project.find(deep) == project


def test_outside_of_a_project_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not inside a skylift project") as caught:
        Project.find(tmp_path)
    assert "skylift init" in caught.value.hint


def test_lists_stacks_without_the_examples(project: Project) -> None:
    assert project.stacks() == ["local", "team"]


def test_an_unknown_stack_is_answered_with_the_nearest(project: Project) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'local'"):
        project.settings("locla")


@pytest.mark.parametrize("name", ["../local", "", ".hidden", "a/b", "x" * 101])
def test_refuses_names_that_would_leave_the_folder(project: Project, name: str) -> None:
    with pytest.raises(InputError):
        project.stack_file(name)


def test_the_hidden_folder_and_the_passphrase_are_the_owners_alone(project: Project) -> None:
    path = project.passphrase_file()
    assert stat.S_IMODE(project.hidden.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text()) >= 32
    path.chmod(0o644)
    assert stat.S_IMODE(project.passphrase_file().stat().st_mode) == 0o600
    assert (project.hidden / ".gitignore").read_text() == "*\n"


def _passphrase(root: Path) -> str:
    return Project(root).passphrase_file().read_text()


def test_all_who_ask_first_get_the_same_passphrase(project: Project) -> None:
    with ProcessPoolExecutor(4) as pool:
        assert len(set(pool.map(_passphrase, [project.root] * 12))) == 1
    assert [path.name for path in project.hidden.glob("passphrase*")] == ["passphrase"]


def test_a_hidden_folder_that_cannot_be_made_is_a_fault_of_the_machine(project: Project) -> None:
    (project.root / ".skylift").write_text("in the way")
    with pytest.raises(MachineError, match="cannot be written"):
        project.passphrase_file()


class TestBackend:
    def test_is_the_hidden_folder_by_default(self, project: Project, tmp_path: Path) -> None:
        url = project.backend_url("local", {"PULUMI_HOME": str(tmp_path / "home")})
        assert url == (project.root / ".skylift" / "state").as_uri()
        assert (project.root / ".skylift" / "state").is_dir()

    def test_is_where_the_user_logged_in(self, project: Project, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        (home / "credentials.json").write_text(json.dumps({"current": "s3://theirs"}))
        assert project.backend_url("local", {"PULUMI_HOME": str(home)}) == "s3://theirs"
        assert project.backend_url("local", {"PULUMI_BACKEND_URL": "gs://shell"}) == "gs://shell"

    def test_is_what_the_setting_says_before_all(self, project: Project) -> None:
        project.stack_file("team").write_text("config:\n  skylift:target: local\n  skylift:backend: s3://named\n")
        assert project.backend_url("team", {"PULUMI_BACKEND_URL": "gs://shell"}) == "s3://named"

    def test_stays_in_the_hidden_folder_for_a_stack_that_is_there(self, project: Project) -> None:
        state = project.state_folder / ".pulumi" / "stacks" / "skylift" / "local.json"
        state.parent.mkdir(parents=True)
        state.write_text("{}")
        assert project.backend_url("local", {"PULUMI_BACKEND_URL": "gs://shell"}).startswith("file://")

    def test_a_shell_made_for_one_stack_does_not_decide_for_another(self, project: Project, tmp_path: Path) -> None:
        shell = {
            "PULUMI_BACKEND_URL": "s3://of-team",
            "SKYLIFT_BACKEND_URL": "s3://of-team",
            "PULUMI_HOME": str(tmp_path / "home"),
        }
        assert project.backend_url("local", shell).startswith("file://")

    def test_a_stack_file_that_is_no_yaml_is_named(self, project: Project) -> None:
        project.stack_file("local").write_text("config: [")
        with pytest.raises(SettingsError, match=r"Pulumi\.local\.yaml"):
            project.backend_url("local", {})
