from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from skylift.artifacts import datasets, gc, layout, models
from skylift.artifacts.objects import DamagedError
from skylift.artifacts.records import ModelManifest, encode
from skylift.errors import NotFoundError
from skylift.store import ObjectNotFoundError, Store
from tests.artifacts.racing import race
from tests.artifacts.watched import Watched

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "data"
    (top / "images").mkdir(parents=True)
    for n in range(5):
        (top / "images" / f"{n}.bin").write_bytes(os.urandom(1000))
    (top / "labels.csv").write_text("0\n1\n")
    return top


def test_equal_files_are_one_version(keep: Store, folder: Path) -> None:
    first = datasets.publish(keep, "digits", folder, {"source": "here"}, rows=5)
    watched = Watched(keep)
    assert datasets.publish(watched, "digits", folder, {"source": "here"}, rows=5) == first
    assert watched.uploaded == watched.copied == []
    manifest = datasets.read_manifest(keep, first)
    assert (manifest.rows, manifest.facts) == (5, {"source": "here"})


def test_only_changed_files_travel(keep: Store, folder: Path) -> None:
    first = datasets.publish(keep, "digits", folder)
    (folder / "labels.csv").write_text("1\n0\n")
    watched = Watched(keep)
    second = datasets.publish(watched, "digits", folder)
    assert [key.rpartition("/")[2] for key in watched.uploaded] == ["labels.csv"]
    assert len(watched.copied) == 5
    assert datasets.resolve(keep, "digits") == datasets.resolve(keep, "digits@latest") == second
    assert datasets.resolve(keep, first[:20]) == first


def test_fetch_brings_what_is_missing(keep: Store, folder: Path, tmp_path: Path) -> None:
    datasets.publish(keep, "digits", folder)
    datasets.fetch(keep, "digits", tmp_path / "copy")
    assert sorted(p.name for p in (tmp_path / "copy").rglob("*.*")) == [
        "0.bin",
        "1.bin",
        "2.bin",
        "3.bin",
        "4.bin",
        "labels.csv",
    ]
    (tmp_path / "copy" / "labels.csv").unlink()
    watched = Watched(keep)
    datasets.fetch(watched, "digits", tmp_path / "copy")
    assert watched.bytes_down == 4


def test_two_processes_fetch_into_one_folder(keep: Store, folder: Path, tmp_path: Path) -> None:
    (folder / "big.bin").write_bytes(os.urandom(30 << 20))
    datasets.publish(keep, "digits", folder)
    said = race("fetch", f"{keep.url} {(tmp_path / 'copy').as_uri()}", 1)
    assert said == {"a": ["fetched"], "b": ["fetched"]}
    assert (tmp_path / "copy" / "big.bin").read_bytes() == (folder / "big.bin").read_bytes()
    assert not list((tmp_path / "copy").rglob("*.part"))


def test_what_is_not_there(keep: Store, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="no dataset at all"):
        datasets.resolve(keep, "digits")
    ref = datasets.publish(keep, "digits", folder)
    with pytest.raises(NotFoundError, match="did you mean 'digits'"):
        datasets.resolve(keep, "digit")
    with pytest.raises(NotFoundError, match="no version of dataset digits 'ffff'"):
        datasets.resolve(keep, "digits@ffff")
    keep.delete([f"{layout.dataset(*ref.split('@'))}/manifest.json"])
    with pytest.raises(ObjectNotFoundError):
        datasets.read_manifest(keep, ref)


def test_damage_is_refused(keep: Store, folder: Path, tmp_path: Path) -> None:
    ref = datasets.publish(keep, "digits", folder)
    keep.put(f"{layout.dataset(*ref.split('@'))}/labels.csv", b"2\n2\n")
    with pytest.raises(DamagedError, match=r"labels\.csv"):
        datasets.fetch(keep, ref, tmp_path / "copy")


UPLOADER = """
import signal, sys, time
from pathlib import Path
from skylift.artifacts import datasets, models
from skylift.artifacts.records import decode, ModelManifest
from skylift.store import open_store
keep, kind, folder = open_store(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
def stop(done, total, name):
    if name == "big.bin" and uploading and done < total:
        while not any(stat.key.endswith("/small.bin") for stat in keep.list()):
            time.sleep(0.01)
        print("in the middle", flush=True)
        signal.pause()
class Store(type(keep)):
    def upload(self, *arguments, **options):
        global uploading
        uploading = True
        return super().upload(*arguments, **options)
uploading = False
keep.__class__ = Store
if kind == "datasets":
    datasets.publish(keep, "x", folder, progress=stop)
else:
    models.publish(keep, "x", folder, decode(Path(sys.argv[4]).read_bytes(), ModelManifest, ""), progress=stop)
"""


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_killed_in_the_middle_of_an_upload(
    keep: Store, work: Store, tmp_path: Path, manifest: Callable[..., ModelManifest], kind: str
) -> None:
    """Nothing is visible, and the next upload goes on with what is missing."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "big.bin").write_bytes(os.urandom(20 << 20))
    (folder / "small.bin").write_bytes(b"small")
    made = manifest()
    (tmp_path / "manifest.json").write_bytes(encode(made))
    command = [sys.executable, "-c", UPLOADER, keep.url, kind, str(folder), str(tmp_path / "manifest.json")]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == "in the middle\n"
        process.kill()

    assert [stat.key.rpartition("/")[2] for stat in keep.list()] == ["small.bin"]
    resolve = datasets.resolve if kind == "datasets" else models.resolve
    with pytest.raises(NotFoundError):
        resolve(keep, "x")
    assert [item.kind for item in gc.plan(keep, work, young=timedelta(seconds=-1))] == ["unfinished upload"]

    watched = Watched(keep)
    if kind == "datasets":
        datasets.publish(watched, "x", folder)
        datasets.fetch(keep, "x", tmp_path / "back")
    else:
        models.publish(watched, "x", folder, made)
        models.verify(keep, models.resolve(keep, "x:1"))
    assert [key.rpartition("/")[2] for key in watched.uploaded] == ["big.bin"]
    assert keep.folder is not None
    assert not list(keep.folder.rglob("*#*"))
