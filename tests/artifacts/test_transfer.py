from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.artifacts.objects import DamagedError
from skylift.artifacts.records import FileEntry
from skylift.artifacts.transfer import download_folder, hash_folder, upload_folder, verify_folder
from skylift.errors import InputError, MachineError, NotFoundError, UnreachableError
from skylift.files import PIECE
from skylift.store import ObjectChangedError, Store, Token, open_store
from tests.artifacts.watched import Watched
from tests.store.disks import small_disk

ROOT = Path(__file__).resolve().parents[2]
BIG = 3 * PIECE + 17


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files: large, empty, small, deep, with an odd name."""
    top = tmp_path / "source"
    (top / "variables" / "deep").mkdir(parents=True)
    (top / "variables" / "deep" / "big.bin").write_bytes(os.urandom(BIG))
    (top / "empty").write_bytes(b"")
    (top / "größe (1) *?[x].txt").write_text("klein")
    (top / ".hidden").write_text("hidden")
    return top


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestHashFolder:
    def test_says_what_is_there(self, folder: Path) -> None:
        told: list[tuple[int, int, str]] = []
        files = hash_folder(folder, progress=lambda *step: told.append(step))
        found = contents(folder)
        assert [entry.path for entry in files] == sorted(found)
        for entry in files:
            assert entry.sha256 == hashlib.sha256(found[entry.path]).hexdigest()
            assert entry.size == len(found[entry.path])
        total = sum(map(len, found.values()))
        assert told[-1][:2] == (total, total)
        assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)

    def test_links_inside_count_as_what_they_name(self, folder: Path) -> None:
        (folder / "link").symlink_to(folder / ".hidden")
        (folder / "twice").symlink_to(folder / "variables", target_is_directory=True)
        by_path = {entry.path: entry.sha256 for entry in hash_folder(folder)}
        assert by_path["link"] == by_path[".hidden"]
        assert by_path["twice/deep/big.bin"] == by_path["variables/deep/big.bin"]

    def test_a_folder_that_is_a_link_itself(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(folder, target_is_directory=True)
        assert hash_folder(tmp_path / "link") == hash_folder(folder)

    @pytest.mark.parametrize("target", ["/etc/hostname", "..", "../outside", "/etc"])
    def test_links_that_leave_are_refused(self, folder: Path, target: str) -> None:
        (folder.parent / "outside").write_text("secret")
        (folder / "variables" / "link").symlink_to("../" + target if target.startswith(".") else target)
        with pytest.raises(InputError, match="leaves"):
            hash_folder(folder)

    @pytest.mark.parametrize("target", [".", "..", "../.."])
    def test_links_in_a_circle_are_refused(self, folder: Path, target: str) -> None:
        (folder / "variables" / "deep" / "link").symlink_to(target, target_is_directory=True)
        with pytest.raises(InputError, match="circle"):
            hash_folder(folder)

    def test_what_is_no_file_is_refused(self, folder: Path) -> None:
        os.mkfifo(folder / "pipe")
        with pytest.raises(InputError, match="pipe is no file"):
            hash_folder(folder)
        (folder / "pipe").unlink()
        (folder / "into-nowhere").symlink_to("nothing")
        with pytest.raises(InputError, match="into-nowhere is no file"):
            hash_folder(folder)

    @pytest.mark.parametrize("name", ["a#1", "line\nbreak"])
    def test_names_that_no_store_holds_are_refused(self, folder: Path, name: str) -> None:
        (folder / name).write_text("x")
        with pytest.raises(InputError, match="cannot be stored under this name"):
            hash_folder(folder)

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no folder"):
            hash_folder(tmp_path / "nothing")


class TestUpload:
    def test_there_and_back(self, keep: Store, folder: Path, tmp_path: Path) -> None:
        files = hash_folder(folder)
        told: list[int] = []
        sent = upload_folder(folder, files, keep, "x/1", progress=lambda done, total, name: told.append(done))
        assert sent == told[-1] == sum(entry.size for entry in files)
        verify_folder(keep, "x/1", files)
        download_folder(keep, "x/1", files, tmp_path / "back")
        assert contents(tmp_path / "back") == contents(folder)

    def test_what_is_there_does_not_travel_again(self, keep: Store, folder: Path) -> None:
        files = hash_folder(folder)
        watched = Watched(keep)
        keep.put(f"x/1/{files[0].path}", (folder / files[0].path).read_bytes())
        keep.put("x/1/variables/deep/big.bin", b"cut short")
        assert upload_folder(folder, files, watched, "x/1") == sum(entry.size for entry in files) - files[0].size
        assert f"x/1/{files[0].path}" not in watched.uploaded
        assert upload_folder(folder, files, watched, "x/1") == 0
        verify_folder(keep, "x/1", files)

    def test_what_the_store_has_elsewhere_is_copied_there(self, keep: Store, folder: Path) -> None:
        files = hash_folder(folder)
        upload_folder(folder, files, keep, "x/1")
        known = {entry.sha256: f"x/1/{entry.path}" for entry in files}
        (folder / ".hidden").write_text("changed")
        files = hash_folder(folder)
        watched = Watched(keep)
        assert upload_folder(folder, files, watched, "x/2", known=known) == len("changed")
        assert watched.uploaded == ["x/2/.hidden"]
        verify_folder(keep, "x/2", files)

    @pytest.mark.parametrize("fault", ["removed", "cut short"])
    def test_a_copy_that_cannot_be_made_is_sent(self, keep: Store, folder: Path, fault: str) -> None:
        files = hash_folder(folder)
        known = {entry.sha256: f"x/1/{entry.path}" for entry in files}
        if fault == "cut short":
            keep.put("x/1/variables/deep/big.bin", b"short")
        assert upload_folder(folder, files, keep, "x/2", known=known) == sum(entry.size for entry in files)
        verify_folder(keep, "x/2", files)

    def test_a_file_that_changes_meanwhile_is_refused(self, keep: Store, folder: Path) -> None:
        files = hash_folder(folder)
        (folder / ".hidden").write_text("HIDDEN")
        with pytest.raises(InputError, match="changed while"):
            upload_folder(folder, files, keep, "x/1")
        assert keep.stat("x/1/.hidden") is None

    def test_a_broken_way_is_tried_again_and_counted_once(
        self, keep: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Shaky(Watched):
            def upload(self, path: Path, key: str, **options: object) -> Token:
                if self.uploaded.count(key) < 2:
                    self.uploaded.append(key)
                    options["progress"](1)  # type: ignore[operator]
                    raise UnreachableError("the way broke")
                return super().upload(path, key, **options)

        monkeypatch.setattr("skylift.store.time.sleep", lambda seconds: None)
        files = hash_folder(folder)
        told: list[int] = []
        upload_folder(folder, files, Shaky(keep), "x/1", progress=lambda done, total, name: told.append(done))
        assert told[-1] == sum(entry.size for entry in files)
        verify_folder(keep, "x/1", files)


class TestDownload:
    @pytest.fixture
    def files(self, keep: Store, folder: Path) -> list[FileEntry]:
        files = hash_folder(folder)
        upload_folder(folder, files, keep, "x/1")
        return files

    def test_what_lies_there_whole_stays(
        self, keep: Store, folder: Path, files: list[FileEntry], tmp_path: Path
    ) -> None:
        download_folder(keep, "x/1", files, tmp_path / "back")
        (tmp_path / "back" / ".hidden").write_text("HIDDEN")  # of the same size
        before = (tmp_path / "back" / "variables" / "deep" / "big.bin").stat().st_mtime_ns
        watched = Watched(keep)
        download_folder(watched, "x/1", files, tmp_path / "back")
        assert watched.bytes_down == len("hidden")
        assert (tmp_path / "back" / "variables" / "deep" / "big.bin").stat().st_mtime_ns == before
        assert contents(tmp_path / "back") == contents(folder)

    def test_goes_on_where_a_killed_process_stopped(
        self, keep: Store, folder: Path, files: list[FileEntry], tmp_path: Path
    ) -> None:
        killed = start_and_kill(DOWNLOADER, keep.url, str(folder), str(tmp_path / "back"))
        assert killed == "half"
        (part,) = (tmp_path / "back" / "variables" / "deep").iterdir()
        assert part.name.endswith(".part")
        got = part.stat().st_size
        assert 0 < got < BIG
        watched = Watched(keep)
        told: list[tuple[int, int, str]] = []
        download_folder(watched, "x/1", files, tmp_path / "back", progress=lambda *step: told.append(step))
        assert contents(tmp_path / "back") == contents(folder)
        assert BIG - got <= watched.bytes_down <= BIG - got + sum(entry.size for entry in files) - BIG
        assert told[-1][0] == told[-1][1]

    def test_a_part_of_another_object_is_thrown_away(
        self, keep: Store, folder: Path, files: list[FileEntry], tmp_path: Path
    ) -> None:
        start_and_kill(DOWNLOADER, keep.url, str(folder), str(tmp_path / "back"))
        keep.upload(
            folder / "variables" / "deep" / "big.bin", "x/1/variables/deep/big.bin"
        )  # equal bytes, another state
        watched = Watched(keep)
        download_folder(watched, "x/1", files, tmp_path / "back")
        assert watched.bytes_down >= BIG
        assert contents(tmp_path / "back") == contents(folder)

    @pytest.mark.parametrize("rest", [b"", b"and more than there should be" + bytes(BIG)])
    def test_a_part_that_was_spoilt_is_fetched_anew(
        self, keep: Store, folder: Path, files: list[FileEntry], tmp_path: Path, rest: bytes
    ) -> None:
        """As a machine leaves it that lost its power."""
        start_and_kill(DOWNLOADER, keep.url, str(folder), str(tmp_path / "back"))
        (part,) = (tmp_path / "back" / "variables" / "deep").iterdir()
        part.write_bytes(bytes(part.stat().st_size) + rest)
        told: list[tuple[int, int, str]] = []
        download_folder(keep, "x/1", files, tmp_path / "back", progress=lambda *step: told.append(step))
        assert contents(tmp_path / "back") == contents(folder)
        assert told[-1][0] == told[-1][1]

    def test_an_object_replaced_in_the_middle_is_refused(self, keep: Store, folder: Path, tmp_path: Path) -> None:
        (folder / "huge").write_bytes(os.urandom(BIG * 4))  # more than the ranges that are under way at once
        keep.upload(folder / "huge", "y/huge")
        entry = FileEntry(path="huge", size=BIG * 4, sha256=hashlib.sha256((folder / "huge").read_bytes()).hexdigest())
        replaced: list[Token] = []

        def replace(done: int, total: int, name: str) -> None:
            if not replaced:
                replaced.append(keep.upload(folder / "huge", "y/huge"))

        with pytest.raises(ObjectChangedError):
            download_folder(keep, "y", [entry], tmp_path / "back", progress=replace)
        assert not (tmp_path / "back" / "huge").exists()

    @pytest.mark.parametrize("fault", ["removed", "cut short", "changed"])
    def test_damage_is_named_and_never_shown_as_a_file(
        self, keep: Store, folder: Path, files: list[FileEntry], tmp_path: Path, fault: str
    ) -> None:
        key = "x/1/variables/deep/big.bin"
        damage(keep, key, fault)
        with pytest.raises(DamagedError, match=r"variables/deep/big\.bin") as caught:
            download_folder(keep, "x/1", files, tmp_path / "back")
        assert caught.value.details["files"] == ["variables/deep/big.bin"]
        assert not (tmp_path / "back" / "variables" / "deep" / "big.bin").exists()
        assert not list((tmp_path / "back").rglob("*.part"))
        with pytest.raises(DamagedError, match=r"big\.bin"):
            verify_folder(keep, "x/1", files)

    def test_verify_names_every_damaged_file(self, keep: Store, files: list[FileEntry]) -> None:
        damage(keep, "x/1/variables/deep/big.bin", "changed")
        damage(keep, "x/1/.hidden", "cut short")
        damage(keep, "x/1/empty", "removed")
        with pytest.raises(DamagedError) as caught:
            verify_folder(keep, "x/1", files)
        assert caught.value.details["faults"] == {
            ".hidden": "5 bytes instead of 6",
            "empty": "missing",
            "variables/deep/big.bin": "its bytes were changed",
        }

    def test_broken_ranges_are_fetched_again(
        self, keep: Store, folder: Path, files: list[FileEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Shaky(Watched):
            broken = 0

            def _range(self, key: str, start: int, length: int, read: Token | None) -> tuple[bytes, Token]:
                if start and self.broken < 4:
                    self.broken += 1
                    raise UnreachableError("the way broke")
                return super()._range(key, start, length, read)

        monkeypatch.setattr("skylift.store.time.sleep", lambda seconds: None)
        shaky = Shaky(keep)
        download_folder(shaky, "x/1", files, tmp_path / "back")
        assert shaky.broken == 4
        assert contents(tmp_path / "back") == contents(folder)

    def test_a_manifest_cannot_write_outside_the_folder(self, keep: Store, tmp_path: Path) -> None:
        keep.put("x/escape", b"bad")
        bad = FileEntry(path="../escape", size=3, sha256=hashlib.sha256(b"bad").hexdigest())
        with pytest.raises(InputError):
            download_folder(keep, "x/1", [bad], tmp_path / "back" / "deep")
        assert not (tmp_path / "back" / "escape").exists()


class TestFullDisk:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        with small_disk(tmp_path / "disk", "10m") as disk:
            yield disk

    def test_a_download_says_so_and_goes_on_when_there_is_space(self, keep: Store, folder: Path, disk: Path) -> None:
        files = hash_folder(folder)
        upload_folder(folder, files, keep, "x/1")
        with pytest.raises(MachineError, match="the disk is full"):
            download_folder(keep, "x/1", files, disk / "back")
        assert not (disk / "back" / "variables" / "deep" / "big.bin").exists()
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        watched = Watched(keep)
        download_folder(watched, "x/1", files, disk / "back")
        assert watched.bytes_down < BIG
        assert contents(disk / "back") == contents(folder)

    def test_an_upload_says_so_and_goes_on_when_there_is_space(self, folder: Path, disk: Path) -> None:
        store = open_store(disk.as_uri())
        files = hash_folder(folder)
        with pytest.raises(MachineError, match="the disk is full"):
            upload_folder(folder, files, store, "x/1")
        assert {stat.key for stat in store.list()} <= {f"x/1/{entry.path}" for entry in files if entry.size < BIG}
        assert not [name for name in contents(disk) if "#" in name]
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        upload_folder(folder, files, store, "x/1")
        verify_folder(store, "x/1", files)


def damage(store: Store, key: str, fault: str) -> None:
    data = store.get(key).data
    if fault == "removed":
        store.delete([key])
    elif fault == "cut short":
        store.put(key, data[:-1])
    else:
        store.put(key, data[:-1] + bytes([data[-1] ^ 1]))


DOWNLOADER = """
import signal, sys
from pathlib import Path
from skylift.artifacts.transfer import download_folder, hash_folder
from skylift.store import open_store
seen = 0
def stop(done, total, name):
    global seen
    if name.endswith("big.bin"):
        seen += 1
        if seen == 2:
            print("half", flush=True)
            signal.pause()
entries = [entry for entry in hash_folder(Path(sys.argv[2])) if entry.path.endswith("big.bin")]
download_folder(open_store(sys.argv[1]), "x/1", entries, Path(sys.argv[3]), progress=stop)
"""


def start_and_kill(program: str, *arguments: str) -> str:
    """Run a program until it prints a line, then kill it the hard way; the line."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        process.kill()
    return line
