"""What a disk and a network do to a store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.errors import InputError, MachineError, NotFoundError, UnreachableError
from skylift.files import write_whole
from skylift.store import ObjectNotFoundError, Store, open_store, retried
from tests.store.disks import make_read_only, small_disk

ROOT = Path(__file__).resolve().parents[2]


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestFullDisk:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        with small_disk(tmp_path / "disk", "4m") as disk:
            yield disk

    def test_each_verb_says_so_and_leaves_nothing(self, disk: Path, tmp_path: Path) -> None:
        store = open_store(f"file://{disk}")
        token = store.create("old", b"kept")
        source = tmp_path / "source"
        source.write_bytes(b"x" * (20 << 20))
        for write in (
            lambda: store.put("a/new", source.read_bytes()),
            lambda: store.create("a/new", source.read_bytes()),
            lambda: store.upload(source, "a/new"),
            lambda: store.upload(source, "a/new", create=True),
            lambda: store.replace("old", source.read_bytes(), token),
        ):
            with pytest.raises(MachineError, match="the disk is full") as caught:
                write()
            assert "free some space" in caught.value.hint
            assert files_below(disk) == ["old"]
        assert [stat.key for stat in store.list()] == ["old"]
        assert store.get("old").data == b"kept"
        store.create("a/new", b"fits")

    def test_no_inodes_left_is_a_full_disk(self, disk: Path) -> None:
        subprocess.run(["mount", "-o", "remount,nr_inodes=4", str(disk)], check=True)
        store = open_store(f"file://{disk}")
        store.create("fits", b"")
        store.create("just", b"")
        with pytest.raises(MachineError, match="the disk is full"):
            [store.create(f"{number}", b"") for number in range(10)]


class TestReadOnlyFolder:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        with small_disk(tmp_path / "disk", "4m") as disk:
            yield disk

    def test_reading_goes_on_and_writing_says_why(self, disk: Path, tmp_path: Path) -> None:
        store = open_store(f"file://{disk}")
        token = store.create("a", b"1")
        make_read_only(disk)
        (tmp_path / "source").write_bytes(b"x")
        assert store.get("a").data == b"1"
        for write in (
            lambda: store.put("a", b"2"),
            lambda: store.create("b", b"2"),
            lambda: store.replace("a", b"2", token),
            lambda: store.upload(tmp_path / "source", "c"),
            lambda: store.upload(tmp_path / "source", "c", create=True),
            lambda: store.delete(["a"]),
            lambda: store.clock(),
        ):
            with pytest.raises(MachineError, match="read-only"):
                write()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write whatever the mode says")
    def test_a_folder_of_somebody_else(self, tmp_path: Path) -> None:
        store = open_store(f"file://{tmp_path}")
        tmp_path.chmod(0o555)
        try:
            with pytest.raises(MachineError, match="no right to"):
                store.put("a", b"1")
        finally:
            tmp_path.chmod(0o755)


class TestKilledWriter:
    WRITER = (
        "import sys, time; from pathlib import Path; from skylift.files import write_whole\n"
        "def pieces():\n"
        "    yield b'half'\n"
        "    print('half', flush=True)\n"
        "    sys.stdin.read()\n"
        "write_whole(Path(sys.argv[1]), pieces())\n"
    )

    def start(self, target: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", self.WRITER, str(target)]
        writer = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert writer.stdout is not None and writer.stdout.readline() == "half\n"
        return writer

    def test_nothing_is_visible_and_the_next_write_clears_up(self, tmp_path: Path) -> None:
        store = open_store(f"file://{tmp_path}")
        store.create("there", b"1")
        with self.start(tmp_path / "a") as writer:
            writer.kill()
        assert len(files_below(tmp_path)) == 2
        assert [stat.key for stat in store.list()] == [stat.key for stat in store.names()] == ["there"]
        with pytest.raises(ObjectNotFoundError):
            store.get("a")
        write_whole(tmp_path / "a", [b"whole"])
        assert files_below(tmp_path) == ["a", "there"]

    def test_a_live_writer_is_left_alone(self, tmp_path: Path) -> None:
        with self.start(tmp_path / "a") as writer:
            write_whole(tmp_path / "a", [b"mine"])
            assert (tmp_path / "a").read_bytes() == b"mine"
            writer.communicate("go on")
            assert writer.returncode == 0
        assert (tmp_path / "a").read_bytes() == b"half"
        assert files_below(tmp_path) == ["a"]


class TestTokens:
    def test_a_clock_that_jumps_back_gives_no_token_twice(self, tmp_path: Path) -> None:
        """A token is inode, time and size; the inode comes back, and so would the time."""
        store = open_store(tmp_path.as_uri())
        store.create("a", b"1")
        ahead = (tmp_path / "a").stat().st_mtime + 3600
        os.utime(tmp_path / "a", (ahead, ahead))
        times = []
        for _ in range(3):
            found = store.stat("a")
            assert found is not None
            times.append(found.modified)
            store.replace("a", b"1", found.token)
        assert times == sorted(set(times))

    def test_another_writers_staged_file_is_left_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It took the name in the moment after ours had moved to its place."""
        move, taken = Path.replace, []

        def move_and_lose_the_name(self: Path, target: Path) -> Path:
            moved = move(self, target)
            self.write_bytes(b"of another writer")
            taken.append(self)
            return moved

        monkeypatch.setattr(Path, "replace", move_and_lose_the_name)
        write_whole(tmp_path / "a", [b"ours"])
        assert [path.read_bytes() for path in taken] == [b"of another writer"]
        assert (tmp_path / "a").read_bytes() == b"ours"


class TestRetries:
    def test_until_the_store_answers_with_growing_pauses(self) -> None:
        pauses: list[float] = []
        answers = iter([UnreachableError("no answer"), UnreachableError("no answer"), "there"])

        def call() -> str:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        assert retried(call, pause=pauses.append) == "there"
        assert len(pauses) == 2 and 0.1 <= pauses[0] <= 0.2 <= pauses[1] <= 0.4

    def test_not_for_ever_and_not_what_another_try_cannot_mend(self) -> None:
        calls: list[int] = []

        def down() -> None:
            calls.append(1)
            raise UnreachableError("no answer")

        with pytest.raises(UnreachableError):
            retried(down, attempts=3, pause=lambda _: None)
        assert len(calls) == 3

        def full() -> None:
            calls.append(1)
            raise MachineError("the disk is full")

        with pytest.raises(MachineError):
            retried(full, pause=lambda _: None)
        assert len(calls) == 4


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("bucket", "no store URL"),
            ("ftp://bucket", "no store URL"),
            ("file://relative/folder", "no absolute file URL"),
            ("s3://", "names no bucket"),
            ("az://account", "names no bucket"),
        ],
    )
    def test_mistakes_are_named(self, url: str, said: str) -> None:
        with pytest.raises(InputError, match=said) as caught:
            open_store(url)
        assert caught.value.hint

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="there is no folder") as caught:
            open_store(f"file://{tmp_path}/gone")
        assert "skylift up" in caught.value.hint

    def test_folders_with_spaces(self, tmp_path: Path) -> None:
        folder = tmp_path / "my data ü"
        folder.mkdir()
        open_store(folder.as_uri()).create("a", b"1")
        assert (folder / "a").read_bytes() == b"1"

    @pytest.mark.parametrize("url", ["s3://bucket/some/folder", "gs://bucket", "az://account/container/folder"])
    def test_clouds_open_without_being_asked(self, url: str) -> None:
        assert open_store(url).url == url

    @pytest.mark.parametrize("key", ["a/../b", "./a", "a//b", "/a", "a/", "", "a\nb", "a#1", "a#12/b"])
    def test_keys_that_no_store_holds(self, tmp_path: Path, key: str) -> None:
        store: Store = open_store(f"file://{tmp_path}")
        (tmp_path / "source").write_bytes(b"x")
        with pytest.raises(InputError):
            store.upload(tmp_path / "source", key, create=True)

    def test_a_key_below_an_object(self, tmp_path: Path) -> None:
        store = open_store(f"file://{tmp_path}")
        store.create("a", b"1")
        with pytest.raises(InputError, match="a file and a folder"):
            store.create("a/b", b"2")
