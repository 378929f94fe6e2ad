"""Where the values of secrets lie, and who can read them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest

from skylift.errors import InputError, MachineError, NotFoundError
from skylift.launch import secrets
from skylift.stack.project import Project


class InMemory(keyring.backend.KeyringBackend):
    """A keyring that is there."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], str] = {}
        self.locked = False

    def _check(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("the collection is locked")

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.held[service, username]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(autouse=True)
def no_keyring() -> Iterator[None]:
    """As on a server without a desktop; what was chosen before comes back."""
    before = keyring.core._keyring_backend
    keyring.set_keyring(keyring.backends.fail.Keyring())
    yield
    keyring.core._keyring_backend = before


@pytest.fixture
def ring() -> InMemory:
    made = InMemory()
    keyring.set_keyring(made)
    return made


class TestFile:
    def test_only_its_owner_can_read_it(self, project: Project) -> None:
        where = Path(secrets.store(project, "API_TOKEN", "hush"))
        assert where.is_relative_to(project.hidden)
        assert stat.S_IMODE(where.stat().st_mode) == 0o600
        assert stat.S_IMODE(where.parent.stat().st_mode) == 0o700
        assert secrets.resolve(project, ["API_TOKEN"]) == {"API_TOKEN": "hush"}

    def test_what_a_killed_writer_left_open_for_all_is_not_reused(self, project: Project) -> None:
        left = project.hidden / "secrets" / "API_TOKEN.new"
        left.parent.mkdir(mode=0o700)
        left.touch(0o644)
        assert stat.S_IMODE(Path(secrets.store(project, "API_TOKEN", "hush")).stat().st_mode) == 0o600
        assert not left.exists()

    @pytest.mark.parametrize("value", ["-----BEGIN-----\r\nabc\r\n", " spaces ", "größe\n", "x\r"])
    def test_every_byte_comes_back(self, project: Project, value: str) -> None:
        secrets.store(project, "KEY", value)
        assert secrets.resolve(project, ["KEY"]) == {"KEY": value}

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
    def test_one_that_others_can_read_is_refused(self, project: Project, mode: int) -> None:
        where = Path(secrets.store(project, "API_TOKEN", "hush"))
        where.chmod(mode)
        with pytest.raises(MachineError, match="can be read by others") as told:
            secrets.resolve(project, ["API_TOKEN"])
        assert f"chmod 600 {where}" in told.value.hint
        assert "hush" not in str(told.value.to_dict())

    def test_a_place_that_cannot_be_written(self, project: Project) -> None:
        (project.hidden / "secrets").write_text("a file where the folder should be")
        with pytest.raises(MachineError, match="cannot be read or written"):
            secrets.store(project, "API_TOKEN", "hush")


class TestMissing:
    def test_all_are_named_at_once(self, project: Project) -> None:
        secrets.store(project, "HERE", "x")
        with pytest.raises(NotFoundError) as told:
            secrets.resolve(project, ["ONE", "HERE", "TWO"])
        assert "ONE, TWO" in told.value.message and "HERE" not in told.value.message
        assert "skylift secret set ONE" in told.value.hint

    def test_a_removed_one_is_gone_and_cannot_be_removed_again(self, project: Project) -> None:
        secrets.store(project, "ONE", "x")
        secrets.remove(project, "ONE")
        with pytest.raises(NotFoundError):
            secrets.resolve(project, ["ONE"])
        with pytest.raises(NotFoundError) as told:
            secrets.remove(project, "ONE")
        assert told.value.hint

    @pytest.mark.parametrize("name", ["", "1ST", "A-B", "../x", "A B", "A=B", "A\n"])
    def test_names_that_no_environment_takes(self, project: Project, name: str) -> None:
        with pytest.raises(InputError):
            secrets.store(project, name, "x")

    @pytest.mark.parametrize("value", ["", "a\0b"])
    def test_values_that_no_environment_takes(self, project: Project, value: str) -> None:
        with pytest.raises(InputError, match="value of KEY"):
            secrets.store(project, "KEY", value)


class TestKeyring:
    def test_it_is_used_where_there_is_one(self, project: Project, ring: InMemory) -> None:
        assert secrets.store(project, "API_TOKEN", "hush") == "the keyring"
        assert ring.held == {("skylift", "API_TOKEN"): "hush"}
        assert not (project.hidden / "secrets").exists()
        assert secrets.resolve(project, ["API_TOKEN"]) == {"API_TOKEN": "hush"}
        secrets.remove(project, "API_TOKEN")
        assert ring.held == {}

    def test_a_file_from_before_does_not_outlive_a_new_value(self, project: Project) -> None:
        file = Path(secrets.store(project, "API_TOKEN", "old"))
        keyring.set_keyring(InMemory())
        secrets.store(project, "API_TOKEN", "new")
        assert not file.exists()

    def test_a_file_is_still_read_where_the_keyring_has_no_such_value(self, project: Project) -> None:
        secrets.store(project, "API_TOKEN", "old")
        keyring.set_keyring(InMemory())
        assert secrets.resolve(project, ["API_TOKEN"]) == {"API_TOKEN": "old"}

    def test_a_locked_one_is_an_error_with_a_way_out(self, project: Project, ring: InMemory) -> None:
        ring.locked = True
        for ask in (
            lambda: secrets.store(project, "KEY", "x"),
            lambda: secrets.resolve(project, ["KEY"]),
            lambda: secrets.remove(project, "KEY"),
        ):
            with pytest.raises(MachineError, match="locked") as told:
                ask()
            assert "PYTHON_KEYRING_BACKEND" in told.value.hint
