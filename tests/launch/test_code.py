"""What of a user's code goes with a run."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from skylift.errors import InputError, MachineError, NotFoundError, RecipeError
from skylift.launch import code
from skylift.launch.commit import commit_of


def write(root: Path, **files: str) -> Path:
    """Files by name, `__` for a slash and no ending: `pkg__recipe`."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def package(root: Path, folder: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "__init__.py").write_text("")


def members(packed: code.Code) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed.archive)) as archive:
        return archive.getnames()


class TestNames:
    @pytest.mark.parametrize("name", ["recipe.py", "a/recipe.py", "./recipe.py", "package.module"])
    def test_paths_and_dotted_names_are_the_users(self, name: str) -> None:
        assert code.is_own(name)

    def test_a_bare_word_is_a_bundled_recipe(self) -> None:
        assert not code.is_own("mnist")


class TestReach:
    def test_a_single_file(self, tmp_path: Path) -> None:
        write(tmp_path, recipe="import numpy\n", unrelated="x = 1\n")
        packed = code.pack("recipe.py", tmp_path)
        assert (packed.module, members(packed)) == ("recipe", ["recipe.py"])

    def test_what_it_imports_beside_it_goes_along_and_nothing_else(self, tmp_path: Path) -> None:
        write(tmp_path, recipe="def load():\n    import helper\n", helper="from deep import more\n", deep="", other="")
        (tmp_path / "data.csv").write_text("1,2\n")
        (tmp_path / ".env").write_text("TOKEN=hush\n")
        assert members(code.pack("recipe.py", tmp_path)) == ["deep.py", "helper.py", "recipe.py"]

    def test_a_package_with_relative_imports(self, tmp_path: Path) -> None:
        package(tmp_path, "mine")
        package(tmp_path, "mine/parts")
        write(
            tmp_path,
            mine__recipe="from . import data\nfrom .parts.net import build\n",
            mine__data="from .parts import *\n",
            mine__parts__net="from ..tools import clean\n",
            mine__tools="",
            mine__unused="",
        )
        packed = code.pack("mine/recipe.py", tmp_path)
        assert packed.module == "mine.recipe"
        assert members(packed) == [
            "mine/__init__.py",
            "mine/data.py",
            "mine/parts/__init__.py",
            "mine/parts/net.py",
            "mine/recipe.py",
            "mine/tools.py",
        ]

    def test_a_module_by_its_dotted_name_is_the_same_as_by_its_path(self, tmp_path: Path) -> None:
        package(tmp_path, "mine")
        write(tmp_path, mine__recipe="import mine.data\n", mine__data="")
        by_name, by_path = code.pack("mine.recipe", tmp_path), code.pack("mine/recipe.py", tmp_path)
        assert by_name.module == by_path.module == "mine.recipe"
        assert by_name.digest == by_path.digest

    def test_a_package_that_is_the_recipe_itself(self, tmp_path: Path) -> None:
        package(tmp_path, "mine")
        (tmp_path / "mine" / "__init__.py").write_text("from .data import load\n")
        write(tmp_path, mine__data="")
        packed = code.pack("mine/__init__.py", tmp_path)
        assert (packed.module, members(packed)) == ("mine", ["mine/__init__.py", "mine/data.py"])

    def test_a_folder_without_init_between_packages_hides_none_above(self, tmp_path: Path) -> None:
        package(tmp_path, "mine")
        write(tmp_path, mine__plain__recipe="")
        assert members(code.pack("mine.plain.recipe", tmp_path)) == ["mine/__init__.py", "mine/plain/recipe.py"]

    def test_names_of_any_length_and_language(self, tmp_path: Path) -> None:
        long = "/".join(["ordner_mit_langem_namen"] * 12)
        package(tmp_path, long.split("/")[0])
        for depth in range(2, 13):
            package(tmp_path, "/".join(long.split("/")[:depth]))
        write(tmp_path, **{f"{long.replace('/', '__')}__größe": ""})
        assert f"{long}/größe.py" in members(code.pack(f"{long}/größe.py", tmp_path))

    def test_what_is_unpacked_can_be_imported(self, tmp_path: Path) -> None:
        package(tmp_path, "mine")
        write(tmp_path, mine__recipe="from .data import answer\nprint(answer)\n", mine__data="answer = 42\n")
        packed = code.pack("mine.recipe", tmp_path)
        there = tmp_path / "there"
        with tarfile.open(fileobj=io.BytesIO(packed.archive)) as archive:
            archive.extractall(there, filter="data")
        done = subprocess.run([sys.executable, "-m", packed.module], cwd=there, capture_output=True, text=True)
        assert done.stdout == "42\n", done.stderr


class TestDigest:
    def test_equal_files_are_equal_code_wherever_and_whenever(self, tmp_path: Path) -> None:
        here, there = tmp_path / "here", tmp_path / "there"
        for root in (here, there):
            write(root, recipe="import helper\n", helper="x = 1\n")
        os.utime(there / "helper.py", (1, 1))
        (there / "helper.py").chmod(0o600)
        one, other = code.pack("recipe.py", here), code.pack("recipe.py", there)
        assert one.archive == other.archive
        assert one.digest == hashlib.sha256(one.archive).hexdigest()

    def test_a_change_in_what_is_imported_is_other_code(self, tmp_path: Path) -> None:
        write(tmp_path, recipe="import helper\n", helper="x = 1\n")
        before = code.pack("recipe.py", tmp_path).digest
        write(tmp_path, helper="x = 2\n")
        assert code.pack("recipe.py", tmp_path).digest != before


class TestMistakes:
    def test_a_syntax_error_is_told_by_file_and_line(self, tmp_path: Path) -> None:
        write(tmp_path, recipe="import helper\n", helper="x = 1\n\nif x\n    pass\n")
        with pytest.raises(RecipeError) as told:
            code.pack("recipe.py", tmp_path)
        assert told.value.message.startswith(f"{tmp_path / 'helper.py'}, line 3: ")
        assert told.value.message.count("line 3") == 1

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "recipe.py").write_bytes(b"\xff\xfe\x00x")
        with pytest.raises(RecipeError, match=r"recipe\.py"):
            code.pack("recipe.py", tmp_path)

    def test_odd_escapes_stop_nothing(self, tmp_path: Path) -> None:
        write(tmp_path, recipe="pattern = '\\d'\n")
        assert members(code.pack("recipe.py", tmp_path)) == ["recipe.py"]

    @pytest.mark.parametrize(
        "name", ["nowhere.py", "some/nowhere.py", "some/folder", "no.such.module", "os..path", ".."]
    )
    def test_what_is_not_there(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(NotFoundError) as told:
            code.pack(name, tmp_path)
        assert told.value.hint

    @pytest.mark.parametrize("name", ["notes/recipe.txt", "my.recipe.py"])
    def test_what_no_import_reaches_is_not_packed_as_nothing(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1\n")
        with pytest.raises(InputError, match=r"NAME\.py|cannot be imported"):
            code.pack(name, tmp_path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_that_may_not_be_read(self, tmp_path: Path) -> None:
        write(tmp_path, recipe="")
        (tmp_path / "recipe.py").chmod(0)
        with pytest.raises(MachineError, match="Permission denied"):
            code.pack("recipe.py", tmp_path)


class TestCommit:
    def test_of_a_folder_without_git(self, tmp_path: Path) -> None:
        assert commit_of(tmp_path) is None

    def test_of_a_clone_and_of_changed_files(self, tmp_path: Path) -> None:
        write(tmp_path, recipe="x = 1\n")
        git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
        for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
            subprocess.run([*git, *arguments], check=True)
        clean = commit_of(tmp_path)
        assert clean is not None and len(clean) == 40
        (tmp_path / "untracked.txt").write_text("x")
        assert commit_of(tmp_path) == clean
        write(tmp_path, recipe="x = 2\n")
        assert commit_of(tmp_path) == f"{clean}-dirty"
